package io.switchmaster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.switchmaster.testing.Sandbox;
import io.switchmaster.testing.VirtualThreads;
import io.switchmaster.testing.Workers;
import java.time.Duration;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledForJreRange;
import org.junit.jupiter.api.condition.JRE;

/** Virtual threads wait without their carriers, of which the test's JVM has two. */
@EnabledForJreRange(min = JRE.JAVA_21)
final class VirtualThreadsTest {
    private static final int MANY = 200;

    private static long threads(String name) {
        return Thread.getAllStackTraces().keySet().stream().filter(it -> it.getName().startsWith(name)).count();
    }

    @Test
    void many_that_block_in_the_server_do_not_hold_each_other_up() {
        try (Sandbox sandbox = Sandbox.start();
                Factory factory = Factory.open(sandbox.url() + "?max_size=200&get_timeout=30s");
                Workers workers = new Workers(VirtualThreads.factory())) {
            AtomicInteger answered = new AtomicInteger();
            for (int at = 0; at < MANY; at++) {
                String key = "list" + at;
                workers.start(() -> {
                    try (Handle redis = factory.get()) {
                        assertEquals("x", redis.command("BLPOP", key, "30").asList().get(1).asString());
                        answered.incrementAndGet();
                    }
                });
            }
            // On two carriers, all of them are in the server at the same time.
            Sandbox.await("all block", () -> sandbox.ask(sandbox.firstMaster(), "INFO", "clients")
                    .contains("blocked_clients:" + MANY));
            try (Factory other = Factory.open(sandbox.url()); Handle redis = other.get()) {
                for (int at = 0; at < MANY; at++) {
                    redis.command("RPUSH", "list" + at, "x");
                }
            }
            Sandbox.await("all are answered", () -> answered.get() == MANY);
        }
    }

    @Test
    void commands_pipelines_and_large_replies_are_those_of_other_threads() {
        try (Sandbox sandbox = Sandbox.start();
                Factory factory = Factory.open(sandbox.url() + "?max_size=4&get_timeout=30s&protocol=3");
                Workers workers = new Workers(VirtualThreads.factory())) {
            String large = "v".repeat(1 << 20);
            AtomicInteger done = new AtomicInteger();
            for (int at = 0; at < 40; at++) {
                String key = "k" + at;
                workers.start(() -> {
                    try (Handle redis = factory.get()) {
                        redis.command("SET", key, large);
                        assertEquals(large, redis.command("GET", key).asString());
                        Pipeline pipeline = redis.pipeline();
                        for (int field = 0; field < 500; field++) {
                            pipeline.command("HSET", "h" + key, "f" + field, "" + field);
                        }
                        assertEquals(501, pipeline.command("PING").execute().size());
                        assertEquals(500, redis.command("HGETALL", "h" + key).asMap().size());
                        assertTrue(redis.command("GET", "none").isNull());
                        done.incrementAndGet();
                    }
                });
            }
            Sandbox.await("all are done", () -> done.get() == 40);
        }
    }

    @Test
    void those_that_wait_for_a_handle_are_served_in_their_order() {
        try (Sandbox sandbox = Sandbox.start();
                Factory factory = Factory.open(sandbox.url() + "?max_size=1&get_timeout=30s");
                Workers workers = new Workers(VirtualThreads.factory())) {
            ConcurrentLinkedQueue<Integer> order = new ConcurrentLinkedQueue<>();
            Handle first = factory.get();
            for (int at = 0; at < 20; at++) {
                int number = at;
                workers.start(() -> {
                    try (Handle redis = factory.get()) {
                        order.add(number);
                        redis.command("PING");
                    }
                });
                Sandbox.await("it waits", () -> factory.stats().waiting() == number + 1);
            }
            first.close();
            Sandbox.await("all are served", () -> order.size() == 20);
            int expected = 0;
            for (int number : order) {
                assertEquals(expected++, number);
            }
        }
    }

    @Test
    void a_frozen_master_wakes_them_at_the_switch() {
        try (Sandbox sandbox = Sandbox.start();
                Factory factory = Factory.open(sandbox.url() + "?max_size=200&command_timeout=60s");
                Workers workers = new Workers(VirtualThreads.factory())) {
            ConcurrentLinkedQueue<SwitchmasterException> woken = new ConcurrentLinkedQueue<>();
            AtomicInteger again = new AtomicInteger();
            for (int at = 0; at < MANY; at++) {
                workers.start(() -> {
                    try (Handle redis = factory.get()) {
                        try {
                            redis.command("BLPOP", "nothing", "0");
                        } catch (SwitchmasterException failure) {
                            woken.add(failure);
                        }
                        redis.command("INCR", "woken");
                        again.incrementAndGet();
                    }
                });
            }
            Sandbox.await("all block", () -> sandbox.ask(sandbox.firstMaster(), "INFO", "clients")
                    .contains("blocked_clients:" + MANY));
            sandbox.freeze(sandbox.firstMaster());
            assertTrue(factory.waitForGeneration(1, Duration.ofSeconds(30)).isPresent());
            Sandbox.await("all are awake", () -> woken.size() == MANY);
            Sandbox.await("all write", () -> again.get() == MANY);
            for (SwitchmasterException failure : woken) {
                assertEquals(Outcome.UNKNOWN, failure.outcome(), failure.getMessage());
            }
        }
    }

