package io.switchmaster;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Objects;
import java.util.concurrent.locks.ReentrantLock;

/**
 * One connection of a factory, as a stream of bytes, for adapters that give another client library a socket.
 * Programs use {@link Handle}.
 *
 * <p>A lease stands on its factory's shelf between two uses, with what an adapter has attached to it.
 * {@link Factory#lease(long)} takes it, {@link #release()} puts it back. Whoever has taken it is its only
 * user, one thread at a time.
 *
 * <p>Each part that is sent passes the gate and waits behind the fence. While nothing is under way (every
 * command was sent whole, and every reply received), the lease moves to the next master by itself.
 */
public final class Lease {
    /** It has a connection of the factory, and nobody uses it. */
    static final int IDLE = 0;

    /** Nobody uses it, and it has no connection. */
    static final int EMPTY = 1;

    /** Somebody uses it. */
    static final int TAKEN = 2;

    private static final VarHandle STATE;
    private static final VarHandle USES;

    static {
        try {
            MethodHandles.Lookup lookup = MethodHandles.lookup();
            STATE = lookup.findVarHandle(Lease.class, "state", int.class);
            USES = lookup.findVarHandle(Lease.class, "uses", long.class);
        } catch (ReflectiveOperationException impossible) {
            throw new ExceptionInInitializerError(impossible);
        }
    }

    /** What commands are written into and replies are read from; grows when it has to. */
    private static final int MEMORY = 16 << 10;

    /** So long is waited for what no descriptor tells, before it is looked at again. */
    private static final long TURN_MS = 5;

    /** How much a writer begins with. */
    static final int FIRST = 512;

    /** So much memory is kept for the next pipeline. */
    private static final int SPARE = 64 << 10;

    /** No more is kept for the next user. */
    private static final int KEPT = 1 << 20;

    final Factory factory;

    private final boolean shelved;
    private final Poller.Sleeper sleeper = new Poller.Sleeper();

    /** Made with the first connection, for there are leases that never have one. */
    private Fault fault;

    private long err;

    private volatile int state = EMPTY;

    /** The number of the handle in the native library; 0 while there is none. */
    private volatile long handle;

    /** How often it was taken. Written by whoever has it, without the fence that a volatile write is. */
    private long uses;

    /** Where it was taken, when leaks are looked for. */
    private Throwable taken;

    private RespWriter writer;

    /** For the next pipeline, grown to what the last one needed. */
    private RespWriter spare;
    private RespReader reader;
    private ByteBuffer memory;
    private long address;
    private Object attachment;

    /** Whether anything was done on it since it was taken. */
    private boolean used;

    /** Whose turn it is at the handle, while two threads share it; null otherwise. */
    private volatile ReentrantLock turn;

    private Lease(Factory factory, boolean shelved) {
        this.factory = factory;
        this.shelved = shelved;
    }

    /** One that stands on its factory's shelf between two uses. */
    static Lease shelved(Factory factory) {
        return new Lease(factory, true);
    }

    /** One that ends with its first use. */
    static Lease loose(Factory factory) {
        Lease lease = new Lease(factory, false);
        lease.state = TAKEN;
        return lease;
    }

    // The shelf's.

    boolean take(int from) {
        return state == from && STATE.compareAndSet(this, from, TAKEN);
    }

    /** Whoever looks at the queue afterwards looks after this: a full fence. */
    void lay() {
        STATE.setVolatile(this, handle == 0 ? EMPTY : IDLE);
    }

    int state() {
        return state;
    }

    boolean isOpen() {
        return handle != 0;
    }

    /** With no fence: whoever looks for leaks may see it a moment later. */
    void noteUse(Throwable place) {
        if (place != null) {
            taken = place;
        }
        USES.setRelease(this, uses + 1);
    }

    long uses() {
        return (long) USES.getAcquire(this);
    }

    Throwable place() {
        return taken;
    }

