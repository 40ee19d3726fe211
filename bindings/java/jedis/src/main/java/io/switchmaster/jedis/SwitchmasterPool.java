package io.switchmaster.jedis;

import io.switchmaster.Factory;
import io.switchmaster.Outcome;
import io.switchmaster.SwitchmasterException;
import java.util.LinkedHashSet;
import java.util.Set;
import org.apache.commons.pool2.impl.GenericObjectPoolConfig;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisClientConfig;
import redis.clients.jedis.JedisFactory;
import redis.clients.jedis.exceptions.JedisException;

/**
 * A drop-in for JedisSentinelPool: it has its constructors, and gives out real {@link Jedis} objects, whose bytes
 * pass through the connections of a {@link Factory}. When the master is replaced, whoever is between two
 * commands goes on with the new one and notices nothing; whoever waits for a reply of the old one is woken
 * within milliseconds.
 *
 * <pre>{@code
 * try (SwitchmasterPool pool = new SwitchmasterPool("mymaster", Set.of("10.0.0.1:26379", "10.0.0.2:26379"))) {
 *     try (Jedis jedis = pool.getResource()) {
 *         jedis.set("greeting", "hello");
 *     }
 * }
 * }</pre>
 *
 * <p><b>Waits.</b> {@link #getResource()} waits for {@code maxWait}; where that is unlimited (-1, Jedis's default,
 * or 0) for 5 s, because a wait without end turns a lost master into a program that hangs. A reply is waited for
 * {@code soTimeout}, the fence included; where that is 0, for an hour. Blocking commands (BLPOP) have their own
 * timeout on top of that, and without end where it is 0, until the master is replaced; so
 * {@code blockingSocketTimeoutMillis} and {@code setSoTimeout} of a connection decide nothing. A subscription waits
 * without end, until the master is replaced.
 *
 * <p><b>Errors.</b> They are Jedis's. The cause of a JedisConnectionException is a SocketException or a
 * SocketTimeoutException, and the cause of that a {@link SwitchmasterException};
 * {@link Outcome#of(Throwable)} finds what it says about the command, and says {@link Outcome#REPLIED} of a
 * JedisDataException.
 *
 * <p><b>Not mapped.</b> What has no meaning here has no effect: {@code maxIdle}, tests of connections
 * ({@code testOnBorrow} and the like; none is needed), the evictor, JMX of the pool, {@code lifo},
 * {@code fairness} (those who wait are served in the order in which they came), setters of the pool's
 * configuration, and the counts of borrowed and returned objects. What would have an effect and cannot be honoured
 * is refused with an {@link IllegalArgumentException} that names it: {@code sslSocketFactory},
 * {@code sslParameters}, {@code sslOptions}, {@code hostnameVerifier}, {@code hostAndPortMapper}, a
 * {@code JedisFactory}.
 *
 * <p><b>Credentials.</b> A {@code credentialsProvider} is called for each connection, on a thread of its own and with
 * {@code connectionTimeout} as its time; so is that which user and password of the configuration for the nodes make.
 * An {@code authXManager} is started when the pool is opened, and stopped when the pool is closed. Idle connections
 * log in again as soon as it has a new token.
 *
 * <p><b>TLS.</b> With {@code ssl(true)} the native library gets the certificates of the virtual machine's default
 * trust store, and the key of its default key store ({@code javax.net.ssl.trustStore} and
 * {@code javax.net.ssl.keyStore}), as they are when the pool is opened. It always checks the server's name. An unreadable
 * store is refused with an {@link IllegalArgumentException}.
 *
 * <p><b>Protocol.</b> RESP2, unless the configuration or the factory asks for RESP3. Connections speak
 * RESP2 to a server that refuses RESP3.
 *
 * <p><b>Threads.</b> Any, as many at once as you like; virtual ones do not hold their carriers while they wait. A
 * Jedis is for one thread at a time, as ever; only a subscription may be ended by another one.
 */
