package io.switchmaster;

import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;

/**
 * Where leases stand between two uses, and the queue before it.
 *
 * <p>Each lease changes hands by one atomic step on a word of its own, found by the thread that had it last
 * where that left it: some 10 ns, where JedisPool takes 350. Who finds nothing waits in a queue, and the
 * leases that come back go to the first of it; while somebody waits, nobody else looks. Of a waiter that
 * enters the queue and a lease that is laid down, each does its step before it looks at the other's, so
 * one of them sees the other.
 */
final class Shelf {
    /** Of so many threads it is known which lease they had last; of more, two may share that. */
    private static final int THREADS = 256;

    /** So often whoever waits looks whether there was a switch. */
    private static final long LOOK_NANOS = 20_000_000;

    private final Factory factory;

    /** A place is empty after its lease could not be kept, until a thread looks for a lease there. */
    private final AtomicReferenceArray<Lease> leases;

    /**
     * Where each thread looks first: two that met at a lease go different ways afterwards. What is read and
     * written in a race is a place, whichever.
     */
    private final int[] last = new int[THREADS];

    private final ConcurrentLinkedQueue<Waiter> queue = new ConcurrentLinkedQueue<>();
    private final AtomicInteger waiting = new AtomicInteger();
    private volatile boolean closed;

    /** Written seldom, under the lock of the counters. */
    private final Counters counters = new Counters();

    Shelf(Factory factory, int size) {
        this.factory = factory;
        leases = new AtomicReferenceArray<>(size);
        for (int at = 0; at < size; at++) {
            leases.set(at, Lease.shelved(factory, at));
        }
        for (int thread = 0; thread < THREADS; thread++) {
            last[thread] = thread % size;
        }
    }

    /** What happened to those who waited. */
    static final class Counters {
        private long waits;
        private long waitNanos;
        private long timeouts;
        private long leaks;
        private long extras;

        /** Uses of leases that were replaced. */
        private long ended;

        private synchronized void waited(long nanos, boolean inVain) {
            waits += inVain ? 0 : 1;
            timeouts += inVain ? 1 : 0;
            waitNanos += nanos;
        }

        /** One was taken beside the shelf: to a replica, or to the next master. */
        synchronized void gaveExtra() {
            extras++;
        }

        synchronized void leaked() {
            leaks++;
        }

        synchronized long[] read() {
            return new long[] {waits, waitNanos, timeouts, leaks, extras};
        }
    }

    /** Somebody in the queue. */
    private static final class Waiter extends AtomicReference<Lease> {
        private static final long serialVersionUID = 1L;

        private final transient Thread thread = Thread.currentThread();
    }

    /** Takes a lease that has a connection. Blocks at most for so long. */
    Lease take(long timeoutMs) {
        checkOpen();
        if (waiting.get() == 0) {
            Lease lease = find();
            if (lease != null) {
                return lease.isOpen() ? lease : open(lease, timeoutMs);
            }
        }
        return await(timeoutMs);
    }

    /** As {@link #take}, or null when all are in use. Blocks at most for so long, for a connection. */
    Lease takeFree(long timeoutMs) {
        checkOpen();
        Lease lease = waiting.get() == 0 ? find() : null;
        return lease == null || lease.isOpen() ? lease : open(lease, timeoutMs);
    }

    private void checkOpen() {
        if (closed) {
            throw closed();
        }
    }

    /** Any that nobody uses, one with a connection first. */
    private Lease find() {
        AtomicReferenceArray<Lease> all = leases;
        int size = all.length();
        int thread = thread();
        int start = last[thread];
        for (int state = Lease.IDLE; state <= Lease.EMPTY; state++) {
            int at = start;
            for (int turn = 0; turn < size; turn++) {
                Lease lease = all.getAcquire(at);
                if (lease == null ? state == Lease.EMPTY && (lease = fill(at)) != null : lease.take(state)) {
                    if (at != start) {
                        last[thread] = at;
                    }
                    return lease;
                }
                at = at + 1 == size ? 0 : at + 1;
            }
        }
        return null;
    }

    /** A lease for an empty place, taken; null when another thread was faster. */
    private Lease fill(int at) {
        Lease lease = Lease.shelved(factory, at);
        return lease.take(Lease.EMPTY) && leases.compareAndSet(at, null, lease) ? lease : null;
    }

    /** Where the current thread's place is remembered. */
    @SuppressWarnings("deprecation") // threadId() came with Java 19.
    private static int thread() {
        return (int) Thread.currentThread().getId() & (THREADS - 1);
    }

    private Lease open(Lease lease, long timeoutMs) {
        try {
            lease.open(timeoutMs);
            return lease;
        } catch (RuntimeException | Error failed) {
            give(lease);
            throw failed;
        }
    }

