package io.switchmaster.jedis;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.switchmaster.ErrorKind;
import io.switchmaster.Factory;
import io.switchmaster.SwitchmasterException;
import io.switchmaster.testing.Sandbox;
import io.switchmaster.testing.VirtualThreads;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledForJreRange;
import org.junit.jupiter.api.condition.JRE;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.Protocol;

/** Many virtual threads wait for replies on few carriers. */
@EnabledForJreRange(min = JRE.JAVA_21)
final class VirtualThreadsTest {
    private static final int THREADS = 200;

    private static Thread start(Runnable work) {
        Thread thread = VirtualThreads.factory().newThread(work);
        thread.start();
        return thread;
    }

    private static void join(List<Thread> threads) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(40);
        for (Thread thread : threads) {
            thread.join(Math.max(1, TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime())));
            assertFalse(thread.isAlive(), "stuck: " + List.of(thread.getStackTrace()));
        }
    }

    @Test
    void virtual_threads_complete_their_commands_and_are_woken_at_a_switch() throws InterruptedException {
        try (Sandbox sandbox = Sandbox.start();
                SwitchmasterPool pool = new SwitchmasterPool(Factory.open(sandbox.url()
                        + "?protocol=2&max_size=200&command_timeout=60s&get_timeout=30s&connect_timeout=20s"), true)) {
            AtomicLong done = new AtomicLong();
            Queue<Throwable> failures = new ConcurrentLinkedQueue<>();
            List<Thread> threads = new ArrayList<>();
            for (int at = 0; at < THREADS; at++) {
                threads.add(start(() -> {
                    for (int turn = 0; turn < 20; turn++) {
                        try (Jedis jedis = pool.getResource()) {
                            jedis.sendCommand(Protocol.Command.BLPOP, "nothing", "0.005");
                            done.incrementAndGet();
                        } catch (RuntimeException failed) {
                            failures.add(failed);
                        }
                    }
                }));
            }
            join(threads);
            assertEquals(List.of(), List.copyOf(failures));
            assertEquals(20 * THREADS, done.get());

            threads.clear();
            AtomicLong begun = new AtomicLong();
            for (int at = 0; at < THREADS; at++) {
                int id = at;
                threads.add(start(() -> {
                    try (Jedis jedis = pool.getResource()) {
                        begun.incrementAndGet();
                        if (id % 2 == 0) {
                            jedis.blpop(0, "nothing");
                        } else {
                            while (true) {
                                jedis.incr("count");
                            }
                        }
                    } catch (RuntimeException failed) {
                        failures.add(failed);
                    }
                }));
            }
            Sandbox.await("all have begun", () -> begun.get() == THREADS);
            String first = pool.getCurrentHostMaster().toString();
            sandbox.freeze(first);
            join(threads);
            assertEquals(THREADS, failures.size());
            for (Throwable failure : failures) {
                assertEquals(ErrorKind.SWITCHED, SwitchmasterException.in(failure).kind(), failure.toString());
            }
            Sandbox.await("the new master serves", () -> {
                try (Jedis jedis = pool.getResource()) {
                    return jedis.incr("count") > 0;
                }
            });
            assertTrue(pool.factory().generation() >= 2);
            sandbox.thaw(first);
        }
    }
}
