package io.switchmaster.demo;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.exceptions.JedisException;
import redis.clients.jedis.util.Pool;

/** A service as many are: threads that take a Jedis from a pool for each command, and count what fails. */
final class Service implements AutoCloseable {
    private static final int THREADS = 4;

    /** How long one time slot of the timeline is. */
    static final int SLOT_MS = 100;

    private static final int SLOTS = 1200;

    private final Pool<Jedis> pool;
    private final String key;
    private final long begun;
    private final AtomicLong acknowledged = new AtomicLong();
    private final long[] writes = new long[SLOTS];
    private final long[] failures = new long[SLOTS];
    private final AtomicBoolean ended = new AtomicBoolean();
    private final List<Thread> threads = new ArrayList<>();

    Service(Pool<Jedis> pool, String key, long begun) {
        this.pool = pool;
        this.key = key;
        this.begun = begun;
        for (int at = 0; at < THREADS; at++) {
            Thread thread = new Thread(this::work, key + "-" + at);
            thread.setDaemon(true);
            threads.add(thread);
            thread.start();
        }
    }

    private void work() {
        while (!ended.get()) {
            boolean written = write();
            int slot = (int) ((System.nanoTime() - begun) / 1_000_000 / SLOT_MS);
            if (slot < SLOTS) {
                synchronized (this) {
                    (written ? writes : failures)[slot]++;
                }
            }
        }
    }

    private boolean write() {
        try (Jedis jedis = pool.getResource()) {
            jedis.incr(key);
            acknowledged.incrementAndGet();
            return true;
        } catch (JedisException failed) {
            pause();
            return false;
        }
    }

    /** As services do before they try again; the processors are for the others. */
    private static void pause() {
        try {
            Thread.sleep(5);
        } catch (InterruptedException interrupted) {
            throw new IllegalStateException(interrupted);
        }
    }

    long acknowledged() {
        return acknowledged.get();
    }

    synchronized long writes(int slot) {
        return writes[slot];
    }

    synchronized long failures(int slot) {
        return failures[slot];
    }

    /** What the server has counted, after the threads have ended. */
    long counted() {
        try (Jedis jedis = pool.getResource()) {
            return Long.parseLong(jedis.get(key));
        }
    }

    @Override
    public void close() {
        stop();
    }

    /** Ends the threads. */
    void stop() {
        ended.set(true);
        for (Thread thread : threads) {
            try {
                thread.join(5_000);
            } catch (InterruptedException interrupted) {
                throw new IllegalStateException(interrupted);
            }
        }
    }
}
