package io.switchmaster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.switchmaster.testing.Sandbox;
import io.switchmaster.testing.Workers;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Handles and leases that are used as they are not to be: exceptions, never a crash. */
final class MisuseTest {
    private static Sandbox sandbox;

    @BeforeAll
    static void start() {
        sandbox = Sandbox.start();
    }

    @AfterAll
    static void end() {
        sandbox.close();
    }

    @Test
    void a_second_thread_is_refused_and_the_first_is_not_disturbed() {
        try (Factory factory = Factory.open(sandbox.url());
                Handle redis = factory.get();
                Workers workers = new Workers()) {
            AtomicReference<Reply> reply = new AtomicReference<>();
            workers.start(() -> reply.set(redis.command("BLPOP", "misuse", "30")));
            Sandbox.await("it blocks", () -> sandbox.ask(sandbox.firstMaster(), "INFO", "clients")
                    .contains("blocked_clients:1"));
            for (SwitchmasterException error : List.of(
                    assertThrows(SwitchmasterException.class, () -> redis.command("PING")),
                    assertThrows(SwitchmasterException.class, redis::close),
                    assertThrows(SwitchmasterException.class, () -> redis.pipeline().command("PING").execute()))) {
                assertEquals(ErrorKind.BUSY, error.kind());
                assertEquals(Outcome.NOT_SENT, error.outcome());
            }
            assertTrue(redis.toString().contains("in use"));
            sandbox.ask(sandbox.firstMaster(), "RPUSH", "misuse", "x");
            Sandbox.await("it has its reply", () -> reply.get() != null);
            assertEquals("x", reply.get().asList().get(1).asString());
        }
    }

    @Test
    void a_factory_that_is_closed_wakes_whoever_blocks_on_it() {
        Factory factory = Factory.open(sandbox.url() + "?max_size=1&get_timeout=60s");
        AtomicInteger woken = new AtomicInteger();
        try (Workers workers = new Workers()) {
            workers.start(() -> {
                Handle redis = factory.get();
                SwitchmasterException closed = assertThrows(
                        SwitchmasterException.class, () -> redis.command("BLPOP", "nothing", "0"));
                assertEquals(ErrorKind.CLOSED, closed.kind(), closed.getMessage());
                redis.close();
                woken.incrementAndGet();
            });
            Sandbox.await("it blocks", () -> sandbox.ask(sandbox.firstMaster(), "INFO", "clients")
                    .contains("blocked_clients:1"));
            workers.start(() -> {
                assertEquals(ErrorKind.CLOSED, assertThrows(SwitchmasterException.class, factory::get).kind());
                woken.incrementAndGet();
            });
            Sandbox.await("the other waits", () -> factory.stats().waiting() == 1);
            factory.close();
            Sandbox.await("both are awake", () -> woken.get() == 2);
        }
    }

    @Test
    void whatever_threads_do_to_the_same_handles_ends_as_a_reply_or_an_exception() {
        try (Factory factory = Factory.open(sandbox.url() + "?max_size=3");
                Workers workers = new Workers()) {
            AtomicReference<Handle> shared = new AtomicReference<>(factory.get());
            AtomicInteger replies = new AtomicInteger();
            for (int thread = 0; thread < 6; thread++) {
                workers.repeat(() -> {
                    Handle handle = shared.get();
                    try {
                        switch (ThreadLocalRandom.current().nextInt(10)) {
                            case 0:
                                handle.close();
                                shared.compareAndSet(handle, factory.get());
                                break;
                            case 1:
                                handle.pipeline().command("ECHO", "a").command("ECHO", "b").execute();
                                break;
                            default:
                                assertEquals("PONG", handle.command("PING").asString());
                        }
                        replies.incrementAndGet();
                    } catch (SwitchmasterException refused) {
                        assertTrue(refused.kind() == ErrorKind.BUSY || refused.kind() == ErrorKind.DEAD
                                || refused.kind() == ErrorKind.POOL_TIMEOUT, refused.getMessage());
                    }
                });
            }
            Sandbox.await("much was tried", () -> replies.get() > 20_000);
            workers.stop();
            Sandbox.await("no connection is lost", () -> factory.stats().inUse() <= 1);
        }
    }

    @Test
    void a_lease_that_was_given_back_is_refused_by_the_native_side() {
        try (Factory factory = Factory.open(sandbox.url() + "?max_size=1")) {
            Lease lease = factory.lease(-1);
            lease.send("*1\r\n$4\r\nPING\r\n".getBytes(), 0, 14);
            lease.release();
            // In the midst of a stream: its connection is gone.
            SwitchmasterException dead = assertThrows(SwitchmasterException.class,
                    () -> lease.receive(new byte[10], 0, 10));
            assertEquals(ErrorKind.DEAD, dead.kind(), dead.getMessage());
            assertThrows(IndexOutOfBoundsException.class, () -> lease.send(new byte[3], 2, 2));
            try (Handle redis = factory.get()) {
                assertEquals("PONG", redis.command("PING").asString());
            }
        }
    }

    @Test
    void a_command_that_cannot_be_meant_is_refused_and_the_handle_goes_on() {
        try (Factory factory = Factory.open(sandbox.url()); Handle redis = factory.get()) {
            assertEquals(ErrorKind.ARGUMENT,
                    assertThrows(SwitchmasterException.class, () -> redis.command(new String[0])).kind());
            assertEquals(ErrorKind.ARGUMENT,
                    assertThrows(SwitchmasterException.class, () -> redis.command("GET", null)).kind());
            assertEquals(ErrorKind.INVALID_CONFIG,
                    assertThrows(SwitchmasterException.class, () -> redis.command("MONITOR")).kind());
            for (String name : new String[] {"subscribe", "PSUBSCRIBE", "sunsubscribe"}) {
                assertEquals(ErrorKind.ARGUMENT,
                        assertThrows(SwitchmasterException.class, () -> redis.command(name, "x")).kind());
                assertEquals(ErrorKind.ARGUMENT, assertThrows(SwitchmasterException.class,
                        () -> redis.pipeline().command(name.getBytes(), "x".getBytes())).kind());
            }
            assertEquals("PONG", redis.command("PING").asString());
        }
    }
}
