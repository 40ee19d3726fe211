package io.switchmaster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.switchmaster.testing.Sandbox;
import io.switchmaster.testing.Workers;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

/** What becomes of threads and their commands when the master is replaced. */
final class FailoverTest {
    /** Switched and settled: the sentinels name another master, and handles lead there. */
    private static void awaitSwitch(Factory factory, long after) {
        assertTrue(factory.waitForGeneration(after, Duration.ofSeconds(30)).isPresent(), "there was no switch");
    }

    @Test
    void after_a_kill_the_same_handle_writes_on_the_new_master() {
        try (Sandbox sandbox = Sandbox.start();
                Factory factory = Factory.open(sandbox.url());
                Handle redis = factory.get()) {
            List<Event> events = listen(factory);
            redis.command("SET", "before", "1");
            sandbox.kill(sandbox.firstMaster());
            awaitSwitch(factory, 1);
            assertEquals("OK", redis.command("SET", "after", "2").asString());
            assertEquals(2, redis.generation());
            assertNotEquals(sandbox.firstMaster(), factory.master().orElseThrow());
            Sandbox.await("the switch is told", () -> events.stream()
                    .anyMatch(event -> event.kind() == EventKind.SWITCHED && event.generation() == 2));
            Event switched = events.stream().filter(event -> event.generation() == 2
                    && event.kind() == EventKind.SWITCHED).findFirst().orElseThrow();
            assertEquals(sandbox.firstMaster(), switched.previous());
            assertEquals(factory.master().orElseThrow(), switched.address());
            assertEquals("switched", switched.name());
        }
    }

    @Test
    void a_frozen_master_wakes_its_readers_at_the_switch() {
        try (Sandbox sandbox = Sandbox.start();
                Factory factory = Factory.open(sandbox.url() + "?command_timeout=60s&max_size=4");
                Workers workers = new Workers()) {
            ConcurrentLinkedQueue<SwitchmasterException> woken = new ConcurrentLinkedQueue<>();
            Handle blocked = factory.get();
            Handle reading = factory.get();
            workers.start(() -> woken.add(failure(() -> blocked.command("BLPOP", "nothing", "0"))));
            Sandbox.await("it blocks", () -> sandbox.ask(sandbox.firstMaster(), "INFO", "clients")
                    .contains("blocked_clients:1"));
            sandbox.freeze(sandbox.firstMaster());
            workers.start(() -> woken.add(failure(() -> reading.command("GET", "key"))));
            awaitSwitch(factory, 1);
            Sandbox.await("both readers are awake", () -> woken.size() == 2);
            for (SwitchmasterException failure : woken) {
                assertEquals(ErrorKind.SWITCHED, failure.kind(), failure.getMessage());
                assertEquals(Outcome.UNKNOWN, failure.outcome());
            }
            assertEquals("PONG", blocked.command("PING").asString());
            blocked.close();
            reading.close();
        }
    }

    private static SwitchmasterException failure(Runnable call) {
        try {
            call.run();
        } catch (SwitchmasterException failure) {
            return failure;
        }
        throw new AssertionError("it did not fail");
    }

    @Test
    void waiters_of_an_exhausted_pool_are_served_by_the_new_master() {
        try (Sandbox sandbox = Sandbox.start();
                Factory factory = Factory.open(sandbox.url() + "?command_timeout=60s&max_size=2&get_timeout=60s");
                Workers workers = new Workers()) {
            ConcurrentLinkedQueue<Long> served = new ConcurrentLinkedQueue<>();
            // Before the freeze: a frozen master lets nobody connect.
            List<Handle> handles = List.of(factory.get(), factory.get());
            sandbox.freeze(sandbox.firstMaster());
            for (Handle handle : handles) {
                workers.start(() -> {
                    failure(() -> handle.command("GET", "key"));
                    handle.close();
                });
            }
            for (int waiter = 0; waiter < 6; waiter++) {
                workers.start(() -> {
                    try (Handle handle = factory.get()) {
                        handle.command("INCR", "served");
                        served.add(handle.generation());
                    }
                });
            }
            awaitSwitch(factory, 1);
            Sandbox.await("all who waited are served", () -> served.size() == 6);
            assertTrue(served.stream().allMatch(generation -> generation == 2), served.toString());
        }
    }

