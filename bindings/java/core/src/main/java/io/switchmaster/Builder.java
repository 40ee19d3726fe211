package io.switchmaster;

import java.time.Duration;
import java.util.Objects;

/**
 * The settings of a {@link Factory}. Names, defaults and meaning are those of the options of a URL, but for the
 * default of {@link #protocol}: see the documentation of the library. A setting that is not allowed is a {@link SwitchmasterException} of kind
 * {@link ErrorKind#INVALID_CONFIG} that names it and quotes the value, unless that is secret. One thread at
 * a time.
 */
public final class Builder {
    private final Options options;

    private String name;
    private boolean bean;

    Builder(String url) {
        options = new Options(url);
    }

    /**
     * Sets any option by its name in a URL.
     *
     * @param name such as {@code max_size}
     * @param value as in a URL; times are {@code 500ms}, {@code 2s}
     * @return this builder
     */
    public Builder option(String name, String value) {
        options.set(name, value);
        return this;
    }

    /**
     * Adds a sentinel.
     *
     * @param hostAndPort {@code host}, {@code host:port} or {@code [ipv6]:port}; the port is 26379 unless said
     * @return this builder
     */
    public Builder sentinel(String hostAndPort) {
        return option("sentinel", hostAndPort);
    }

    /**
     * Adds sentinels.
     *
     * @param hostsAndPorts each as for {@link #sentinel}
     * @return this builder
     */
    public Builder sentinels(Iterable<String> hostsAndPorts) {
        for (String sentinel : hostsAndPorts) {
            sentinel(sentinel);
        }
        return this;
    }

    /**
     * The name that the sentinels monitor the master under.
     *
     * @param service such as {@code mymaster}
     * @return this builder
     */
    public Builder service(String service) {
        return option("service", service);
    }

    /**
     * The user on the nodes (ACL).
     *
     * @param username its name
     * @return this builder
     */
    public Builder username(String username) {
        return option("username", username);
    }

    /**
     * The password on the nodes.
     *
     * @param password it
     * @return this builder
     */
    public Builder password(String password) {
        return option("password", password);
    }

    /**
     * Sets a provider that supplies user and password for each connection to a node, instead of
     * {@link #username} and {@link #password}: for passwords that are rotated. When it supplies others, idle
     * connections log in again. Connections in use log in with their next command, or are closed when they are
     * returned. {@link Factory#refresh()} calls it at once.
     *
     * @param provider called as {@link CredentialsProvider} says; a second one takes its place
     * @return this builder
     */
    public Builder credentials(CredentialsProvider provider) {
        options.credentials(Objects.requireNonNull(provider, "provider"));
        return this;
    }

    /**
     * Sets a provider like {@link #credentials}, for the sentinels, instead of {@link #sentinelUsername} and
     * {@link #sentinelPassword}. Open links stay logged in as they are.
     *
     * @param provider called as {@link CredentialsProvider} says; a second one takes its place
     * @return this builder
     */
    public Builder sentinelCredentials(CredentialsProvider provider) {
        options.sentinelCredentials(Objects.requireNonNull(provider, "provider"));
        return this;
    }

    /**
     * The user on the sentinels.
     *
     * @param username its name
     * @return this builder
     */
    public Builder sentinelUsername(String username) {
        return option("sentinel_username", username);
    }

    /**
     * The password on the sentinels.
     *
     * @param password it
     * @return this builder
     */
    public Builder sentinelPassword(String password) {
        return option("sentinel_password", password);
    }

    /**
     * The database that connections select.
     *
     * @param db its number; 0 unless set
     * @return this builder
     */
    public Builder db(int db) {
        return option("db", Integer.toString(db));
    }

    /**
     * The name of connections in CLIENT LIST.
     *
     * @param name it
     * @return this builder
     */
    public Builder clientName(String name) {
        return option("client_name", name);
    }

    /**
     * Sets the version of the protocol with the nodes. With 3, a connection speaks RESP2 when the server refuses RESP3.
     *
     * @param resp 2 or 3; 2 unless set here or by {@code protocol} in the URL, also where the default of the
     *     library is 3: client libraries over these connections expect it
     * @return this builder
     */
    public Builder protocol(int resp) {
        return option("protocol", Integer.toString(resp));
    }

    /**
     * TLS to the nodes, with the certificates of the platform unless {@code tls_ca} names others.
     *
     * @param tls whether
     * @return this builder
     */
    public Builder tls(boolean tls) {
        return option("tls", yes(tls));
    }

    /**
     * TLS to the sentinels.
     *
     * @param tls whether
     * @return this builder
     */
    public Builder sentinelTls(boolean tls) {
        return option("sentinel_tls", yes(tls));
    }

