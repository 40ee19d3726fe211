package io.switchmaster.jedis;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.switchmaster.Factory;
import io.switchmaster.Outcome;
import io.switchmaster.testing.Sandbox;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisMonitor;
import redis.clients.jedis.exceptions.JedisConnectionException;

/** A monitor gets every command that the master gets. */
final class MonitorTest {
    /** The protocols that this version of Jedis knows. */
    static IntStream protocols() {
        return Versions.KNOW_PROTOCOLS ? IntStream.of(2, 3) : IntStream.of(2);
    }

    /** A monitor in a thread of its own, which ends itself at a command with a certain word. */
    private static final class Watcher extends JedisMonitor {
        private final Queue<String> seen = new ConcurrentLinkedQueue<>();
        private final Thread thread;
        private volatile RuntimeException failure;

        private Watcher(SwitchmasterPool pool) {
            thread = new Thread(() -> {
                try (Jedis jedis = pool.getResource()) {
                    jedis.monitor(this);
                } catch (RuntimeException failed) {
                    failure = failed;
                }
            });
            thread.setDaemon(true);
            thread.start();
        }

        @Override
        public void onCommand(String command) {
            seen.add(command);
            if (command.contains("the-end")) {
                client.disconnect();
            }
        }

        private boolean saw(String word) {
            return seen.stream().anyMatch(it -> it.contains(word));
        }

        private void ends() throws InterruptedException {
            thread.join(TimeUnit.SECONDS.toMillis(20));
            assertFalse(thread.isAlive(), "it still monitors");
        }
    }

    private static SwitchmasterPool open(Sandbox sandbox, int protocol) {
        return new SwitchmasterPool(
                Factory.open(sandbox.url() + "?command_timeout=1s&protocol=" + protocol), true);
    }

    @ParameterizedTest
    @MethodSource("protocols")
    void a_monitor_works_and_ends_at_the_switch(int protocol) throws InterruptedException {
        try (Sandbox sandbox = Sandbox.start(); SwitchmasterPool pool = open(sandbox, protocol)) {
            Watcher watcher = new Watcher(pool);
            Sandbox.await("it monitors: " + watcher.failure, () -> {
                try (Jedis jedis = pool.getResource()) {
                    jedis.set("monitored", "1");
                }
                return watcher.saw("\"SET\" \"monitored\" \"1\"");
            });
            assertTrue(watcher.thread.isAlive());
            sandbox.settle();
            sandbox.failover();
            watcher.ends();
            assertInstanceOf(JedisConnectionException.class, watcher.failure);
            assertEquals(Outcome.UNKNOWN, Outcome.of(watcher.failure));
            assertEquals(0, pool.getNumActive());
            // Again on the new master.
            Watcher next = new Watcher(pool);
            Sandbox.await("it monitors: " + next.failure, () -> {
                try (Jedis jedis = pool.getResource()) {
                    jedis.set("the-end", "2");
                }
                return next.saw("the-end");
            });
            next.ends();
            assertNull(next.failure);
            try (Jedis jedis = pool.getResource()) {
                assertEquals("2", jedis.get("the-end"));
            }
        }
    }
}