    /** Takes a handle of the native pool. Blocks at most for so long. */
    void open(long timeoutMs) {
        int timeout = (int) Math.max(0, Math.min(timeoutMs, Integer.MAX_VALUE));
        prepare();
        boolean virtual = Threads.isVirtual();
        long number = Native.factoryGet(factory.number(), virtual ? 0 : timeout, err);
        if (number == 0 && virtual && timeout > 0 && fault.kind() != ErrorKind.CLOSED) {
            number = SlowLane.call(() -> Native.factoryGet(factory.number(), timeout, err));
        }
        adopt(number);
    }

    /** As {@link #open}, from a node that is said. Blocks for {@code get_timeout}. */
    void openFrom(ReadFrom from) {
        long factoryNumber = factory.number();
        prepare();
        adopt(Threads.isVirtual()
                ? SlowLane.call(() -> Native.factoryGetFrom(factoryNumber, from.ordinal(), err))
                : Native.factoryGetFrom(factoryNumber, from.ordinal(), err));
    }

    private void prepare() {
        if (fault == null) {
            fault = new Fault();
            err = fault.address();
        }
    }

    private void adopt(long number) {
        if (number == 0) {
            throw fault.exception();
        }
        handle = number;
    }

    /** Gives the handle back to the native pool. */
    void close() {
        long number = handle;
        handle = 0;
        // Whoever waits for it is told, and releases it when it is in a native just now.
        sleeper.nudge();
        Native.handleRelease(number);
    }

    /**
     * After a native: a handle that was let go of meanwhile could not be released, for it was in use.
     *
     * @param number the handle that was used
     */
    private void settle(long number) {
        if (handle != number) {
            Native.handleRelease(number);
        }
    }

    /** Why a native failed on this handle. */
    private SwitchmasterException failure(long number) {
        return handle == number ? fault.exception() : letGo();
    }

    private static SwitchmasterException letGo() {
        return new SwitchmasterException(ErrorKind.DEAD, Outcome.UNKNOWN,
                "another thread gave this connection back while a reply was awaited on it");
    }

    /** It will not be used again. */
    void end() {
        close();
        sleeper.forget();
        writer = null;
        spare = null;
        reader = null;
        memory = null;
        attachment = null;
    }

    // The adapters'.

    /**
     * Puts the lease back on its shelf. It must not be used afterwards. A connection that was left in the
     * midst of a stream, or holds state such as a subscription, is closed, and what was attached to it is
     * let go of. Blocks never.
     */
    public void release() {
        if (used) {
            used = false;
            turn = null;
            if (Native.handleIsClean(handle) == 0) {
                close();
                attachment = null;
            } else if (memory != null && memory.capacity() > KEPT) {
                memory = null;
            }
        }
        if (shelved) {
            factory.shelf().give(this);
        } else {
            end();
            state = EMPTY;
        }
    }

    /**
     * What an adapter has attached: its own object for this connection, which stays for the next who takes it.
     *
     * @return the object, or null
     */
    public Object attachment() {
        return attachment;
    }

    /**
     * Attaches an object.
     *
     * @param object it, or null for none
     */
    public void attach(Object object) {
        attachment = object;
    }

    /**
     * From now until the release, one thread may wait for what comes while another one sends: for connections
     * that are subscribed. The one that waits does so outside the native library, so a message takes some
     * microseconds longer.
     */
    public void share() {
        if (turn == null) {
            turn = new ReentrantLock();
        }
    }

    /**
     * Lets go of the connection, and takes another one: for an adapter whose user wants to begin anew. What was
     * under way is given up. Blocks for a connection, at most for {@code get_timeout}.
     *
     * @throws SwitchmasterException as {@link Factory#get()}; the lease is still to be released then
     */
    public void renew() {
        close();
        open(factory.getTimeoutMs());
    }

    /**
     * The factory it belongs to.
     *
     * @return the factory
     */
    public Factory factory() {
        return factory;
    }

    /**
     * The generation that the connection belongs to: it grows at each switch.
     *
     * @return the generation; 0 when there is no connection at the moment
     */
    public long generation() {
        return Native.handleGeneration(handle);
    }

    /**
     * Whether the connection leads to the master that is served now: not when there is none at the moment, or
     * when it moves with the next command that is sent. Never blocks.
     *
     * @return true while it does
     */
    public boolean isCurrent() {
        long generation = Native.handleGeneration(handle);
        return generation != 0 && generation == factory.latestGeneration();
    }

