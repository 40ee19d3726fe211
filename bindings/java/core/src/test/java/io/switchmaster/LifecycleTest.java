package io.switchmaster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.switchmaster.testing.Sandbox;
import io.switchmaster.testing.Workers;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;

/** What factories leave behind: nothing. */
final class LifecycleTest {
    private static int count(String directory) {
        String[] entries = new File(directory).list();
        return entries == null ? 0 : entries.length;
    }

    private static long residentKilobytes() {
        try {
            String pages = Files.readString(Paths.get("/proc/self/statm")).split(" ")[1];
            return Long.parseLong(pages) * 4;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static final int ROUND = 1000;

    /** 4 KB a factory, in KB: less than the least that one could leave behind, a page. */
    private static final long LEVEL = 4 * ROUND;

    private static void openAndClose(Sandbox sandbox, int times) {
        for (int at = 0; at < times; at++) {
            try (Factory factory = Factory.open(sandbox.url())) {
                factory.addListener(event -> {});
                assertEquals("PONG", factory.run(redis -> redis.command("PING")).asString());
            }
        }
    }

    @Test
    void a_thousand_factories_leave_no_thread_no_descriptor_and_no_memory() {
        try (Sandbox sandbox = Sandbox.start()) {
            openAndClose(sandbox, 200);
            System.gc();
            Sandbox.await("threads of the beginning have ended", () -> names().isEmpty());
            int descriptors = count("/proc/self/fd");
            int tasks = count("/proc/self/task");
            List<Long> grown = new ArrayList<>();
            // The virtual machine takes its time to have all that it wants: a leak grows in each round.
            while (grown.isEmpty() || (grown.get(grown.size() - 1) > LEVEL && grown.size() < 6)) {
                long before = residentKilobytes();
                openAndClose(sandbox, ROUND);
                System.gc();
                grown.add(residentKilobytes() - before);
            }
            assertTrue(grown.get(grown.size() - 1) <= LEVEL, "grown by KB in each round: " + grown);
            Sandbox.await("no thread of ours is left", () -> names().isEmpty());
            Sandbox.await("no more threads than before", () -> count("/proc/self/task") <= tasks);
            Sandbox.await("no more descriptors than before", () -> {
                System.gc();
                return count("/proc/self/fd") <= descriptors;
            });
        }
    }

    private static List<String> names() {
        return Thread.getAllStackTraces().keySet().stream()
                .map(Thread::getName).filter(it -> it.startsWith("switchmaster-")).toList();
    }

    @Test
    void a_factory_that_nobody_has_any_more_is_closed() {
        try (Sandbox sandbox = Sandbox.start()) {
            Factory.open(sandbox.url()).addListener(event -> {});
            Sandbox.await("it is closed", () -> {
                System.gc();
                return names().isEmpty();
            });
        }
    }

    @Test
    void a_handle_that_is_kept_is_told_with_the_place_where_it_was_taken() {
        try (Sandbox sandbox = Sandbox.start();
                Factory factory = Factory.open(sandbox.url() + "?leak_after=100ms");
                Handle kept = factory.get()) {
            Sandbox.await("it is counted", () -> factory.stats().leaks() == 1);
            assertEquals("PONG", kept.command("PING").asString());
            factory.lookForLeaks();
            assertEquals(1, factory.stats().leaks(), "once");
        }
    }

    @Test
    void a_handle_to_a_replica_that_is_kept_is_a_leak() {
        try (Sandbox sandbox = Sandbox.start();
                Factory factory = Factory.open(sandbox.url() + "?leak_after=100ms");
                Handle kept = replica(factory)) {
            assertEquals(1, factory.stats().checkouts());
            Sandbox.await("it is counted", () -> factory.stats().leaks() == 1);
            assertEquals("PONG", kept.command("PING").asString());
            factory.lookForLeaks();
            assertEquals(1, factory.stats().leaks(), "once");
        }
    }

    private static Handle replica(Factory factory) {
        AtomicReference<Handle> replica = new AtomicReference<>();
        Sandbox.await("a replica may be read from", () -> {
            try {
                replica.set(factory.replica());
                return true;
            } catch (SwitchmasterException notYet) {
                return false;
            }
        });
        return replica.get();
    }

    @Test
    void a_handle_beside_the_shelf_that_is_kept_is_a_leak() {
        try (Sandbox sandbox = Sandbox.start();
                Factory factory = Factory.open(sandbox.url() + "?max_size=1&leak_after=100ms&get_timeout=60s");
                Handle first = factory.get();
                Workers workers = new Workers()) {
            AtomicReference<Handle> extra = new AtomicReference<>();
            workers.start(() -> extra.set(factory.get()));
            Sandbox.await("it waits", () -> factory.stats().waiting() == 1);
            sandbox.failover();
            Sandbox.await("it has one to the new master", () -> extra.get() != null);
            Sandbox.await("both are counted", () -> factory.stats().leaks() == 2);
            extra.get().close();
            factory.lookForLeaks();
            assertEquals(2, factory.stats().leaks());
            assertEquals("PONG", first.command("PING").asString());
        }
    }

    @Test
    void idle_connections_go_back_to_the_native_pool_and_come_again() {
        try (Sandbox sandbox = Sandbox.start(); Factory factory = Factory.open(sandbox.url())) {
            assertEquals("PONG", factory.run(redis -> redis.command("PING")).asString());
            assertEquals(1, factory.shelf().count(Lease.IDLE));
            factory.shelf().returnIdle();
            assertEquals(0, factory.shelf().count(Lease.IDLE));
            assertEquals(0, factory.stats().inUse());
            assertEquals("PONG", factory.run(redis -> redis.command("PING")).asString());
        }
    }

    @SuppressWarnings("unchecked")
    private static <T extends Throwable> void sneak(Throwable thrown) throws T {
        throw (T) thrown;
    }

    @Test
    void a_listener_that_throws_a_checked_exception_or_an_error_is_called_again() {
        try (Sandbox sandbox = Sandbox.start(); Factory factory = Factory.open(sandbox.url())) {
            List<Throwable> thrown = List.of(new IOException("checked"), new StackOverflowError("on purpose"),
                    new OutOfMemoryError("on purpose"), new Exception("checked"));
            List<Event> events = new CopyOnWriteArrayList<>();
            List<Event> others = new CopyOnWriteArrayList<>();
            factory.addListener(event -> {
                events.add(event);
                LifecycleTest.<RuntimeException>sneak(thrown.get(events.size() % thrown.size()));
            });
            factory.addListener(others::add);
            sandbox.failover();
            Sandbox.await("the switch is told", () -> events.stream().anyMatch(it -> it.kind() == EventKind.SWITCHED));
            Sandbox.await("each was called", () -> events.size() > thrown.size());
            Sandbox.await("the others are told, too",
                    () -> others.stream().anyMatch(it -> it.kind() == EventKind.SWITCHED));
        }
    }

    @Test
    void a_listener_of_a_closed_factory_has_no_thread() {
        try (Sandbox sandbox = Sandbox.start()) {
            Factory closed = Factory.open(sandbox.url());
            closed.close();
            closed.addListener(event -> {});
            assertEquals(List.of(), names().stream().filter(it -> it.contains("events")).toList());
            for (int round = 0; round < 50; round++) {
                Factory factory = Factory.open(sandbox.url());
                try (Workers workers = new Workers()) {
                    workers.start(() -> factory.addListener(event -> {}));
                    factory.close();
                }
            }
            Sandbox.await("no thread is left", () -> names().isEmpty());
        }
    }

    @Test
    void a_listener_that_fails_is_called_again() {
        try (Sandbox sandbox = Sandbox.start(); Factory factory = Factory.open(sandbox.url())) {
            List<Event> events = new CopyOnWriteArrayList<>();
            EventListener listener = event -> {
                events.add(event);
                throw new IllegalStateException("on purpose");
            };
            factory.addListener(listener);
            sandbox.failover();
            Sandbox.await("the switch is told", () -> events.stream().anyMatch(it -> it.kind() == EventKind.SWITCHED));
            assertTrue(events.size() > 1);
            assertTrue(factory.removeListener(listener));
        }
    }
}