    @Test
    void whoever_keeps_handles_of_the_old_master_stands_in_nobodys_way() {
        try (Sandbox sandbox = Sandbox.start();
                Factory factory = Factory.open(sandbox.url() + "?max_size=2&get_timeout=60s");
                Workers workers = new Workers()) {
            Handle one = factory.get();
            Handle two = factory.get();
            AtomicLong served = new AtomicLong();
            workers.start(() -> {
                try (Handle handle = factory.get()) {
                    served.set(handle.generation());
                }
            });
            Sandbox.await("it waits", () -> factory.stats().waiting() == 1);
            sandbox.failover();
            awaitSwitch(factory, 1);
            Sandbox.await("it is served, and nobody has closed a handle", () -> served.get() == 2);
            one.close();
            two.close();
            Sandbox.await("all have come back", () -> factory.stats().inUse() == 0);
        }
    }

    @Test
    void a_planned_failover_loses_nothing_and_shows_no_error() {
        try (Sandbox sandbox = Sandbox.start();
                Factory factory = Factory.open(sandbox.url());
                Workers workers = new Workers()) {
            AtomicLong acknowledged = new AtomicLong();
            for (int writer = 0; writer < 4; writer++) {
                workers.repeat(() -> {
                    try (Handle redis = factory.get()) {
                        redis.command("INCR", "count");
                        acknowledged.incrementAndGet();
                    }
                });
            }
            Sandbox.await("they write", () -> acknowledged.get() > 100);
            sandbox.settle();
            sandbox.failover();
            awaitSwitch(factory, 1);
            long then = acknowledged.get();
            Sandbox.await("they write on the new master", () -> acknowledged.get() > then + 100);
            workers.stop();
            try (Handle redis = factory.get()) {
                assertEquals(acknowledged.get(), redis.command("GET", "count").asLong());
            }
        }
    }

    @Test
    void ten_failovers_in_a_row_are_followed() {
        try (Sandbox sandbox = Sandbox.start();
                Factory factory = Factory.open(sandbox.url());
                Workers workers = new Workers()) {
            AtomicLong acknowledged = new AtomicLong();
            AtomicLong unknown = new AtomicLong();
            for (int writer = 0; writer < 2; writer++) {
                workers.repeat(() -> {
                    try (Handle redis = factory.get()) {
                        redis.command("INCR", "count");
                        acknowledged.incrementAndGet();
                    } catch (SwitchmasterException failure) {
                        assertNotEquals(Outcome.REPLIED, failure.outcome(), failure.getMessage());
                        unknown.addAndGet(failure.outcome() == Outcome.UNKNOWN ? 1 : 0);
                    }
                });
            }
            for (long generation = 1; generation <= 10; generation++) {
                sandbox.failover();
                awaitSwitch(factory, generation);
                long then = acknowledged.get();
                Sandbox.await("they write", () -> acknowledged.get() > then + 10);
            }
            workers.stop();
            try (Handle redis = factory.get()) {
                long count = redis.command("GET", "count").asLong();
                // No command ran twice. Some are lost where a replica was chosen that had come just before, to
                // which Redis holds its stream back; the planned failover above waits for that.
                assertTrue(count <= acknowledged.get() + unknown.get(),
                        count + " counted, " + acknowledged + " acknowledged, " + unknown + " unknown");
                assertTrue(redis.generation() >= 11);
            }
        }
    }

    @Test
    void a_handle_with_state_says_that_it_lost_it() {
        try (Sandbox sandbox = Sandbox.start();
                Factory factory = Factory.open(sandbox.url());
                Handle redis = factory.get()) {
            redis.command("MULTI");
            redis.command("SET", "in-multi", "x");
            sandbox.failover();
            awaitSwitch(factory, 1);
            SwitchmasterException lost = failure(() -> redis.command("EXEC"));
            assertEquals(ErrorKind.SWITCHED, lost.kind(), lost.getMessage());
            assertEquals(Outcome.NOT_SENT, lost.outcome());
            assertEquals(ErrorKind.POISONED, failure(() -> redis.command("PING")).kind());
            try (Handle next = factory.get()) {
                assertNull(next.command("GET", "in-multi").asString());
            }
        }
    }

    @Test
    void work_that_was_not_sent_runs_again() {
        try (Sandbox sandbox = Sandbox.start();
                Factory factory = Factory.open(sandbox.url() + "?get_timeout=30s")) {
            sandbox.kill(sandbox.firstMaster());
            long written = factory.runIdempotent(redis -> redis.command("SETRANGE", "text", "0", "abc").asLong());
            assertEquals(3, written);
            assertEquals(2, factory.generation());
            assertEquals("abc", factory.run(redis -> redis.command("GET", "text").asString()));
        }
    }

    private static List<Event> listen(Factory factory) {
        List<Event> events = new java.util.concurrent.CopyOnWriteArrayList<>();
        factory.addListener(events::add);
        return events;
    }
}
