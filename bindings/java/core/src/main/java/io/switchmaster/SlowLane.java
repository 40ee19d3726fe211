package io.switchmaster;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;

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

    /** Runs a call that may block, and waits for its end without holding a carrier. */
    static <T> T call(Supplier<T> call) {
        try {
            return CompletableFuture.supplyAsync(call, THREADS).join();
        } catch (CompletionException failed) {
            if (failed.getCause() instanceof RuntimeException) {
                throw (RuntimeException) failed.getCause();
            }
            throw failed;
        }
    }
}
