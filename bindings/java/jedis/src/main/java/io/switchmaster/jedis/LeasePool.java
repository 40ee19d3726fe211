package io.switchmaster.jedis;

import io.switchmaster.ErrorKind;
import io.switchmaster.Factory;
import io.switchmaster.Lease;
import io.switchmaster.Outcome;
import io.switchmaster.Stats;
import io.switchmaster.SwitchmasterException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import org.apache.commons.pool2.DestroyMode;
import org.apache.commons.pool2.impl.DefaultPooledObjectInfo;
import org.apache.commons.pool2.impl.GenericObjectPoolConfig;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.exceptions.JedisException;
import redis.clients.jedis.util.Pool;

/**
 * A pool of Jedis objects over the leases of a factory. It takes the place of all of the machinery that a Jedis
 * pool inherits: nothing of that is reached.
 */
@SuppressWarnings("this-escape") // The machinery above calls nothing of this class while it is made.
abstract class LeasePool extends Pool<Jedis> {
    final Factory factory;

    /** Whether to wait for one that is in use. */
    private final boolean waits;

    LeasePool(Factory factory, boolean waits, GenericObjectPoolConfig<Jedis> config) {
        super(plain(Versions.checked(factory), config), new NoObjects());
        this.factory = factory;
        this.waits = waits;
    }

    /** What the final getters of the machinery above are to tell, and no thread and no bean of it. */
    private static GenericObjectPoolConfig<Jedis> plain(Factory factory, GenericObjectPoolConfig<Jedis> from) {
        GenericObjectPoolConfig<Jedis> plain = new GenericObjectPoolConfig<>();
        Stats stats = factory.stats();
        plain.setJmxEnabled(false);
        plain.setMaxTotal((int) stats.max());
        plain.setMaxIdle((int) stats.max());
        plain.setMinIdle((int) stats.min());
        plain.setMaxWait(from.getMaxWaitDuration());
        plain.setBlockWhenExhausted(from.getBlockWhenExhausted());
        return plain;
    }

    /**
     * Takes a Jedis on the current master, to be closed. Blocks until one is free, at most for {@code maxWait} (5 s
     * where that is unlimited); when {@code blockWhenExhausted} is false, only for a connection to be made. While
     * the master is being replaced it may be one on the next master.
     *
     * @return the Jedis
     * @throws JedisException when none was free in time, no master can be reached, or the pool is closed; the cause
     *     is a {@link SwitchmasterException}
     */
    @Override
    public Jedis getResource() {
        Lease lease;
        try {
            lease = waits ? factory.lease(-1) : factory.leaseIfFree(-1);
        } catch (SwitchmasterException failed) {
            throw none(failed);
        }
        return jedis(lease);
    }

    private Jedis getResource(long millis) {
        Lease lease;
        try {
            lease = waits ? factory.lease(millis > 0 ? millis : -1) : factory.leaseIfFree(-1);
        } catch (SwitchmasterException failed) {
            throw none(failed);
        }
        return jedis(lease);
    }