    /**
     * The version of the protocol that the connection speaks: 2 where the server refused RESP3, although the
     * factory was opened with it. It may change when the lease moves to another master. Never blocks.
     *
     * @return 2 or 3; 0 when there is no connection at the moment
     */
    public int protocol() {
        return Native.handleProtocol(handle);
    }

    /**
     * Sends a part of a stream of commands (RESP), in pieces of any size.
     *
     * <p>Blocks until everything is sent, at most for {@code command_timeout}, the wait behind the fence
     * included, and for {@code get_timeout} before that when it has to move to another connection. A
     * virtual thread does not hold its carrier meanwhile.
     *
     * @param bytes where the part lies
     * @param from where it begins
     * @param length how long it is
     * @throws SwitchmasterException with the outcome of all commands that are under way
     */
    public void send(byte[] bytes, int from, int length) {
        Objects.checkFromIndexSize(from, length, bytes.length);
        used = true;
        ReentrantLock shared = turn;
        if (shared == null) {
            sendAlone(bytes, from, length);
            return;
        }
        shared.lock();
        try {
            sendAlone(bytes, from, length);
        } finally {
            shared.unlock();
            // Whoever waits may have to wait in another way, or on another connection.
            sleeper.nudge();
        }
    }

    private void sendAlone(byte[] bytes, int from, int length) {
        long number = handle;
        int status = Threads.isVirtual() && sendWaits(number, length)
                ? SlowLane.call(() -> Native.handleSend(number, bytes, from, length, err))
                : Native.handleSend(number, bytes, from, length, err);
        settle(number);
        if (status != 0) {
            throw failure(number);
        }
    }

    private boolean sendWaits(long number, int length) {
        return Native.handleSendWaits(number, length, err) != 0;
    }

    /**
     * Receives a part of the stream of replies: at least a byte.
     *
     * <p>Blocks for as long as what is under way may take: {@code command_timeout} from the last part that was
     * sent, and the timeouts of blocking commands on top; without end where such a one is 0, or the
     * connection is subscribed. A switch ends it at once. A virtual thread does not hold its carrier
     * meanwhile.
     *
     * @param into where it goes
     * @param from from where on
     * @param length how much at most, not 0
     * @return how many bytes came
     * @throws SwitchmasterException as {@link #send}, and when no reply is to come
     */
    public int receive(byte[] into, int from, int length) {
        Objects.checkFromIndexSize(from, length, into.length);
        used = true;
        ReentrantLock shared = turn;
        if (shared != null) {
            return receiveShared(shared, into, from, length);
        }
        long number = handle;
        int received = Threads.isVirtual() && receiveWaits(number)
                ? SlowLane.call(() -> Native.handleReceive(number, into, from, length, err))
                : Native.handleReceive(number, into, from, length, err);
        settle(number);
        if (received < 0) {
            throw failure(number);
        }
        return received;
    }

    /** As {@link #receive}, while another thread may send: it waits with nothing held. */
    private int receiveShared(ReentrantLock shared, byte[] into, int from, int length) {
        boolean readable = false;
        long number = handle;
        while (true) {
            long waits;
            boolean armed;
            shared.lock();
            try {
                waits = Native.handleReceiveWaits(number, err);
                // Behind the fence, what has come waits in the native for the fence to end.
                if (waits <= 0 || (waits == 1 && readable)) {
                    int received = Native.handleReceive(number, into, from, length, err);
                    settle(number);
                    if (received < 0) {
                        throw failure(number);
                    }
                    return received;
                }
                armed = sleeper.arm(Native.handleDescriptor(number));
            } finally {
                shared.unlock();
            }
            // After it is armed: whoever lets go of it later nudges.
            if (handle != number) {
                throw letGo();
            }
            long millis = waits == 1 || !armed ? TURN_MS : waits - 1;
            readable = sleeper.sleep(millis);
        }
    }

