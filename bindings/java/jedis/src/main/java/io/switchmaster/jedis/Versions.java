package io.switchmaster.jedis;

import io.switchmaster.Factory;
import redis.clients.jedis.JedisClientConfig;
import redis.clients.jedis.RedisProtocol;

/**
 * The parts of Jedis that some of its versions lack. Each is called as it is, and its absence is what the linker
 * says: nothing is looked up by its name, which a native image would answer with "not there" for what is there.
 */
final class Versions {
    /** Whether it knows of RESP3, as from 5.0 on. */
    static final boolean KNOW_PROTOCOLS = knowProtocols();

    private Versions() {}

    private static boolean knowProtocols() {
        try {
            return Protocols.areThere();
        } catch (LinkageError before5) {
            return false;
        }
    }

    /** Linked only where it runs. */
    private static final class Protocols {
        private Protocols() {}

        static boolean areThere() {
            return RedisProtocol.RESP3 != null;
        }

        static boolean isResp3(JedisClientConfig config) {
            return config.getRedisProtocol() == RedisProtocol.RESP3;
        }
    }

    /** Returns true when a configuration asks for RESP3. */
    static boolean asksForResp3(JedisClientConfig config) {
        return KNOW_PROTOCOLS && Protocols.isResp3(config);
    }

    /** The SslOptions of a configuration; null where there are none, also before Jedis 5.3. */
    static Object sslOptions(JedisClientConfig config) {
        try {
            return config.getSslOptions();
        } catch (NoSuchMethodError missing) {
            return null;
        }
    }

    /** The AuthXManager of a configuration; null where there is none, also before Jedis 5.3. */
    static Object authXManager(JedisClientConfig config) {
        try {
            return config.getAuthXManager();
        } catch (NoSuchMethodError missing) {
            return null;
        }
    }

    /** Refuses a factory whose protocol this version does not know. */
    static Factory checked(Factory factory) {
        if (factory.protocol() == 3 && !KNOW_PROTOCOLS) {
            throw new IllegalArgumentException("this version of Jedis knows no RESP3, which the factory speaks; open it"
                    + " with protocol(2), or protocol=2 in its URL");
        }
        return factory;
    }
}