@SuppressWarnings("deprecation") // JedisFactory, which is refused.
public class SwitchmasterPool extends LeasePool {
    private static final int TIMEOUT = 2_000;

    private final boolean closesFactory;
    private final Login login;

    /**
     * A pool over a factory, which is not closed with the pool.
     *
     * @param factory open
     */
    public SwitchmasterPool(Factory factory) {
        this(factory, false);
    }

    /**
     * A pool over a factory. Others may use the factory, too; they share its connections.
     *
     * @param factory open
     * @param closesFactory whether it is closed with the pool
     * @throws IllegalArgumentException when it speaks RESP3, and this version of Jedis does not
     */
    public SwitchmasterPool(Factory factory, boolean closesFactory) {
        this(factory, closesFactory, null, true, new GenericObjectPoolConfig<>());
    }

    private SwitchmasterPool(
            Factory factory,
            boolean closesFactory,
            Login login,
            boolean waits,
            GenericObjectPoolConfig<Jedis> config) {
        super(factory, waits, config);
        this.closesFactory = closesFactory;
        this.login = login;
    }

    private SwitchmasterPool(Settings.Opened opened, GenericObjectPoolConfig<Jedis> config) {
        this(opened.factory(), true, opened.login(), config.getBlockWhenExhausted(), config);
    }

    /**
     * As the constructor of JedisSentinelPool with these parameters. Blocks until the master is known and a
     * connection to it stands, for some seconds at most, as all of them do.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels where they are
     * @param masterClientConfig for the nodes
     * @param sentinelClientConfig for the sentinels
     * @throws IllegalArgumentException when a setting cannot be honoured; it says which, and what to use instead
     * @throws JedisException when no master can be reached
     */
    public SwitchmasterPool(
            String masterName,
            Set<HostAndPort> sentinels,
            JedisClientConfig masterClientConfig,
            JedisClientConfig sentinelClientConfig) {
        this(masterName, sentinels, new GenericObjectPoolConfig<>(), masterClientConfig, sentinelClientConfig);
    }

    /**
     * As the constructor of JedisSentinelPool with these parameters.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels where they are
     * @param poolConfig of which maxTotal, minIdle, maxWait and blockWhenExhausted are used
     * @param masterClientConfig for the nodes
     * @param sentinelClientConfig for the sentinels
     * @throws IllegalArgumentException when a setting cannot be honoured; it says which, and what to use instead
     * @throws JedisException when no master can be reached
     */
    public SwitchmasterPool(
            String masterName,
            Set<HostAndPort> sentinels,
            GenericObjectPoolConfig<Jedis> poolConfig,
            JedisClientConfig masterClientConfig,
            JedisClientConfig sentinelClientConfig) {
        this(Settings.open(masterName, sentinels, poolConfig, masterClientConfig, sentinelClientConfig), poolConfig);
    }

    /**
     * As the constructor of JedisSentinelPool with these parameters.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels {@code host:port} each
     * @param poolConfig of which maxTotal, minIdle, maxWait and blockWhenExhausted are used
     */
    public SwitchmasterPool(
            String masterName,
            Set<String> sentinels,
            GenericObjectPoolConfig<Jedis> poolConfig) {
        this(masterName, parsed(sentinels), poolConfig,
                config(TIMEOUT, TIMEOUT, 0, null, null, 0, null),
                config(TIMEOUT, TIMEOUT, 0, null, null, 0, null));
    }

    /**
     * As the constructor of JedisSentinelPool with these parameters.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels {@code host:port} each
     */
    public SwitchmasterPool(String masterName, Set<String> sentinels) {
        this(masterName, parsed(sentinels), new GenericObjectPoolConfig<>(),
                config(TIMEOUT, TIMEOUT, 0, null, null, 0, null),
                config(TIMEOUT, TIMEOUT, 0, null, null, 0, null));
    }