    private Lease await(long timeoutMs) {
        long begun = System.nanoTime();
        long nanos = Math.min(timeoutMs, Integer.MAX_VALUE) * 1_000_000;
        Waiter waiter = new Waiter();
        Lease extra;
        waiting.incrementAndGet();
        try {
            queue.add(waiter);
            serve();
            extra = await(waiter, begun, nanos);
        } catch (Throwable failed) {
            leave(waiter);
            throw failed;
        } finally {
            waiting.decrementAndGet();
        }
        long waited = System.nanoTime() - begun;
        if (extra != null) {
            leave(waiter);
            counters.waited(waited, false);
            return extra;
        }
        Lease lease = waiter.getAndSet(GONE);
        counters.waited(waited, lease == null);
        if (lease != null) {
            return lease.isOpen() ? lease : open(lease, timeoutMs - waited / 1_000_000);
        }
        queue.remove(waiter);
        if (closed) {
            throw closed();
        }
        throw new SwitchmasterException(ErrorKind.POOL_TIMEOUT, Outcome.NOT_SENT, "all " + leases.length()
                + " handles were in use for " + timeoutMs + " ms, and " + waiting.get() + " more threads wait;"
                + " close handles sooner, or raise max_size");
    }

    /** Waits until the waiter has a lease, the time is over or the factory is closed; or for one beside the shelf. */
    private Lease await(Waiter waiter, long begun, long nanos) {
        boolean interrupted = false;
        try {
            long generation = factory.latestGeneration();
            while (waiter.get() == null && !closed) {
                long left = nanos - (System.nanoTime() - begun);
                if (left <= 0) {
                    break;
                }
                if (factory.latestGeneration() > generation) {
                    Lease extra = extra();
                    if (extra != null) {
                        return extra;
                    }
                }
                LockSupport.parkNanos(this, Math.min(left, LOOK_NANOS));
                // As in a native: whoever interrupts sees it afterwards.
                interrupted |= Thread.interrupted();
                if (queue.peek() == waiter) {
                    // A thread that returned a lease may have failed before it served the queue.
                    serve();
                }
            }
            return null;
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** A waiter leaves the queue without a lease; one that it was given goes to the next. */
    private void leave(Waiter waiter) {
        Lease lease = waiter.getAndSet(GONE);
        queue.remove(waiter);
        if (lease != null) {
            give(lease);
        }
    }

    /**
     * After a switch those who keep handles of the old master stand in nobody's way: the native pool has as many
     * connections to the new one, and gives this one beside the shelf. Null when there is none at once.
     */
    private Lease extra() {
        Lease extra = Lease.loose(factory);
        try {
            extra.open(0);
            counters.gaveExtra();
            return extra;
        } catch (SwitchmasterException none) {
            return null;
        }
    }

    /** In the place of a lease: this waiter takes none any more. */
    private static final Lease GONE = Lease.loose(null);

    /** Puts a lease back. */
    void give(Lease lease) {
        lease.lay();
        serveWaiters();
        if (closed) {
            sweep();
        }
    }

    /** Takes a lease off the shelf for good; another one takes its place. */
    void replace(Lease lease) {
        synchronized (counters) {
            if (leases.compareAndSet(lease.place(), lease, null)) {
                counters.ended += lease.uses();
            }
        }
        serveWaiters();
    }

    /** Serves the waiting threads after a return, which succeeds even when this fails. */
    private void serveWaiters() {
        if (waiting.get() > 0) {
            try {
                serve();
            } catch (OutOfMemoryError noLeaseForAnEmptyPlace) {
                // The first of the queue tries again soon, and reports what fails then.
            }
        }
    }

    /** Hands leases that nobody uses to those who wait, the first first. */
    private void serve() {
        while (!closed && !queue.isEmpty()) {
            Lease lease = find();
            if (lease == null) {
                // Whoever has one comes here after laying it down.
                return;
            }
            Waiter first = queue.poll();
            if (first != null && first.compareAndSet(null, lease)) {
                LockSupport.unpark(first.thread);
            } else {
                lease.lay();
            }
        }
    }

    /**
     * Gives connections that lie idle back to the native pool, which knows how many to keep and how long. It
     * has them again within 50 ns when they are wanted.
     */
    void returnIdle() {
        forEach(lease -> {
            if (lease.take(Lease.IDLE)) {
                lease.close();
                give(lease);
            }
        });
    }

    /** Nothing is given out any more, and whoever waits is told. */
    void close() {
        closed = true;
        for (Waiter waiter : queue) {
            LockSupport.unpark(waiter.thread);
        }
        sweep();
    }

    private void sweep() {
        forEach(lease -> {
            if (lease.take(Lease.IDLE) || (lease.state() == Lease.EMPTY && lease.take(Lease.EMPTY))) {
                // It stays taken, for good.
                lease.end();
            }
        });
    }

    void forEach(Consumer<Lease> visit) {
        for (int at = 0; at < leases.length(); at++) {
            Lease lease = leases.getAcquire(at);
            if (lease != null) {
                visit.accept(lease);
            }
        }
    }

    /** Returns the number of times that leases were taken. */
    long uses() {
        synchronized (counters) {
            long[] uses = {counters.ended};
            forEach(lease -> uses[0] += lease.uses());
            return uses[0];
        }
    }

    Counters counters() {
        return counters;
    }

    int waiting() {
        return waiting.get();
    }

    int count(int state) {
        int count = 0;
        for (int at = 0; at < leases.length(); at++) {
            Lease lease = leases.getAcquire(at);
            count += (lease == null ? Lease.EMPTY : lease.state()) == state ? 1 : 0;
        }
        return count;
    }

    private static SwitchmasterException closed() {
        return new SwitchmasterException(ErrorKind.CLOSED, Outcome.NOT_SENT, "the factory is closed");
    }
}
