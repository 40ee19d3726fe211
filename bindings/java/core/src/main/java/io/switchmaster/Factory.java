package io.switchmaster;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Follows one service: it asks the sentinels who is master, keeps connections to it, and gives them out as
 * handles. When the master is replaced, it notices, and so do its handles.
 *
 * <pre>{@code
 * try (Factory factory = Factory.open("redis+sentinel://10.0.0.1,10.0.0.2,10.0.0.3/mymaster");
 *         Handle redis = factory.get()) {
 *     redis.command("SET", "greeting", "hello");
 * }
 * }</pre>
 *
 * <p><b>Threads.</b> Any, as many at once as you like; virtual ones do not hold their carriers. The native
 * library has a constant number of threads of its own for all factories of the process, of which the
 * virtual machine knows nothing; in Java there is one, which looks after the pools, one for virtual threads
 * once those have waited, and one for each factory that logs or has listeners.
 *
 * <p><b>Log.</b> The logger is {@code io.switchmaster.Factory} (SLF4J). What happens to the service goes there:
 * a switch at INFO, a sentinel that is lost at WARN, details at DEBUG. A factory logs when WARN is enabled as
 * it is opened; otherwise it has no thread for that.
 */
public final class Factory implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Factory.class);

    private final long number;
    private final String name;
    private final String service;
    private final int database;
    private final int protocol;
    private final long getTimeoutMs;
    private final long leakAfterMs;
    private final Shelf shelf;
    private final EventPump events;
    private final Leaks leaks;

    /** Kept here: the native library has them weakly. */
    private final List<CredentialsCall> credentials;

    private final Housekeeper.Watched watched;
    private final AtomicBoolean closed = new AtomicBoolean();

    /** The housekeeper's. */
    private long servedGeneration;

    /** What JMX shows; null when it shows nothing. */
    private PoolBean bean;

    private Factory(long number, Options options, String name, long leakAfterMs) {
        this.number = number;
        this.credentials = options.calls();
        this.service = options.get("service");
        this.name = name == null ? service : name;
        this.database = Integer.parseInt(options.get("db"));
        this.protocol = Integer.parseInt(options.get("protocol"));
        this.getTimeoutMs = options.millis("get_timeout");
        this.leakAfterMs = leakAfterMs;
        this.shelf = new Shelf(this, Integer.parseInt(options.get("max_size")));
        this.events = new EventPump(number, this.name);
        this.leaks = leakAfterMs > 0 ? new Leaks(shelf, leakAfterMs) : null;
        this.watched = Housekeeper.add(this);
    }

    /**
     * Opens a factory for a service that is named by a URL:
     * {@code redis+sentinel://[user][:password@]host[:port][,host[:port]...]/service[/db][?option=value&...]}, or
     * {@code rediss+sentinel://...} for TLS to the nodes. The options are those of the builder, with their
     * names in the manner of {@code max_size}.
     *
     * <p>Blocks until the master is known and a connection to it stands, at most for {@code connect_timeout}
     * (5 s unless set).
     *
     * @param url the URL
     * @return the factory, to be closed
     * @throws SwitchmasterException of kind {@link ErrorKind#INVALID_URL}, and as {@link Builder#build()}
     */
    public static Factory open(String url) {
        return builder(url).build();
    }

    /**
     * Settings, all of them the defaults.
     *
     * @return a new builder
     */
    public static Builder builder() {
        return new Builder(null);
    }

    /**
     * Settings, those of a URL to begin with.
     *
     * @param url as for {@link #open(String)}
     * @return a new builder
     */
    public static Builder builder(String url) {
        return new Builder(Objects.requireNonNull(url, "url"));
    }

    static Factory open(Options options, String name) {
        // Leaks are found up here: the native library would take what stands on the shelf for one.
        long leakAfterMs = options.millis("leak_after");
        long number = options.openWithout("leak_after");
        try {
            return new Factory(number, options, name, leakAfterMs);
        } catch (RuntimeException | Error failed) {
            // No memory, or no thread: nobody else knows of it.
            Native.factoryClose(number);
            throw failed;
        }
    }

    /** What is seen of it from outside begins, before anybody has it. */
    Factory shown(boolean byJmx) {
        if (byJmx) {
            bean = PoolBean.register(this);
            watched.registered(bean);
        }
        if (LOG.isWarnEnabled()) {
            events.add(new EventLog(LOG, name));
        }
        LOG.info("{} is open", this);
        return this;
    }

    /**
     * Takes a handle to the current master. Blocks until one is free, at most for {@code get_timeout} (5 s unless
     * set); while the master is being replaced that may be one to the next master. Those who wait are served in
     * the order in which they came.
     *
     * @return the handle, to be closed
     * @throws SwitchmasterException of kind {@link ErrorKind#POOL_TIMEOUT}, {@link ErrorKind#NO_MASTER},
     *     {@link ErrorKind#DISCONNECTED}, {@link ErrorKind#CLOSED}
     */
    public Handle get() {
        return new Handle(lease(getTimeoutMs));
    }

    /**
     * As {@link #get()}, with a wait of its own.
     *
     * @param timeout how long at most, rounded up to milliseconds; zero or less does not wait
     * @return the handle, to be closed
     * @throws SwitchmasterException as {@link #get()}
     */
    public Handle get(Duration timeout) {
        return new Handle(take(millis(timeout)));
    }

    /** In whole milliseconds, rounded up; 0 when it is over, and no more than a native takes. */
    private static int millis(Duration timeout) {
        if (timeout.isNegative() || timeout.isZero()) {
            return 0;
        }
        boolean most = timeout.getSeconds() >= Integer.MAX_VALUE / 1_000;
        return most ? Integer.MAX_VALUE : (int) timeout.plusNanos(999_999).toMillis();
    }

    /**
     * Takes a handle if one is free at once. Blocks never.
     *
     * @return the handle, to be closed; empty when there is none
     * @throws SwitchmasterException of kind {@link ErrorKind#CLOSED}
     */
    public Optional<Handle> tryGet() {
        try {
            return Optional.of(get(Duration.ZERO));
        } catch (SwitchmasterException none) {
            if (none.kind() == ErrorKind.CLOSED) {
                throw none;
            }
            return Optional.empty();
        }
    }

    /**
     * Takes a connection as a stream of bytes, for an adapter. Blocks as {@link #get(Duration)}.
     *
     * @param timeoutMs how long at most, in milliseconds; negative for {@code get_timeout}
     * @return the lease, to be released
     * @throws SwitchmasterException as {@link #get()}
     */
    public Lease lease(long timeoutMs) {
        return take(timeoutMs < 0 ? getTimeoutMs : timeoutMs);
    }

    private Lease take(long timeoutMs) {
        // Made first: when there is no memory for it, nothing was taken.
        Throwable place = place();
        Lease lease = shelf.take(timeoutMs);
        lease.noteUse(place);
        if (leaks != null && !lease.isShelved()) {
            watch(lease);
        }
        return lease;
    }

    private void watch(Lease lease) {
        try {
            leaks.add(lease);
        } catch (Throwable failed) {
            lease.release();
            throw failed;
        }
    }

    /** Counts the return of a lease that is not on the shelf. */
    void ended(Lease lease) {
        if (leaks != null) {
            leaks.remove(lease);
        }
    }

    /**
     * As {@link #lease}, without a wait for one that is in use. Blocks only for a connection to be made.
     *
     * @param timeoutMs how long that may take at most, in milliseconds; negative for {@code get_timeout}
     * @return the lease, to be released; null when all are in use
     * @throws SwitchmasterException as {@link #get()}
     */
    public Lease leaseIfFree(long timeoutMs) {
        Throwable place = place();
        Lease lease = shelf.takeFree(timeoutMs < 0 ? getTimeoutMs : timeoutMs);
        if (lease != null) {
            lease.noteUse(place);
        }
        return lease;
    }

    private Throwable place() {
        return leaks == null ? null : new Throwable("the handle was taken here");
    }

    /**
     * Takes a handle to a replica, for commands that only read. Blocks at most for {@code get_timeout}.
     *
     * @return the handle, to be closed
     * @throws SwitchmasterException of kind {@link ErrorKind#NO_REPLICA}, and as {@link #get()}
     */
    public Handle replica() {
        return get(ReadFrom.REPLICA);
    }

    /**
     * Takes a handle to a node that is said. Blocks at most for {@code get_timeout}.
     *
     * @param from which
     * @return the handle, to be closed
     * @throws SwitchmasterException of kind {@link ErrorKind#NO_REPLICA}, and as {@link #get()}
     */
    public Handle get(ReadFrom from) {
        return from == ReadFrom.MASTER ? get() : new Handle(takeFrom(from));
    }

    private Lease takeFrom(ReadFrom from) {
        if (closed.get()) {
            throw closed();
        }
        Throwable place = place();
        Lease lease = Lease.loose(this);
        lease.openFrom(from);
        lease.noteUse(place);
        shelf.counters().gaveExtra();
        if (leaks != null) {
            watch(lease);
        }
        return lease;
    }

    /**
     * Takes a handle, does some work on it, and gives it back; again for as long as the work fails with
     * {@link Outcome#NOT_SENT}, which it does only when nothing of its last command was sent: at most until
     * {@code get_timeout} is over. So the work is to be one command, or such that it may begin anew.
     *
     * @param work the work
     * @param <T> its result
     * @return what the work returned
     * @throws SwitchmasterException what the work threw the last time
     */
    public <T> T run(Function<? super Handle, T> work) {
        return run(work, Outcome.NOT_SENT);
    }

    /**
     * As {@link #run}, also again after {@link Outcome#UNKNOWN}: for work that may run twice.
     *
     * @param work the work
     * @param <T> its result
     * @return what the work returned
     * @throws SwitchmasterException what the work threw the last time
     */
    public <T> T runIdempotent(Function<? super Handle, T> work) {
        return run(work, Outcome.UNKNOWN);
    }

    private <T> T run(Function<? super Handle, T> work, Outcome again) {
        long begun = System.nanoTime();
        while (true) {
            long left = getTimeoutMs - (System.nanoTime() - begun) / 1_000_000;
            try (Handle handle = get(Duration.ofMillis(Math.max(0, left)))) {
                return work.apply(handle);
            } catch (RuntimeException failed) {
                SwitchmasterException ours = SwitchmasterException.in(failed);
                boolean over = (System.nanoTime() - begun) / 1_000_000 >= getTimeoutMs;
                if (over || ours == null || ours.outcome().compareTo(again) > 0 || isFinal(ours.kind())) {
                    throw failed;
                }
            }
        }
    }

    /** What fails in the same way the next time. */
    private static boolean isFinal(ErrorKind kind) {
        switch (kind) {
            case CLOSED:
            case ARGUMENT:
            case DEAD:
            case BUSY:
            case FORKED:
            case INVALID_CONFIG:
            case AUTHENTICATION:
            case PERMISSION:
            case POOL_TIMEOUT:
                return true;
            default:
                return false;
        }
    }

    /**
     * How many masters were served so far, the current one included. It grows by one at each switch. Blocks
     * never.
     *
     * @return the generation
     */
    public long generation() {
        Fault fault = new Fault();
        long generation = Native.factoryGeneration(number, fault.address());
        if (generation < 0) {
            throw fault.exception();
        }
        return generation;
    }

    /**
     * Waits for a generation after another.
     *
     * @param after the generation that was seen last
     * @param timeout how long at most, rounded up to milliseconds
     * @return the generation that was reached; empty when there was no switch in that time
     * @throws SwitchmasterException of kind {@link ErrorKind#CLOSED}
     */
    public Optional<Long> waitForGeneration(long after, Duration timeout) {
        Fault fault = new Fault();
        int millis = millis(timeout);
        long reached = Threads.isVirtual()
                ? SlowLane.call(() -> Native.factoryWaitForGeneration(number, after, millis, fault.address()))
                : Native.factoryWaitForGeneration(number, after, millis, fault.address());
        if (reached >= 0) {
            return Optional.of(reached);
        }
        if (fault.kind() == ErrorKind.NOTHING) {
            return Optional.empty();
        }
        throw fault.exception();
    }

    /**
     * The address of the current master, as the sentinels announce it. Blocks never.
     *
     * @return {@code host:port}; empty when none is known
     * @throws SwitchmasterException of kind {@link ErrorKind#CLOSED}
     */
    public Optional<String> master() {
        Fault fault = new Fault();
        byte[] master = Native.factoryMaster(number, fault.address());
        if (master == null && fault.kind() != ErrorKind.NOTHING) {
            throw fault.exception();
        }
        return Optional.ofNullable(master).map(it -> new String(it, StandardCharsets.UTF_8));
    }

    /**
     * Everything that is known of the service. Blocks for the turn of another thread, some microseconds.
     *
     * @return the picture of this moment
     * @throws SwitchmasterException of kind {@link ErrorKind#CLOSED}
     */
    public Topology topology() {
        Fault fault = new Fault();
        byte[] topology = Native.factoryTopology(number, fault.address());
        if (topology == null) {
            throw fault.exception();
        }
        return Topology.read(topology);
    }

    /**
     * What the factory did, and the state of its pool. Blocks never.
     *
     * @return the numbers of this moment
     * @throws SwitchmasterException of kind {@link ErrorKind#DEAD} when it is closed
     */
    public Stats stats() {
        return Stats.read(this, shelf);
    }

    /**
     * Has a listener told what happens from now on, by the daemon thread {@code switchmaster-events-NAME}. It
     * begins with the first listener, the log being one, and ends when the factory is closed.
     *
     * @param listener it
     */
    public void addListener(EventListener listener) {
        events.add(Objects.requireNonNull(listener, "listener"));
    }

    /**
     * Has a listener told no more.
     *
     * @param listener it
     * @return whether it was a listener
     */
    public boolean removeListener(EventListener listener) {
        return events.remove(listener);
    }

    /**
     * Queries the sentinels now, instead of at their next turn. This is optional: every sign of trouble
     * does the same. Also calls the provider of {@link Builder#credentials}, if there is one: after a change of
     * the password, idle connections log in again at once. Never blocks.
     */
    public void refresh() {
        Fault fault = new Fault();
        if (Native.factoryRefresh(number, fault.address()) != 0) {
            throw fault.exception();
        }
    }

    /**
     * The name that the sentinels monitor the master under.
     *
     * @return the service
     */
    public String service() {
        return service;
    }

    /**
     * The name for logs, threads, metrics and JMX.
     *
     * @return the builder's name, or the service
     */
    public String name() {
        return name;
    }

    /**
     * Whether it was closed.
     *
     * @return true from the first {@link #close()} on
     */
    public boolean isClosed() {
        return closed.get();
    }

    /**
     * Closes the factory: its connections, its links to the sentinels, and with the last factory of the process
     * the threads. Whoever waits on it or on its handles wakes, with {@link ErrorKind#CLOSED}. Handles that
     * are out are to be closed as ever. A second close does nothing.
     *
     * <p>Blocks until the threads have ended, for a second or two at most.
     */
    @Override
    public void close() {
        if (closed.compareAndSet(false, true)) {
            if (bean != null) {
                bean.unregister();
            }
            shelf.close();
            Native.factoryClose(number);
            events.end();
            Housekeeper.remove(watched);
            LOG.info("Factory{{}} is closed", name);
        }
    }

    /**
     * The database that connections select.
     *
     * @return its number
     */
    public int database() {
        return database;
    }

    /**
     * Returns the version of the protocol that the factory asks the nodes for. A connection speaks RESP2 when the
     * node refuses RESP3; {@link Lease#protocol()} returns what a connection speaks.
     *
     * @return 2 or 3
     */
    public int protocol() {
        return protocol;
    }

    long getTimeoutMs() {
        return getTimeoutMs;
    }

    /** The generation, or 0 of a factory that is closed. For those who wait, and have a fault of their own. */
    long latestGeneration() {
        return Math.max(0, Native.factoryGeneration(number, 0));
    }

    Shelf shelf() {
        return shelf;
    }

    long number() {
        return number;
    }

    /** Once a second. */
    void lookAfter(boolean returnsIdle) {
        lookForLeaks();
        long now = latestGeneration();
        // What stands there belongs to a master that was replaced, and is counted by nobody.
        if (returnsIdle || now != servedGeneration) {
            servedGeneration = now;
            shelf.returnIdle();
        }
    }

    void lookForLeaks() {
        if (leaks != null) {
            leaks.look((place, millis) -> LOG.warn(
                    "{}: a handle has been out for more than {} ms, and leak_after is {} ms; close it, or raise"
                            + " leak_after if it is meant to be kept",
                    name, millis, leakAfterMs, place));
        }
    }

    private static SwitchmasterException closed() {
        return new SwitchmasterException(ErrorKind.CLOSED, Outcome.NOT_SENT, "the factory is closed");
    }

    /** For logs: name, master and generation, never a password. Blocks never. */
    @Override
    public String toString() {
        String of = name.equals(service) ? "" : ", service " + service;
        return "Factory{" + name + of + ", " + state() + "}";
    }

    private String state() {
        if (!closed.get()) {
            try {
                return "master " + master().orElse("unknown") + ", generation " + generation();
            } catch (SwitchmasterException meanwhile) {
                return "closed";
            }
        }
        return "closed";
    }
}