    /**
     * Dials another address than the announced one: for NAT and port forwards. May be called for several.
     *
     * @param from the announced {@code host:port}
     * @param to the {@code host:port} to dial
     * @return this builder
     */
    public Builder addressMap(String from, String to) {
        return option("address_map", from + ">" + to);
    }

    /**
     * How many connections there may be to the master.
     *
     * @param connections at least 1; 8 unless set
     * @return this builder
     */
    public Builder maxSize(int connections) {
        return option("max_size", Integer.toString(connections));
    }

    /**
     * How many connections are to lie idle.
     *
     * @param connections at most {@code max_size}; 1 unless set
     * @return this builder
     */
    public Builder minIdle(int connections) {
        return option("min_idle", Integer.toString(connections));
    }

    /**
     * How long a connection is used.
     *
     * @param time at least 1 ms
     * @return this builder
     */
    public Builder maxLifetime(Duration time) {
        return option("max_lifetime", text(time));
    }

    /**
     * After how long a handle that was not given back is told as a leak, in the log with the place where it was
     * taken. It costs a stack trace for each handle that is taken. Looked at once a second.
     *
     * @param time at least 1 ms; off unless set
     * @return this builder
     */
    public Builder leakAfter(Duration time) {
        return option("leak_after", text(time));
    }

    /**
     * From the start to the first master that was verified.
     *
     * @param time 5 s unless set
     * @return this builder
     */
    public Builder connectTimeout(Duration time) {
        return option("connect_timeout", text(time));
    }

    /**
     * For one connection to be made.
     *
     * @param time 500 ms unless set
     * @return this builder
     */
    public Builder dialTimeout(Duration time) {
        return option("dial_timeout", text(time));
    }

    /**
     * How long {@link Factory#get()} waits for a handle.
     *
     * @param time 5 s unless set
     * @return this builder
     */
    public Builder getTimeout(Duration time) {
        return option("get_timeout", text(time));
    }

    /**
     * How long a command waits for its reply.
     *
     * @param time 2 s unless set
     * @return this builder
     */
    public Builder commandTimeout(Duration time) {
        return option("command_timeout", text(time));
    }

    /**
     * At what evidence handles are led to another master.
     *
     * @param evidence {@link SwitchOn#PROMOTION} unless set
     * @return this builder
     */
    public Builder switchOn(SwitchOn evidence) {
        return option("switch_on", evidence.text());
    }

    /**
     * How long the sentinels may take to name a master that was switched to at its promotion.
     *
     * @param time 1.5 s unless set
     * @return this builder
     */
    public Builder confirmWithin(Duration time) {
        return option("confirm_within", text(time));
    }

    /**
     * Whether commands wait while the master is being replaced.
     *
     * @param fence true unless set
     * @return this builder
     */
    public Builder fence(boolean fence) {
        return option("fence", yes(fence));
    }

    /**
     * How long the fence stands at most.
     *
     * @param time 3 s unless set
     * @return this builder
     */
    public Builder fenceTimeout(Duration time) {
        return option("fence_timeout", text(time));
    }

    /**
     * A name for logs, threads, metrics and JMX; {@code service} unless set.
     *
     * @param name it
     * @return this builder
     */
    public Builder name(String name) {
        this.name = Objects.requireNonNull(name, "name");
        return this;
    }

    /**
     * Whether the pool is to be seen by JMX, as {@code io.switchmaster:type=Pool,name=NAME}: see
     * {@link PoolMXBean}. It is gone when the factory is closed. A second factory of that name gets
     * {@code ,instance=2} behind it, and so on.
     *
     * @param register false unless set
     * @return this builder
     */
    public Builder registerMBean(boolean register) {
        this.bean = register;
        return this;
    }

    /**
     * Opens the factory. Blocks until the master is known and a connection to it stands, at most for
     * {@code connect_timeout}.
     *
     * @return the factory, to be closed
     * @throws SwitchmasterException of kind {@link ErrorKind#INVALID_CONFIG}, {@link ErrorKind#NO_SENTINEL},
     *     {@link ErrorKind#UNKNOWN_SERVICE}, {@link ErrorKind#AUTHENTICATION}, {@link ErrorKind#PERMISSION} or
     *     {@link ErrorKind#NO_MASTER}
     */
    public Factory build() {
        return Factory.open(options, name).shown(bean);
    }

    private static String yes(boolean yes) {
        return yes ? "true" : "false";
    }

    private static String text(Duration time) {
        return time.toMillis() + "ms";
    }
}