    /**
     * A reply that its thread reads long after the fence went up counts for nothing, and on two carriers it may
     * come to that; so some may end as unknown.
     */
    @Test
    void a_planned_failover_loses_nothing_of_theirs() {
        try (Sandbox sandbox = Sandbox.start();
                Factory factory = Factory.open(sandbox.url());
                Workers workers = new Workers(VirtualThreads.factory())) {
            AtomicInteger acknowledged = new AtomicInteger();
            AtomicInteger unknown = new AtomicInteger();
            for (int writer = 0; writer < 4; writer++) {
                workers.repeat(() -> {
                    try (Handle redis = factory.get()) {
                        redis.command("INCR", "count");
                        acknowledged.incrementAndGet();
                    } catch (SwitchmasterException failure) {
                        assertEquals(Outcome.UNKNOWN, failure.outcome(), failure.getMessage());
                        unknown.incrementAndGet();
                    }
                });
            }
            Sandbox.await("they write", () -> acknowledged.get() > 100);
            sandbox.settle();
            sandbox.failover();
            assertTrue(factory.waitForGeneration(1, Duration.ofSeconds(30)).isPresent());
            int then = acknowledged.get();
            Sandbox.await("they write on the new master", () -> acknowledged.get() > then + 100);
            workers.stop();
            try (Handle redis = factory.get()) {
                long counted = redis.command("GET", "count").asLong();
                assertTrue(counted >= acknowledged.get() && counted <= acknowledged.get() + unknown.get(),
                        counted + " counted, " + acknowledged + " acknowledged, " + unknown + " unknown");
            }
        }
    }

    @Test
    void one_whose_connection_is_given_back_by_another_thread_wakes() {
        try (Sandbox sandbox = Sandbox.start();
                Factory factory = Factory.open(sandbox.url());
                Workers workers = new Workers(VirtualThreads.factory())) {
            Lease lease = factory.lease(-1);
            ConcurrentLinkedQueue<SwitchmasterException> woken = new ConcurrentLinkedQueue<>();
            workers.start(() -> {
                byte[] command = "*3\r\n$5\r\nBLPOP\r\n$7\r\nnothing\r\n$1\r\n0\r\n".getBytes();
                lease.send(command, 0, command.length);
                try {
                    lease.receive(new byte[10], 0, 10);
                } catch (SwitchmasterException failure) {
                    woken.add(failure);
                }
            });
            Sandbox.await("it blocks", () -> sandbox.ask(sandbox.firstMaster(), "INFO", "clients")
                    .contains("blocked_clients:1"));
            lease.release();
            Sandbox.await("it is awake", () -> woken.size() == 1);
            assertEquals(ErrorKind.DEAD, woken.peek().kind(), woken.peek().getMessage());
            assertEquals(Outcome.UNKNOWN, woken.peek().outcome());
            assertEquals("PONG", factory.run(redis -> redis.command("PING")).asString());
            Sandbox.await("nothing is out", () -> factory.stats().inUse() == 0);
        }
    }

    @Test
    void one_that_is_interrupted_gets_its_reply_and_sees_it_afterwards() {
        try (Sandbox sandbox = Sandbox.start();
                Factory factory = Factory.open(sandbox.url());
                Workers workers = new Workers(VirtualThreads.factory())) {
            AtomicInteger seen = new AtomicInteger();
            workers.start(() -> {
                Thread.currentThread().interrupt();
                try (Handle redis = factory.get()) {
                    assertEquals("PONG", redis.command("PING").asString());
                    assertTrue(redis.command("BLPOP", "nothing", "0.05").isNull());
                }
                assertTrue(Thread.interrupted());
                seen.incrementAndGet();
            });
            Sandbox.await("it is done", () -> seen.get() == 1);
        }
    }

    @Test
    void the_threads_that_serve_them_end() {
        try (Sandbox sandbox = Sandbox.start()) {
            try (Factory factory = Factory.open(sandbox.url());
                    Workers workers = new Workers(VirtualThreads.factory())) {
                workers.start(() -> factory.run(redis -> redis.command("BLPOP", "nothing", "0.05")));
                Sandbox.await("it waits at the poller", () -> threads("switchmaster-poller") == 1);
            }
            Sandbox.await("the poller is gone", () -> threads("switchmaster-") == 0);
        }
    }
}
