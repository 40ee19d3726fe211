package io.switchmaster;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

/**
 * Where virtual threads wait for their replies: one thread asks the system which connections have something,
 * and wakes those who wait. A virtual thread that waited in a native would hold its carrier meanwhile.
 *
 * <p>The thread begins with the first wait, and ends with the last factory.
 */
final class Poller {
    /** So many are told at once. */
    private static final int MOST = 256;

    /** Somebody who wakes it comes before that, but for a clock that jumps. */
    private static final int TURN_MS = 10_000;

    private static final Object LOCK = new Object();
    private static final AtomicLong TOKENS = new AtomicLong();

    /** The one that runs, if one does. */
    private static volatile Poller current;

    /** The pause after a failure to create one, as without descriptors. */
    private static final long PAUSE_NANOS = 100_000_000;

    /** Whether this system has none. */
    private static volatile boolean missing;

    /** The end of that pause, by {@link System#nanoTime()}; null without a pause. */
    private static volatile Long pausedUntil;

    private final long number;

    /** The buffer in which the native poller writes the tokens of the threads to wake. */
    private final ByteBuffer tokens = ByteBuffer.allocateDirect(MOST * Long.BYTES).order(ByteOrder.nativeOrder());
    private final ConcurrentHashMap<Long, Sleeper> sleepers = new ConcurrentHashMap<>();
    /** Calls with the number that are under way: it may go when there are none. */
    private final AtomicInteger calls = new AtomicInteger();

    private volatile boolean closed;

    private Poller(long number) {
        this.number = number;
    }

    /** Somebody who may wait there, again and again. */
    static final class Sleeper {
        private final Long token = TOKENS.incrementAndGet();
        private volatile boolean woken;
        private volatile boolean nudged;
        private volatile Thread thread;

        /** Who wakes it; its own thread's alone. */
        private Poller armed;

        private void wake() {
            woken = true;
            LockSupport.unpark(thread);
        }

        /**
         * Has itself woken when the descriptor is readable; {@link #sleep} waits for that.
         *
         * @return false when no poller can be had
         */
        boolean arm(int descriptor) {
            woken = false;
            nudged = false;
            armed = null;
            // Known before anybody can wake it.
            thread = Thread.currentThread();
            Poller poller = poller();
            if (poller == null) {
                return false;
            }
            poller.sleepers.putIfAbsent(token, this);
            armed = poller;
            return poller.arm(descriptor, token);
        }

        /**
         * Waits until the descriptor is readable or somebody nudges it, at most for so long. It may return early.
         *
         * @return whether the descriptor is readable, or there is no poller to tell
         */
        boolean sleep(long millis) {
            Poller poller = armed;
            long nanos = millis >= Long.MAX_VALUE / 1_000_000 ? Long.MAX_VALUE : millis * 1_000_000;
            long begun = System.nanoTime();
            boolean interrupted = false;
            while (!woken && !nudged && !(poller != null && poller.closed)) {
                long left = nanos - (System.nanoTime() - begun);
                if (left <= 0) {
                    break;
                }
                LockSupport.parkNanos(this, left);
                // The native on another thread would not be interrupted either. The wait goes on, and
                // whoever interrupts sees it afterwards.
                interrupted |= Thread.interrupted();
            }
            thread = null;
            armed = null;
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
            return woken || poller == null;
        }

        /** Ends its sleep, if it sleeps or is about to. */
        void nudge() {
            nudged = true;
            LockSupport.unpark(thread);
        }

        /** It waits no more. */
        void forget() {
            Poller poller = current;
            if (poller != null) {
                poller.sleepers.remove(token);
            }
        }
    }

    private static Poller poller() {
        Poller poller = current;
        return poller != null || missing || isPaused() ? poller : begin();
    }

    private static boolean isPaused() {
        Long until = pausedUntil;
        return until != null && System.nanoTime() - until < 0;
    }

    private static Poller begin() {
        synchronized (LOCK) {
            if (current == null && !missing && !isPaused()) {
                try {
                    current = started();
                } catch (UnsatisfiedLinkError notOnThisSystem) {
                    missing = true;
                } catch (OutOfMemoryError notNow) {
                    // Neither memory nor a thread.
                }
                // As long as there is none, threads of the platform wait.
                pausedUntil = current == null ? System.nanoTime() + PAUSE_NANOS : null;
            }
            return current;
        }
    }

    /** A new one; null when the system has no descriptors for it. */
    private static Poller started() {
        long number = Native.pollerOpen();
        if (number <= 0) {
            return null;
        }
        try {
            Poller poller = new Poller(number);
            Daemon.start("switchmaster-poller", poller::run);
            return poller;
        } catch (Throwable failed) {
            Native.pollerClose(number);
            throw failed;
        }
    }

    /** Ends the thread, and wakes whoever waits. */
    static void end() {
        synchronized (LOCK) {
            Poller poller = current;
            if (poller != null) {
                current = null;
                poller.close();
            }
        }
    }

    private void run() {
        long address = Native.address(tokens);
        while (!closed) {
            try {
                turn(address);
            } catch (Throwable failed) {
                // No memory, say; a sleeper that was missed is woken with all others.
                wakeAll();
                LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(10));
            }
        }
        wakeAll();
        // None begins any more, and none waits.
        while (calls.get() != 0) {
            Thread.onSpinWait();
        }
        Native.pollerClose(number);
    }

    private void turn(long address) {
        int count = Native.pollerWait(number, address, MOST, TURN_MS);
        if (count < 0) {
            throw new SwitchmasterException(ErrorKind.INTERNAL, Outcome.UNKNOWN, "epoll: error " + -count);
        }
        for (int at = 0; at < count; at++) {
            Sleeper sleeper = sleepers.get(tokens.getLong(at * Long.BYTES));
            if (sleeper != null) {
                sleeper.wake();
            }
        }
    }

    /** Makes the waiting threads check for themselves. */
    private void wakeAll() {
        for (boolean done = false; !done; ) {
            try {
                sleepers.values().forEach(Sleeper::wake);
                done = true;
            } catch (OutOfMemoryError again) {
                LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(10));
            }
        }
    }

    private boolean arm(int descriptor, long token) {
        calls.incrementAndGet();
        try {
            return !closed && Native.pollerArm(number, descriptor, token) == 0;
        } finally {
            calls.decrementAndGet();
        }
    }

    private void close() {
        calls.incrementAndGet();
        try {
            closed = true;
            Native.pollerWake(number);
        } finally {
            calls.decrementAndGet();
        }
    }
}