    /**
     * As the constructor of JedisSentinelPool with these parameters.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels {@code host:port} each
     * @param password the password on the nodes, or null
     */
    public SwitchmasterPool(String masterName, Set<String> sentinels, String password) {
        this(masterName, parsed(sentinels), new GenericObjectPoolConfig<>(),
                config(TIMEOUT, TIMEOUT, 0, null, password, 0, null),
                config(TIMEOUT, TIMEOUT, 0, null, null, 0, null));
    }

    /**
     * As the constructor of JedisSentinelPool with these parameters.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels {@code host:port} each
     * @param password the password on the nodes, or null
     * @param sentinelPassword the password on the sentinels, or null
     */
    public SwitchmasterPool(
            String masterName,
            Set<String> sentinels,
            String password,
            String sentinelPassword) {
        this(masterName, parsed(sentinels), new GenericObjectPoolConfig<>(),
                config(TIMEOUT, TIMEOUT, 0, null, password, 0, null),
                config(TIMEOUT, TIMEOUT, 0, null, sentinelPassword, 0, null));
    }

    /**
     * As the constructor of JedisSentinelPool with these parameters.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels {@code host:port} each
     * @param poolConfig of which maxTotal, minIdle, maxWait and blockWhenExhausted are used
     * @param timeout for a connection to be made, and for a reply, in milliseconds; 0 for ever
     * @param password the password on the nodes, or null
     */
    public SwitchmasterPool(
            String masterName,
            Set<String> sentinels,
            GenericObjectPoolConfig<Jedis> poolConfig,
            int timeout,
            String password) {
        this(masterName, parsed(sentinels), poolConfig,
                config(timeout, timeout, 0, null, password, 0, null),
                config(TIMEOUT, TIMEOUT, 0, null, null, 0, null));
    }

    /**
     * As the constructor of JedisSentinelPool with these parameters.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels {@code host:port} each
     * @param poolConfig of which maxTotal, minIdle, maxWait and blockWhenExhausted are used
     * @param timeout for a connection to be made, and for a reply, in milliseconds; 0 for ever
     */
    public SwitchmasterPool(
            String masterName,
            Set<String> sentinels,
            GenericObjectPoolConfig<Jedis> poolConfig,
            int timeout) {
        this(masterName, parsed(sentinels), poolConfig,
                config(timeout, timeout, 0, null, null, 0, null),
                config(TIMEOUT, TIMEOUT, 0, null, null, 0, null));
    }

    /**
     * As the constructor of JedisSentinelPool with these parameters.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels {@code host:port} each
     * @param poolConfig of which maxTotal, minIdle, maxWait and blockWhenExhausted are used
     * @param password the password on the nodes, or null
     */
    public SwitchmasterPool(
            String masterName,
            Set<String> sentinels,
            GenericObjectPoolConfig<Jedis> poolConfig,
            String password) {
        this(masterName, parsed(sentinels), poolConfig,
                config(TIMEOUT, TIMEOUT, 0, null, password, 0, null),
                config(TIMEOUT, TIMEOUT, 0, null, null, 0, null));
    }

    /**
     * As the constructor of JedisSentinelPool with these parameters.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels {@code host:port} each
     * @param poolConfig of which maxTotal, minIdle, maxWait and blockWhenExhausted are used
     * @param timeout for a connection to be made, and for a reply, in milliseconds; 0 for ever
     * @param password the password on the nodes, or null
     * @param database the database to select
     */
    public SwitchmasterPool(
            String masterName,
            Set<String> sentinels,
            GenericObjectPoolConfig<Jedis> poolConfig,
            int timeout,
            String password,
            int database) {
        this(masterName, parsed(sentinels), poolConfig,
                config(timeout, timeout, 0, null, password, database, null),
                config(TIMEOUT, TIMEOUT, 0, null, null, 0, null));
    }

