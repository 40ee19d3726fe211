package io.switchmaster;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * A handle of the native library while a lease has it, with the memory for its errors and the sleeper of the
 * thread that waits on it.
 *
 * <p>Calls on a stream enter and leave, because another thread may close the handle meanwhile. A handle that is
 * closed in use belongs to the threads inside: no later call enters, the last thread that leaves releases
 * the native handle, and neither its sleeper nor its memory serves another connection. A release while a
 * thread is inside would free the descriptor that this thread is about to arm.
 */
final class OpenHandle {
    /** A thread that sends; several may, on a shared lease. */
    static final int SENDER = 1;

    /** The thread that receives. */
    static final int RECEIVER = 1 << 16;

    /** No call enters any more. */
    private static final int CLOSED = Integer.MIN_VALUE;

    private static final VarHandle USERS;

    static {
        try {
            USERS = MethodHandles.lookup().findVarHandle(OpenHandle.class, "users", int.class);
        } catch (ReflectiveOperationException impossible) {
            throw new ExceptionInInitializerError(impossible);
        }
    }

    final Poller.Sleeper sleeper = new Poller.Sleeper();
    final Fault fault = new Fault();
    final long err = fault.address();

    /** Its number in the native library; 0 while there is none. Changes only while no thread is inside. */
    private volatile long number;

    /** The number of threads inside, and the mark that no other may enter. */
    private volatile int users = CLOSED;

    long number() {
        return number;
    }

    /** Takes a handle of the native pool. Blocks for at most this time. */
    void open(Factory factory, long timeoutMs) {
        int timeout = (int) Math.max(0, Math.min(timeoutMs, Integer.MAX_VALUE));
        long from = factory.number();
        boolean virtual = Threads.isVirtual();
        number = Native.factoryGet(from, virtual ? 0 : timeout, err);
        if (number == 0 && virtual && timeout > 0 && fault.kind() != ErrorKind.CLOSED) {
            // Stored by the thread that gets it: nothing that fails in between can lose it.
            SlowLane.run(() -> number = Native.factoryGet(from, timeout, err));
        }
        admit();
    }

    /** Takes a handle like {@link #open}, to the given node. Blocks for {@code get_timeout}. */
    void openFrom(Factory factory, ReadFrom node) {
        long from = factory.number();
        if (Threads.isVirtual()) {
            SlowLane.run(() -> number = Native.factoryGetFrom(from, node.ordinal(), err));
        } else {
            number = Native.factoryGetFrom(from, node.ordinal(), err);
        }
        admit();
    }

    private void admit() {
        if (number == 0) {
            throw fault.exception();
        }
        reopen();
    }

    /** Admits calls again. For its owner, while no thread is inside. */
    void reopen() {
        USERS.setRelease(this, 0);
    }

    /** Returns true while a thread is inside. */
    boolean isEntered() {
        return (users & ~CLOSED) != 0;
    }

    /** Returns true after it was closed. */
    boolean isClosed() {
        return users < 0;
    }

    /**
     * Begins a call, to be ended by {@link #leave}.
     *
     * @param as SENDER or RECEIVER
     * @param shared whether one thread may receive while others send
     * @param outcome of a call that is refused
     */
    void enter(int as, boolean shared, Outcome outcome) {
        while (true) {
            int seen = users;
            if (seen < 0) {
                throw new SwitchmasterException(ErrorKind.DEAD, outcome, "this connection was given back before");
            }
            if (seen != 0 && (!shared || (as == RECEIVER && seen >= RECEIVER))) {
                throw new SwitchmasterException(ErrorKind.BUSY, outcome,
                        "this connection is in use by another thread; one thread at a time may use it");
            }
            if (USERS.compareAndSet(this, seen, seen + as)) {
                return;
            }
        }
    }

    /** Ends a call. The last one on a closed handle releases it. */
    void leave(int as) {
        if ((int) USERS.getAndAdd(this, -as) - as == CLOSED) {
            release();
            sleeper.forget();
        }
    }

    /**
     * Admits no call any more, and wakes the thread that waits.
     *
     * @return whether no thread is inside, so that the caller may release it and use this object again
     */
    boolean letGo() {
        while (true) {
            int seen = users;
            if ((seen & ~CLOSED) == 0) {
                if (seen == CLOSED || USERS.compareAndSet(this, seen, CLOSED)) {
                    return true;
                }
            } else if (seen < 0 || USERS.compareAndSet(this, seen, seen | CLOSED)) {
                sleeper.nudge();
                return false;
            }
        }
    }

    /** Returns the handle to the native pool. */
    void release() {
        long ended = number;
        number = 0;
        Native.handleRelease(ended);
    }

    /** Returns the reason why a native failed on this handle. */
    SwitchmasterException failure() {
        return isClosed() ? wasLetGo() : fault.exception();
    }

    static SwitchmasterException wasLetGo() {
        return new SwitchmasterException(ErrorKind.DEAD, Outcome.UNKNOWN,
                "another thread gave this connection back while a reply was awaited on it");
    }
}