    /**
     * Waits until a receive need not, or can only wait in the native: for what no descriptor tells.
     *
     * @return whether it has to
     */
    private boolean receiveWaits(long number) {
        while (true) {
            long waits = Native.handleReceiveWaits(number, err);
            if (waits <= 1) {
                return waits == 1;
            }
            if (!sleeper.arm(Native.handleDescriptor(number))) {
                return true;
            }
            // After it is armed: whoever lets go of it later nudges.
            if (handle != number) {
                throw letGo();
            }
            sleeper.sleep(waits - 1);
        }
    }

    // The codec's.

    /** For the commands of a call; empty. */
    RespWriter writer() {
        RespWriter commands = writer;
        if (commands == null) {
            commands = new RespWriter(FIRST);
            writer = commands;
        }
        commands.reset(MEMORY);
        return commands;
    }

    /** For the commands of a pipeline, which may be written while others are called; empty. */
    RespWriter takeSpare() {
        RespWriter taken = spare;
        spare = null;
        return taken == null ? new RespWriter(FIRST) : taken;
    }

    /** Keeps it for the next pipeline. */
    void giveSpare(RespWriter commands) {
        commands.reset(SPARE);
        spare = commands;
    }

    /** Memory outside of the heap, for at least so many bytes; what it has stays. */
    private ByteBuffer memory(int size) {
        ByteBuffer old = memory;
        if (old == null || old.capacity() < size) {
            memory = ByteBuffer.allocateDirect(Math.max(size, MEMORY)).order(ByteOrder.nativeOrder());
            address = Native.address(memory);
            if (old != null) {
                memory.put(old.flip());
            }
        }
        return memory;
    }

    /** Sends commands, and gives their replies, to be read before the next call. */
    RespReader exchange(RespWriter commands, int replies) {
        used = true;
        int length = commands.length();
        ByteBuffer direct = memory(length).clear().put(commands.bytes(), 0, length);
        if (reader == null) {
            reader = new RespReader();
        }
        if (Threads.isVirtual()) {
            return reader.of(exchangeInParts(length, replies));
        }
        long number = handle;
        long received = Native.handleExchange(number, address, length, address, direct.capacity(), err);
        Reference.reachabilityFence(direct);
        if (received < 0) {
            throw fault.exception();
        }
        if (received <= direct.capacity()) {
            return reader.of(direct.clear().limit((int) received));
        }
        if (received > Integer.MAX_VALUE) {
            throw tooLong(received);
        }
        return reader.of(Native.view(direct.getLong(0), received));
    }

    /**
     * The same, for a virtual thread, which waits here and not in the native. What is not read to its end for
     * want of memory, or of a thread, costs the connection: its rest would be the next command's reply.
     */
    private ByteBuffer exchangeInParts(int length, int replies) {
        boolean rests = false;
        long number = handle;
        try {
            int status = sendWaits(number, length)
                    ? SlowLane.call(() -> Native.handleSendDirect(number, address, length, err))
                    : Native.handleSendDirect(number, address, length, err);
            RespReader.Frames frames = new RespReader.Frames(replies);
            ByteBuffer direct = memory.clear();
            while (status >= 0 && !frames.areComplete(direct)) {
                if (!direct.hasRemaining()) {
                    direct = memory(larger(direct.capacity()));
                }
                long into = address + direct.position();
                int room = direct.remaining();
                status = receiveWaits(number)
                        ? SlowLane.call(() -> Native.handleReceiveDirect(number, into, room, err))
                        : Native.handleReceiveDirect(number, into, room, err);
                direct.position(direct.position() + Math.max(0, status));
            }
            // After a failure nothing is under way any more, says the native.
            rests = true;
            if (status < 0) {
                throw failure(number);
            }
            return direct.flip();
        } finally {
            if (!rests && handle == number) {
                close();
            }
        }
    }

    private static int larger(int capacity) {
        if (capacity == Integer.MAX_VALUE - 8) {
            throw tooLong(Integer.MAX_VALUE);
        }
        return (int) Math.min(2L * capacity, Integer.MAX_VALUE - 8);
    }

    private static SwitchmasterException tooLong(long bytes) {
        return new SwitchmasterException(ErrorKind.PROTOCOL, Outcome.REPLIED,
                "replies of " + bytes + " bytes or more are longer than a buffer of Java can be; ask for less at"
                        + " once");
    }
}