    /**
     * As the constructor of JedisSentinelPool with these parameters.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels {@code host:port} each
     * @param poolConfig of which maxTotal, minIdle, maxWait and blockWhenExhausted are used
     * @param timeout for a connection to be made, and for a reply, in milliseconds; 0 for ever
     * @param user the user on the nodes, or null
     * @param password the password on the nodes, or null
     * @param database the database to select
     */
    public SwitchmasterPool(
            String masterName,
            Set<String> sentinels,
            GenericObjectPoolConfig<Jedis> poolConfig,
            int timeout,
            String user,
            String password,
            int database) {
        this(masterName, parsed(sentinels), poolConfig,
                config(timeout, timeout, 0, user, password, database, null),
                config(TIMEOUT, TIMEOUT, 0, null, null, 0, null));
    }

    /**
     * As the constructor of JedisSentinelPool with these parameters.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels {@code host:port} each
     * @param poolConfig of which maxTotal, minIdle, maxWait and blockWhenExhausted are used
     * @param timeout for a connection to be made, and for a reply, in milliseconds; 0 for ever
     * @param password the password on the nodes, or null
     * @param database the database to select
     * @param clientName the name of connections in CLIENT LIST, or null
     */
    public SwitchmasterPool(
            String masterName,
            Set<String> sentinels,
            GenericObjectPoolConfig<Jedis> poolConfig,
            int timeout,
            String password,
            int database,
            String clientName) {
        this(masterName, parsed(sentinels), poolConfig,
                config(timeout, timeout, 0, null, password, database, clientName),
                config(TIMEOUT, TIMEOUT, 0, null, null, 0, null));
    }

    /**
     * As the constructor of JedisSentinelPool with these parameters.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels {@code host:port} each
     * @param poolConfig of which maxTotal, minIdle, maxWait and blockWhenExhausted are used
     * @param timeout for a connection to be made, and for a reply, in milliseconds; 0 for ever
     * @param user the user on the nodes, or null
     * @param password the password on the nodes, or null
     * @param database the database to select
     * @param clientName the name of connections in CLIENT LIST, or null
     */
    public SwitchmasterPool(
            String masterName,
            Set<String> sentinels,
            GenericObjectPoolConfig<Jedis> poolConfig,
            int timeout,
            String user,
            String password,
            int database,
            String clientName) {
        this(masterName, parsed(sentinels), poolConfig,
                config(timeout, timeout, 0, user, password, database, clientName),
                config(TIMEOUT, TIMEOUT, 0, null, null, 0, null));
    }

    /**
     * As the constructor of JedisSentinelPool with these parameters.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels {@code host:port} each
     * @param poolConfig of which maxTotal, minIdle, maxWait and blockWhenExhausted are used
     * @param connectionTimeout for a connection to be made, in milliseconds; 0 for ever
     * @param soTimeout for a reply, in milliseconds; 0 for ever
     * @param password the password on the nodes, or null
     * @param database the database to select
     */
    public SwitchmasterPool(
            String masterName,
            Set<String> sentinels,
            GenericObjectPoolConfig<Jedis> poolConfig,
            int connectionTimeout,
            int soTimeout,
            String password,
            int database) {
        this(masterName, parsed(sentinels), poolConfig,
                config(connectionTimeout, soTimeout, 0, null, password, database, null),
                config(TIMEOUT, TIMEOUT, 0, null, null, 0, null));
    }

    /**
     * As the constructor of JedisSentinelPool with these parameters.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels {@code host:port} each
     * @param poolConfig of which maxTotal, minIdle, maxWait and blockWhenExhausted are used
     * @param connectionTimeout for a connection to be made, in milliseconds; 0 for ever
     * @param soTimeout for a reply, in milliseconds; 0 for ever
     * @param user the user on the nodes, or null
     * @param password the password on the nodes, or null
     * @param database the database to select
     */
    public SwitchmasterPool(
            String masterName,
            Set<String> sentinels,
            GenericObjectPoolConfig<Jedis> poolConfig,
            int connectionTimeout,
            int soTimeout,
            String user,
            String password,
            int database) {
        this(masterName, parsed(sentinels), poolConfig,
                config(connectionTimeout, soTimeout, 0, user, password, database, null),
                config(TIMEOUT, TIMEOUT, 0, null, null, 0, null));
    }

