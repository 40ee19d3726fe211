package io.switchmaster.testing;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

/** Threads of a test, which end with it; what one of them throws fails the test. */
public final class Workers implements AutoCloseable {
    private final List<Thread> threads = new ArrayList<>();
    private final AtomicReference<Throwable> failure = new AtomicReference<>();
    private final ThreadFactory factory;
    private volatile boolean stopped;

    /** Threads of the platform. */
    public Workers() {
        this(Thread::new);
    }

    /**
     * Threads of a kind.
     *
     * @param factory makes them
     */
    public Workers(ThreadFactory factory) {
        this.factory = factory;
    }

    /**
     * Runs something once.
     *
     * @param work it
     */
    public void start(Runnable work) {
        Thread thread = factory.newThread(() -> {
            try {
                work.run();
            } catch (Throwable failed) {
                failure.compareAndSet(null, failed);
            }
        });
        thread.setDaemon(true);
        threads.add(thread);
        thread.start();
    }

    /**
     * Runs something again and again, until {@link #stop()}.
     *
     * @param work it
     */
    public void repeat(Runnable work) {
        start(() -> {
            while (!stopped) {
                work.run();
            }
        });
    }

    /** Waits for the end of all, and throws what one of them threw. */
    public void stop() {
        stopped = true;
        for (Thread thread : threads) {
            try {
                thread.join(TimeUnit.SECONDS.toMillis(30));
            } catch (InterruptedException interrupted) {
                throw new IllegalStateException(interrupted);
            }
            if (thread.isAlive()) {
                AssertionError stuck = new AssertionError("a thread is stuck");
                stuck.setStackTrace(thread.getStackTrace());
                throw stuck;
            }
        }
        threads.clear();
        Throwable failed = failure.getAndSet(null);
        if (failed != null) {
            throw new AssertionError("a thread failed", failed);
        }
    }

    @Override
    public void close() {
        stop();
    }
}
