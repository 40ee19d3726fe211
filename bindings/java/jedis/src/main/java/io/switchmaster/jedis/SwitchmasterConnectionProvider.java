package io.switchmaster.jedis;

import io.switchmaster.ErrorKind;
import io.switchmaster.Factory;
import io.switchmaster.Lease;
import io.switchmaster.Outcome;
import io.switchmaster.SwitchmasterException;
import java.util.Collections;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import redis.clients.jedis.CommandArguments;
import redis.clients.jedis.Connection;
import redis.clients.jedis.exceptions.JedisException;
import redis.clients.jedis.providers.ConnectionProvider;

/**
 * Connections of a {@link Factory} for Jedis's unified client:
 *
 * <pre>{@code
 * RedisClient redis = RedisClient.builder().connectionProvider(new SwitchmasterConnectionProvider(factory)).build();
 * }</pre>
 *
 * <p>Waits and errors are those of {@link SwitchmasterPool}. All settings of connections are the factory's; what the
 * client's own configuration says of them has no effect. {@code RedisClient.getPool()} is not supported, for there
 * is no such pool, and neither is client-side caching: {@link SwitchmasterClientBuilder} refuses {@code cacheConfig}. The
 * builder of Jedis ignores it, unless its configuration asks for RESP2; no provider can notice that.
 *
 * <p><b>Threads.</b> Any, as many at once as you like.
 */
public class SwitchmasterConnectionProvider implements ConnectionProvider {
    private final Factory factory;
    private final boolean closesFactory;

    /** The protocol of the first connection; 0 before there was one. */
    private final AtomicInteger told = new AtomicInteger();

    /**
     * A provider over a factory, which is not closed with it.
     *
     * @param factory open
     */
    public SwitchmasterConnectionProvider(Factory factory) {
        this(factory, false);
    }

    /**
     * A provider over a factory. Others may use the factory, too; they share its connections.
     *
     * @param factory open
     * @param closesFactory whether it is closed with the provider, and so with the client
     * @throws IllegalArgumentException when it speaks RESP3, and this version of Jedis does not
     */
    public SwitchmasterConnectionProvider(Factory factory, boolean closesFactory) {
        this.factory = Versions.checked(factory);
        this.closesFactory = closesFactory;
    }

    /**
     * The factory below.
     *
     * @return it
     */
    public Factory factory() {
        return factory;
    }

    /**
     * Takes a connection to the current master, to be closed. Blocks until one is free, at most for
     * {@code get_timeout} (5 s unless set).
     *
     * @return the connection
     * @throws JedisException when none was free in time, no master can be reached, or the factory is closed; the
     *     cause is a {@link SwitchmasterException}
     */
    @Override
    public Connection getConnection() {
        Lease lease;
        try {
            lease = factory.lease(-1);
        } catch (SwitchmasterException failed) {
            throw none(failed);
        }
        try {
            LeasedConnection connection = LeasedConnection.of(lease);
            checkProtocol(connection.resp());
            return connection;
        } catch (SwitchmasterException failed) {
            lease.attach(null);
            lease.release();
            throw none(failed);
        } catch (RuntimeException | Error failed) {
            lease.attach(null);
            lease.release();
            throw failed;
        }
    }

    private static RuntimeException none(SwitchmasterException failed) {
        return Failures.ofPool("Could not get a resource from the pool", failed);
    }

    /** Clients ask their first connection for its protocol, and decode the replies on all of them like that. */
    private void checkProtocol(int resp) {
        int first = told.compareAndExchange(0, resp);
        if (first != 0 && first != resp) {
            String message = "this master speaks RESP" + resp + ", and the clients of this provider were told RESP" + first
                    + " by the last one; open the factory with protocol(2)";
            throw new JedisException(
                    message, new SwitchmasterException(ErrorKind.PROTOCOL, Outcome.NOT_SENT, message, null));
        }
    }

    /** As {@link #getConnection()}: there is one master for all keys. */
    @Override
    public Connection getConnection(CommandArguments arguments) {
        return getConnection();
    }

    /**
     * This provider, under the name of its factory: there is no pool to be shown.
     *
     * @return one entry
     */
    @Override
    public Map<?, ?> getConnectionMap() {
        return Collections.singletonMap(factory.name(), this);
    }

    /** Closes the factory where that was asked for. */
    @Override
    public void close() {
        if (closesFactory) {
            factory.close();
        }
    }

    /** For logs: never a password. */
    @Override
    public String toString() {
        return "SwitchmasterConnectionProvider{" + factory + "}";
    }
}