    /**
     * As the constructor of JedisSentinelPool with these parameters.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels {@code host:port} each
     * @param poolConfig of which maxTotal, minIdle, maxWait and blockWhenExhausted are used
     * @param connectionTimeout for a connection to be made, in milliseconds; 0 for ever
     * @param soTimeout for a reply, in milliseconds; 0 for ever
     * @param password the password on the nodes, or null
     * @param database the database to select
     * @param clientName the name of connections in CLIENT LIST, or null
     */
    public SwitchmasterPool(
            String masterName,
            Set<String> sentinels,
            GenericObjectPoolConfig<Jedis> poolConfig,
            int connectionTimeout,
            int soTimeout,
            String password,
            int database,
            String clientName) {
        this(masterName, parsed(sentinels), poolConfig,
                config(connectionTimeout, soTimeout, 0, null, password, database, clientName),
                config(TIMEOUT, TIMEOUT, 0, null, null, 0, null));
    }

    /**
     * As the constructor of JedisSentinelPool with these parameters.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels {@code host:port} each
     * @param poolConfig of which maxTotal, minIdle, maxWait and blockWhenExhausted are used
     * @param connectionTimeout for a connection to be made, in milliseconds; 0 for ever
     * @param soTimeout for a reply, in milliseconds; 0 for ever
     * @param user the user on the nodes, or null
     * @param password the password on the nodes, or null
     * @param database the database to select
     * @param clientName the name of connections in CLIENT LIST, or null
     */
    public SwitchmasterPool(
            String masterName,
            Set<String> sentinels,
            GenericObjectPoolConfig<Jedis> poolConfig,
            int connectionTimeout,
            int soTimeout,
            String user,
            String password,
            int database,
            String clientName) {
        this(masterName, parsed(sentinels), poolConfig,
                config(connectionTimeout, soTimeout, 0, user, password, database, clientName),
                config(TIMEOUT, TIMEOUT, 0, null, null, 0, null));
    }

    /**
     * As the constructor of JedisSentinelPool with these parameters.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels {@code host:port} each
     * @param poolConfig of which maxTotal, minIdle, maxWait and blockWhenExhausted are used
     * @param connectionTimeout for a connection to be made, in milliseconds; 0 for ever
     * @param soTimeout for a reply, in milliseconds; 0 for ever
     * @param infiniteSoTimeout not used: a blocking command has its own timeout
     * @param user the user on the nodes, or null
     * @param password the password on the nodes, or null
     * @param database the database to select
     * @param clientName the name of connections in CLIENT LIST, or null
     */
    public SwitchmasterPool(
            String masterName,
            Set<String> sentinels,
            GenericObjectPoolConfig<Jedis> poolConfig,
            int connectionTimeout,
            int soTimeout,
            int infiniteSoTimeout,
            String user,
            String password,
            int database,
            String clientName) {
        this(masterName, parsed(sentinels), poolConfig,
                config(connectionTimeout, soTimeout, infiniteSoTimeout, user, password, database, clientName),
                config(TIMEOUT, TIMEOUT, 0, null, null, 0, null));
    }

    /**
     * As the constructor of JedisSentinelPool with these parameters.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels {@code host:port} each
     * @param poolConfig of which maxTotal, minIdle, maxWait and blockWhenExhausted are used
     * @param connectionTimeout for a connection to be made, in milliseconds; 0 for ever
     * @param soTimeout for a reply, in milliseconds; 0 for ever
     * @param password the password on the nodes, or null
     * @param database the database to select
     * @param clientName the name of connections in CLIENT LIST, or null
     * @param sentinelConnectionTimeout not used: the links to the sentinels have timeouts of their own
     * @param sentinelSoTimeout not used: the links to the sentinels have timeouts of their own
     * @param sentinelPassword the password on the sentinels, or null
     * @param sentinelClientName not used: the links to the sentinels have a name of their own
     */
    public SwitchmasterPool(
            String masterName,
            Set<String> sentinels,
            GenericObjectPoolConfig<Jedis> poolConfig,
            int connectionTimeout,
            int soTimeout,
            String password,
            int database,
            String clientName,
            int sentinelConnectionTimeout,
            int sentinelSoTimeout,
            String sentinelPassword,
            String sentinelClientName) {
        this(masterName, parsed(sentinels), poolConfig,
                config(connectionTimeout, soTimeout, 0, null, password, database, clientName),
                config(TIMEOUT, TIMEOUT, 0, null, sentinelPassword, 0, sentinelClientName));
    }