    private Jedis jedis(Lease lease) {
        if (lease == null) {
            throw none(new SwitchmasterException(ErrorKind.POOL_TIMEOUT, Outcome.NOT_SENT, "all " + getMaxTotal()
                    + " connections are in use, and blockWhenExhausted is false", null));
        }
        try {
            return Link.protocol(lease) == 3 ? new LeasedJedis(Link.single(lease)) : LeasedConnection.of(lease).jedis();
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

    /**
     * Gives a Jedis back, as its close does. Blocks only to end a transaction or a pipeline that was left open.
     *
     * @param resource of this pool; null does nothing
     */
    @Override
    public void returnResource(Jedis resource) {
        if (resource != null) {
            ours(resource).close();
        }
    }

    /**
     * Gives a Jedis back that is not to be used again. Blocks never.
     *
     * @param resource of this pool; null does nothing
     */
    @Override
    public void returnBrokenResource(Jedis resource) {
        if (resource != null) {
            ours(resource).closeBroken();
        }
    }

    private LeasedJedis ours(Jedis resource) {
        if (resource instanceof LeasedJedis) {
            LeasedJedis leased = (LeasedJedis) resource;
            if (leased.link().factory() == factory) {
                return leased;
            }
        }
        throw new JedisException(resource + " is not of this pool: " + this);
    }

    /**
     * Has a connection ready, if there is none.
     *
     * @throws JedisException as {@link #getResource()}
     */
    @Override
    public void addObject() {
        addObjects(1);
    }

    /**
     * Has so many connections ready, as far as they are not in use. Blocks for those that have to be made.
     *
     * @param count how many
     * @throws JedisException as {@link #getResource()}
     */
    @Override
    public void addObjects(int count) {
        List<Lease> leases = new ArrayList<>();
        try {
            Lease lease;
            while (leases.size() < count && (lease = factory.leaseIfFree(-1)) != null) {
                leases.add(lease);
            }
        } catch (SwitchmasterException failed) {
            throw Failures.ofPool("Error trying to add idle objects", failed);
        } finally {
            leases.forEach(Lease::release);
        }
    }

    /** As {@link #getResource()}. */
    @Override
    public Jedis borrowObject() {
        return getResource();
    }

    /**
     * As {@link #getResource()}, with a wait of its own.
     *
     * @param maxWait how long at most; the pool's own where it is 0 or negative
     */
    @Override
    public Jedis borrowObject(Duration maxWait) {
        return getResource(maxWait.toMillis());
    }

    /**
     * As {@link #getResource()}, with a wait of its own.
     *
     * @param maxWaitMillis how long at most; the pool's own where it is 0 or negative
     * @deprecated say it as a Duration
     */
    @Override
    @Deprecated
    public Jedis borrowObject(long maxWaitMillis) {
        return getResource(maxWaitMillis);
    }

    /** As {@link #returnResource}. */
    @Override
    public void returnObject(Jedis resource) {
        returnResource(resource);
    }

    /** As {@link #returnBrokenResource}. */
    @Override
    public void invalidateObject(Jedis resource) {
        returnBrokenResource(resource);
    }

    /** As {@link #returnBrokenResource}. */
    @Override
    public void invalidateObject(Jedis resource, DestroyMode mode) {
        returnBrokenResource(resource);
    }

    /** Does nothing: the factory knows which of its connections are good. */
    @Override
    public void clear() {}

    /** Does nothing: the factory looks after idle connections. */
    @Override
    public void evict() {}

    /** Does nothing: the factory keeps {@code minIdle} connections. */
    @Override
    public void preparePool() {}

    /** Does nothing. */
    @Override
    public void use(Jedis resource) {}

    /**
     * How many connections are in use, by this pool and whoever shares its factory.
     *
     * @return the number; 0 after the factory was closed
     */
    @Override
    public int getNumActive() {
        return factory.isClosed() ? 0 : (int) stats().inUse();
    }

    /**
     * How many connections stand ready.
     *
     * @return the number; 0 after the factory was closed
     */
    @Override
    public int getNumIdle() {
        return factory.isClosed() ? 0 : (int) stats().idle();
    }

    /**
     * How many threads wait for a connection.
     *
     * @return the number; 0 after the factory was closed
     */
    @Override
    public int getNumWaiters() {
        return factory.isClosed() ? 0 : (int) stats().waiting();
    }

    private Stats stats() {
        try {
            return factory.stats();
        } catch (SwitchmasterException failed) {
            throw Failures.ofPool("Could not tell the state of the pool", failed);
        }
    }

    /**
     * Empty: the objects are the factory's. {@link Factory#stats()} counts them.
     *
     * @return nothing
     */
    @Override
    public Set<DefaultPooledObjectInfo> listAllObjects() {
        return Collections.emptySet();
    }
}
