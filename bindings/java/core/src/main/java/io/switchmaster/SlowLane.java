package io.switchmaster;

import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.LongSupplier;

/**
 * Where virtual threads wait for what no descriptor tells: the fence, another connection. A thread of the
 * platform waits in the native for each, so there are as many as handles at most, and only while a master
 * is being replaced or a connection made. They end when they have had nothing to do for a second.
 */
final class SlowLane {
    private static final AtomicInteger COUNT = new AtomicInteger();
    private static final ThreadPoolExecutor THREADS = new ThreadPoolExecutor(
            0, Integer.MAX_VALUE, 1, TimeUnit.SECONDS, new SynchronousQueue<>(), SlowLane::thread);

    private SlowLane() {}

    private static Thread thread(Runnable work) {
        return Daemon.make("switchmaster-waiter-" + COUNT.incrementAndGet(), work);
    }

    /** A call, and the thread that waits for its end. Its result is no object, for which memory may be lacking. */
    private static final class Call implements Runnable {
        private final LongSupplier work;
        private final Thread caller = Thread.currentThread();
        private long result;
        private Throwable failure;
        private volatile boolean done;

        private Call(LongSupplier work) {
            this.work = work;
        }

        @Override
        public void run() {
            try {
                result = work.getAsLong();
            } catch (Throwable failed) {
                failure = failed;
            } finally {
                done = true;
                LockSupport.unpark(caller);
            }
        }

        /**
         * Waits for the end in any case: the native writes to memory of the caller. {@link Thread#interrupt()}
         * does not interrupt the wait; the caller sees it afterwards.
         */
        private void await() {
            boolean interrupted = false;
            while (!done) {
                LockSupport.park(this);
                interrupted |= Thread.interrupted();
            }
            if (interrupted) {
                caller.interrupt();
            }
        }
    }

    /**
     * Runs a call that may block, and waits for its end without holding a carrier.
     *
     * @throws OutOfMemoryError when the system refuses a thread; the call was not made then
     */
    static long call(LongSupplier work) {
        Call call = new Call(work);
        THREADS.execute(call);
        call.await();
        if (call.failure instanceof Error) {
            throw (Error) call.failure;
        }
        if (call.failure != null) {
            throw (RuntimeException) call.failure;
        }
        return call.result;
    }

    /** Runs a call like {@link #call}, without a result. */
    static void run(Runnable work) {
        call(() -> {
            work.run();
            return 0;
        });
    }
}