    /**
     * As the constructor of JedisSentinelPool with these parameters.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels {@code host:port} each
     * @param poolConfig of which maxTotal, minIdle, maxWait and blockWhenExhausted are used
     * @param connectionTimeout for a connection to be made, in milliseconds; 0 for ever
     * @param soTimeout for a reply, in milliseconds; 0 for ever
     * @param user the user on the nodes, or null
     * @param password the password on the nodes, or null
     * @param database the database to select
     * @param clientName the name of connections in CLIENT LIST, or null
     * @param sentinelConnectionTimeout not used: the links to the sentinels have timeouts of their own
     * @param sentinelSoTimeout not used: the links to the sentinels have timeouts of their own
     * @param sentinelUser the user on the sentinels, or null
     * @param sentinelPassword the password on the sentinels, or null
     * @param sentinelClientName not used: the links to the sentinels have a name of their own
     */
    public SwitchmasterPool(
            String masterName,
            Set<String> sentinels,
            GenericObjectPoolConfig<Jedis> poolConfig,
            int connectionTimeout,
            int soTimeout,
            String user,
            String password,
            int database,
            String clientName,
            int sentinelConnectionTimeout,
            int sentinelSoTimeout,
            String sentinelUser,
            String sentinelPassword,
            String sentinelClientName) {
        this(masterName, parsed(sentinels), poolConfig,
                config(connectionTimeout, soTimeout, 0, user, password, database, clientName),
                config(TIMEOUT, TIMEOUT, 0, sentinelUser, sentinelPassword, 0, sentinelClientName));
    }

    /**
     * As the constructor of JedisSentinelPool with these parameters.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels {@code host:port} each
     * @param poolConfig of which maxTotal, minIdle, maxWait and blockWhenExhausted are used
     * @param connectionTimeout for a connection to be made, in milliseconds; 0 for ever
     * @param soTimeout for a reply, in milliseconds; 0 for ever
     * @param infiniteSoTimeout not used: a blocking command has its own timeout
     * @param user the user on the nodes, or null
     * @param password the password on the nodes, or null
     * @param database the database to select
     * @param clientName the name of connections in CLIENT LIST, or null
     * @param sentinelConnectionTimeout not used: the links to the sentinels have timeouts of their own
     * @param sentinelSoTimeout not used: the links to the sentinels have timeouts of their own
     * @param sentinelUser the user on the sentinels, or null
     * @param sentinelPassword the password on the sentinels, or null
     * @param sentinelClientName not used: the links to the sentinels have a name of their own
     */
    public SwitchmasterPool(
            String masterName,
            Set<String> sentinels,
            GenericObjectPoolConfig<Jedis> poolConfig,
            int connectionTimeout,
            int soTimeout,
            int infiniteSoTimeout,
            String user,
            String password,
            int database,
            String clientName,
            int sentinelConnectionTimeout,
            int sentinelSoTimeout,
            String sentinelUser,
            String sentinelPassword,
            String sentinelClientName) {
        this(masterName, parsed(sentinels), poolConfig,
                config(connectionTimeout, soTimeout, infiniteSoTimeout, user, password, database, clientName),
                config(TIMEOUT, TIMEOUT, 0, sentinelUser, sentinelPassword, 0, sentinelClientName));
    }

