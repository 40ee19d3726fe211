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

    /** The place of one that ends with its first use. */
    private static final int LOOSE = -1;

    final Factory factory;

    /** Its place on the shelf; {@link #LOOSE} when it has none. */
    private final int place;

    private volatile int state = EMPTY;

    /** Made with the first connection, since some leases never have one, and again after it was lost. */
    private volatile OpenHandle open;

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

    /** True after a command was called on it since it was taken. */
    private boolean used;

    /** True after a use as a stream since it was taken: by threads that its owner may not know of. */
    private boolean streamed;

    /** The looks of {@link Leaks}: the use that it saw last, since when, and whether it reported that. */
    long seenUse;

    long seenSince;

    boolean reported;

    /** Whose turn it is at the handle, while two threads share it; null otherwise. */
    private volatile ReentrantLock turn;

    private Lease(Factory factory, int place) {
        this.factory = factory;
        this.place = place;
    }

    /** One that stands on its factory's shelf between two uses. */
    static Lease shelved(Factory factory, int place) {
        return new Lease(factory, place);
    }

    /** One that ends with its first use. */
    static Lease loose(Factory factory) {
        Lease lease = new Lease(factory, LOOSE);
        lease.state = TAKEN;
        return lease;
    }

    // The shelf's.

    boolean take(int from) {
        return state == from && STATE.compareAndSet(this, from, TAKEN);
    }

    /** Whoever looks at the queue afterwards looks after this: a full fence. */
    void lay() {
        STATE.setVolatile(this, isOpen() ? IDLE : EMPTY);
    }

    int place() {
        return place;
    }

    boolean isShelved() {
        return place != LOOSE;
    }

    int state() {
        return state;
    }

    boolean isOpen() {
        OpenHandle current = open;
        return current != null && current.number() != 0;
    }

    /** With no fence: whoever looks for leaks may see it a moment later. */
    void noteUse(Throwable place) {
        if (place != null) {
            taken = place;
        }
        USES.setRelease(this, uses + 1);
        OpenHandle current = open;
        if (current.isClosed()) {
            current.reopen();
        }
    }

    long uses() {
        return (long) USES.getAcquire(this);
    }

    Throwable whereTaken() {
        return taken;
    }

    /** Takes a handle of the native pool. Blocks at most for so long. */
    void open(long timeoutMs) {
        prepared().open(factory, timeoutMs);
    }

    /** As {@link #open}, from a node that is said. Blocks for {@code get_timeout}. */
    void openFrom(ReadFrom from) {
        prepared().openFrom(factory, from);
    }

    private OpenHandle prepared() {
        if (open == null) {
            open = new OpenHandle();
        }
        return open;
    }

    /** Returns the handle to the native pool; the last thread that is inside does, if there is one. */
    void close() {
        OpenHandle current = open;
        if (current != null) {
            if (current.letGo()) {
                current.release();
            } else {
                open = null;
            }
        }
    }

    /** The connection, for a call. */
    private OpenHandle connection(Outcome outcome) {
        OpenHandle current = open;
        if (current == null || current.number() == 0) {
            throw new SwitchmasterException(ErrorKind.DEAD, outcome, "this lease has no connection: it was given"
                    + " back, or its connection was given up after an error");
        }
        return current;
    }

    /** It will not be used again. */
    void end() {
        OpenHandle current = open;
        close();
        if (current != null && open == current) {
            current.sleeper.forget();
            open = null;
        }
        writer = null;
        spare = null;
        reader = null;
        memory = null;
        attachment = null;
    }

    // The adapters'.

    /**
     * Puts the lease back on its shelf. It must not be used afterwards. A connection that was left in the
     * midst of a stream, or holds state such as a subscription, is closed, and its
     * attachment is dropped; also when another thread is using the lease. Calls of that thread, and later ones,
     * fail with {@link ErrorKind#DEAD} then. Never blocks.
     */
    public void release() {
        OpenHandle current = open;
        boolean given = current == null || finish(current);
        if (!isShelved()) {
            end();
            state = EMPTY;
            factory.ended(this);
        } else if (given) {
            factory.shelf().give(this);
        } else {
            factory.shelf().replace(this);
        }
    }

    /**
     * Looks at what was done on the connection.
     *
     * @return true when the next user may have this lease: no thread of this one can come back to it
     */
    private boolean finish(OpenHandle current) {
        // In this order: the work of a thread that has left is complete.
        boolean inside = current.isEntered();
        boolean stream = streamed || inside;
        if (!stream && !used) {
            return true;
        }
        used = false;
        streamed = false;
        turn = null;
        if (stream && !current.letGo()) {
            open = null;
            attachment = null;
            return false;
        }
        if (Native.handleIsClean(current.number()) == 0) {
            close();
            attachment = null;
            return !stream;
        }
        if (memory != null && memory.capacity() > KEPT) {
            memory = null;
        }
        return true;
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
        OpenHandle current = open;
        return current == null ? 0 : Native.handleGeneration(current.number());
    }

    /**
     * Returns true while the connection leads to the master that is served now. Returns false when there is no
     * master at the moment, or when the connection moves with the next command. Never blocks.
     *
     * @return true while it does
     */
    public boolean isCurrent() {
        long generation = generation();
        return generation != 0 && generation == factory.latestGeneration();
    }

    /**
     * The version of the protocol that the connection speaks: 2 where the server refused RESP3, although the
     * factory was opened with it. It may change when the lease moves to another master. Never blocks.
     *
     * @return 2 or 3; 0 when there is no connection at the moment
     */
    public int protocol() {
        OpenHandle current = open;
        return current == null ? 0 : Native.handleProtocol(current.number());
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
        OpenHandle current = connection(Outcome.NOT_SENT);
        ReentrantLock shared = turn;
        current.enter(OpenHandle.SENDER, shared != null, Outcome.NOT_SENT);
        try {
            streamed = true;
            if (shared == null) {
                sendAlone(current, bytes, from, length);
                return;
            }
            shared.lock();
            try {
                sendAlone(current, bytes, from, length);
            } finally {
                shared.unlock();
                // A waiting thread may have to wait in another way, or on another connection.
                current.sleeper.nudge();
            }
        } finally {
            current.leave(OpenHandle.SENDER);
        }
    }

    private static void sendAlone(OpenHandle current, byte[] bytes, int from, int length) {
        long number = current.number();
        long status = Threads.isVirtual() && sendWaits(current, length)
                ? SlowLane.call(() -> Native.handleSend(number, bytes, from, length, current.err))
                : Native.handleSend(number, bytes, from, length, current.err);
        if (status != 0) {
            throw current.failure();
        }
    }

    private static boolean sendWaits(OpenHandle current, int length) {
        return Native.handleSendWaits(current.number(), length, current.err) != 0;
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
        OpenHandle current = connection(Outcome.UNKNOWN);
        ReentrantLock shared = turn;
        current.enter(OpenHandle.RECEIVER, shared != null, Outcome.UNKNOWN);
        try {
            streamed = true;
            if (shared != null) {
                return receiveShared(current, shared, into, from, length);
            }
            long number = current.number();
            long received = Threads.isVirtual() && receiveWaits(current)
                    ? SlowLane.call(() -> Native.handleReceive(number, into, from, length, current.err))
                    : Native.handleReceive(number, into, from, length, current.err);
            return checked(current, received);
        } finally {
            current.leave(OpenHandle.RECEIVER);
        }
    }

    private static int checked(OpenHandle current, long received) {
        if (received < 0) {
            throw current.failure();
        }
        return (int) received;
    }

    /** As {@link #receive}, while another thread may send: it waits with nothing held. */
    private static int receiveShared(
            OpenHandle current, ReentrantLock shared, byte[] into, int from, int length) {
        boolean readable = false;
        long number = current.number();
        while (true) {
            long waits;
            boolean armed;
            shared.lock();
            try {
                waits = Native.handleReceiveWaits(number, current.err);
                // Behind the fence, what has come waits in the native for the fence to end.
                if (waits <= 0 || (waits == 1 && readable)) {
                    return checked(current, Native.handleReceive(number, into, from, length, current.err));
                }
                armed = current.sleeper.arm(Native.handleDescriptor(number));
            } finally {
                shared.unlock();
            }
            checkKept(current);
            long millis = waits == 1 || !armed ? TURN_MS : waits - 1;
            readable = current.sleeper.sleep(millis);
            checkKept(current);
        }
    }

    /**
     * Waits until a receive need not, or can only wait in the native: for what no descriptor tells.
     *
     * @return whether it has to
     */
    private static boolean receiveWaits(OpenHandle current) {
        while (true) {
            long waits = Native.handleReceiveWaits(current.number(), current.err);
            if (waits <= 1) {
                return waits == 1;
            }
            if (!current.sleeper.arm(Native.handleDescriptor(current.number()))) {
                return true;
            }
            checkKept(current);
            current.sleeper.sleep(waits - 1);
            checkKept(current);
        }
    }

    /** Checks again after the sleeper is armed: a thread that closes the handle later ends its sleep. */
    private static void checkKept(OpenHandle current) {
        if (current.isClosed()) {
            throw OpenHandle.wasLetGo();
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
        OpenHandle current = connection(Outcome.NOT_SENT);
        used = true;
        int length = commands.length();
        ByteBuffer direct = memory(length).clear().put(commands.bytes(), 0, length);
        if (reader == null) {
            reader = new RespReader();
        }
        if (Threads.isVirtual()) {
            return reader.of(exchangeInParts(current, length, replies));
        }
        long received = Native.handleExchange(
                current.number(), address, length, address, direct.capacity(), current.err);
        Reference.reachabilityFence(direct);
        if (received < 0) {
            throw current.fault.exception();
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
    private ByteBuffer exchangeInParts(OpenHandle current, int length, int replies) {
        boolean rests = false;
        long number = current.number();
        try {
            long status = sendWaits(current, length)
                    ? SlowLane.call(() -> Native.handleSendDirect(number, address, length, current.err))
                    : Native.handleSendDirect(number, address, length, current.err);
            RespReader.Frames frames = new RespReader.Frames(replies);
            ByteBuffer direct = memory.clear();
            while (status >= 0 && !frames.areComplete(direct)) {
                if (!direct.hasRemaining()) {
                    direct = memory(larger(direct.capacity()));
                }
                long into = address + direct.position();
                int room = direct.remaining();
                status = receiveWaits(current)
                        ? SlowLane.call(() -> Native.handleReceiveDirect(number, into, room, current.err))
                        : Native.handleReceiveDirect(number, into, room, current.err);
                direct.position(direct.position() + (int) Math.max(0, status));
            }
            // After a failure nothing is under way any more, says the native.
            rests = true;
            if (status < 0) {
                throw current.fault.exception();
            }
            return direct.flip();
        } finally {
            if (!rests) {
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
