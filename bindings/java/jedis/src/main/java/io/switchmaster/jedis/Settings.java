package io.switchmaster.jedis;

import io.switchmaster.Builder;
import io.switchmaster.Factory;
import io.switchmaster.SwitchmasterException;
import java.time.Duration;
import java.util.Set;
import org.apache.commons.pool2.impl.GenericObjectPoolConfig;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisClientConfig;

/** What a JedisSentinelPool is configured with, as the settings of a factory. */
final class Settings {
    private static final Logger LOG = LoggerFactory.getLogger(SwitchmasterPool.class);

    /** Jedis's 0, for ever: a factory's waits all end, and no switch or failure of a node waits for this. */
    static final Duration FOR_EVER = Duration.ofHours(1);

    /** Jedis's negative maxTotal: as many as you like. */
    static final int UNLIMITED = 1024;

    /** What a factory takes from its start to a master by default; it is longer where one dial may be. */
    private static final Duration CONNECT = Duration.ofSeconds(5);

    private static final String CERTIFICATES = "TLS is the native library's, and its certificates cannot be read: say"
            + " ssl(true) for those of javax.net.ssl.trustStore and javax.net.ssl.keyStore, or name them by"
            + " Factory.builder().option(\"tls_ca\", ...), \"tls_cert\" and \"tls_key\"";

    private Settings() {}

    /** A factory, and its source of credentials. */
    record Opened(Factory factory, Login login) {}

    /** Opens the factory that such a pool stands for. */
    static Opened open(
            String service,
            Set<HostAndPort> sentinels,
            GenericObjectPoolConfig<Jedis> pool,
            JedisClientConfig master,
            JedisClientConfig sentinel) {
        try {
            Login login = new Login();
            Builder builder = Factory.builder().service(service);
            for (HostAndPort address : sentinels) {
                builder.sentinel(text(address));
            }
            pool(builder, pool);
            master(builder, login, master);
            sentinel(builder, login, sentinel);
            Duration dial = dialTimeout(master);
            builder.connectTimeout(dial.compareTo(CONNECT) > 0 ? dial.multipliedBy(2) : CONNECT);
            Factory factory = builder.build();
            login.follow(factory);
            return new Opened(factory, login);
        } catch (SwitchmasterException failed) {
            throw Failures.ofPool("Could not open a pool for " + service, failed);
        }
    }

    private static String text(HostAndPort address) {
        String host = address.getHost();
        boolean bare = host.indexOf(':') >= 0 && !host.startsWith("[");
        return (bare ? "[" + host + "]" : host) + ":" + address.getPort();
    }

    private static void pool(Builder builder, GenericObjectPoolConfig<Jedis> pool) {
        int most = pool.getMaxTotal() < 0 ? UNLIMITED : pool.getMaxTotal();
        builder.maxSize(most).minIdle(Math.max(0, Math.min(pool.getMinIdle(), most)));
        Duration wait = pool.getMaxWaitDuration();
        if (!wait.isNegative() && !wait.isZero()) {
            builder.getTimeout(atLeastAMilli(wait));
        }
    }

    private static void master(Builder builder, Login login, JedisClientConfig config) {
        refuseWhatCannotBe("the master", config);
        login.nodes(builder, config);
        builder.db(config.getDatabase());
        if (config.getClientName() != null) {
            builder.clientName(config.getClientName());
        }
        tls(builder, "", config);
        builder.protocol(Versions.asksForResp3(config) ? 3 : 2);
        builder.dialTimeout(dialTimeout(config));
        int reply = config.getSocketTimeoutMillis();
        builder.commandTimeout(reply == 0 ? FOR_EVER : Duration.ofMillis(reply));
        if (config.getBlockingSocketTimeoutMillis() > 0) {
            LOG.warn("blockingSocketTimeoutMillis={} is not used: a blocking command waits for its own timeout and"
                    + " socketTimeoutMillis={} on top of it, or until the master is replaced",
                    config.getBlockingSocketTimeoutMillis(), reply);
        }
    }

    private static Duration dialTimeout(JedisClientConfig config) {
        int millis = config.getConnectionTimeoutMillis();
        return millis == 0 ? FOR_EVER : Duration.ofMillis(millis);
    }

    private static void sentinel(Builder builder, Login login, JedisClientConfig config) {
        refuseWhatCannotBe("the sentinels", config);
        login.sentinels(builder, config);
        tls(builder, "sentinel_", config);
        if (config.getClientName() != null) {
            LOG.info("the client name {} on the sentinels is not used: the links to them have a name of their own",
                    config.getClientName());
        }
    }

    /** The certificates of the virtual machine, as a socket of Java would use them. */
    private static void tls(Builder builder, String prefix, JedisClientConfig config) {
        builder.option(prefix + "tls", Boolean.toString(config.isSsl()));
        if (config.isSsl()) {
            JvmCertificates found = JvmCertificates.read();
            builder.option(prefix + "tls_ca", found.authorities);
            if (found.key != null) {
                builder.option(prefix + "tls_cert", found.certificate).option(prefix + "tls_key", found.key);
            }
        }
    }

    @SuppressWarnings("deprecation") // The older ways to say it.
    private static void refuseWhatCannotBe(String where, JedisClientConfig config) {
        refuse("sslSocketFactory", config.getSslSocketFactory(), where, CERTIFICATES);
        refuse("sslParameters", config.getSslParameters(), where,
                "TLS is the native library's: say ssl(true), and see the tls_ options of Factory.builder()");
        refuse("sslOptions", Versions.sslOptions(config), where, CERTIFICATES);
        refuse("hostnameVerifier", config.getHostnameVerifier(), where, "TLS is the native library's, which checks the"
                + " name: see the tls_ options of Factory.builder()");
        refuse("hostAndPortMapper", config.getHostAndPortMapper(), where,
                "say Factory.builder().addressMap(from, to) for each address");
    }

    private static void refuse(String option, Object value, String where, String instead) {
        if (value != null) {
            throw new IllegalArgumentException(
                    option + " for " + where + " cannot be used with SwitchmasterPool: " + instead);
        }
    }

    private static Duration atLeastAMilli(Duration time) {
        return time.toMillis() == 0 ? Duration.ofMillis(1) : time;
    }
}