    /**
     * Refuses: nothing can be read from a JedisFactory.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels {@code host:port} each
     * @param poolConfig of the pool
     * @param factory what cannot be honoured
     * @throws IllegalArgumentException always; it says which constructor to use
     */
    public SwitchmasterPool(
            String masterName, Set<String> sentinels, GenericObjectPoolConfig<Jedis> poolConfig, JedisFactory factory) {
        this(refused(factory), false);
    }

    /**
     * Refuses: nothing can be read from a JedisFactory.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels where they are
     * @param factory what cannot be honoured
     * @param sentinelClientConfig for the sentinels
     * @throws IllegalArgumentException always; it says which constructor to use
     */
    public SwitchmasterPool(
            String masterName, Set<HostAndPort> sentinels, JedisFactory factory, JedisClientConfig sentinelClientConfig) {
        this(refused(factory), false);
    }

    /**
     * Refuses: nothing can be read from a JedisFactory.
     *
     * @param masterName the name that the sentinels monitor the master under
     * @param sentinels where they are
     * @param poolConfig of the pool
     * @param factory what cannot be honoured
     * @param sentinelClientConfig for the sentinels
     * @throws IllegalArgumentException always; it says which constructor to use
     */
    public SwitchmasterPool(
            String masterName,
            Set<HostAndPort> sentinels,
            GenericObjectPoolConfig<Jedis> poolConfig,
            JedisFactory factory,
            JedisClientConfig sentinelClientConfig) {
        this(refused(factory), false);
    }

    private static Factory refused(JedisFactory factory) {
        throw new IllegalArgumentException("a JedisFactory (" + factory + ") cannot be used with SwitchmasterPool, for"
                + " nothing can be read from it: use SwitchmasterPool(String, Set<HostAndPort>,"
                + " GenericObjectPoolConfig<Jedis>, JedisClientConfig, JedisClientConfig) with the JedisClientConfig"
                + " that the JedisFactory was made from");
    }

    private static JedisClientConfig config(
            int connectionTimeout,
            int soTimeout,
            int infiniteSoTimeout,
            String user,
            String password,
            int database,
            String clientName) {
        return DefaultJedisClientConfig.builder()
                .connectionTimeoutMillis(connectionTimeout)
                .socketTimeoutMillis(soTimeout)
                .blockingSocketTimeoutMillis(infiniteSoTimeout)
                .user(user)
                .password(password)
                .database(database)
                .clientName(clientName)
                .build();
    }

    private static Set<HostAndPort> parsed(Set<String> sentinels) {
        Set<HostAndPort> parsed = new LinkedHashSet<>();
        for (String sentinel : sentinels) {
            parsed.add(HostAndPort.from(sentinel));
        }
        return parsed;
    }

    /**
     * The factory below, for what it tells: events, topology, statistics.
     *
     * @return it
     */
    public Factory factory() {
        return factory;
    }

    /**
     * The current master, as the sentinels announce it. Blocks never.
     *
     * @return its address; null when none is known
     */
    public HostAndPort getCurrentHostMaster() {
        try {
            return factory.master().map(SwitchmasterPool::address).orElse(null);
        } catch (SwitchmasterException failed) {
            throw Failures.ofPool("Could not tell the master", failed);
        }
    }

    static HostAndPort address(String master) {
        int colon = master.lastIndexOf(':');
        String host = master.substring(0, colon);
        boolean bracketed = host.startsWith("[") && host.endsWith("]");
        return new HostAndPort(
                bracketed ? host.substring(1, host.length() - 1) : host, Integer.parseInt(master.substring(colon + 1)));
    }

    /** As {@link #destroy()}. */
    @Override
    public void close() {
        destroy();
    }

    /**
     * Closes the pool, and its factory where that is the pool's own: whoever waits wakes with an exception. A second
     * time does nothing. Blocks for a second or two at most.
     */
    @Override
    public void destroy() {
        super.destroy();
        if (login != null) {
            login.end();
        }
        if (closesFactory) {
            factory.close();
        }
    }

    /** For logs: never a password. */
    @Override
    public String toString() {
        return "SwitchmasterPool{" + factory + (isClosed() ? ", closed" : "") + "}";
    }
}
