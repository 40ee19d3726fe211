package io.switchmaster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.switchmaster.testing.Sandbox;
import io.switchmaster.testing.VirtualThreads;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledForJreRange;
import org.junit.jupiter.api.condition.JRE;

/** Leases that one thread returns while another one waits on them. */
final class LeaseTest {
    private static final int SIZE = 8;
    private static Sandbox sandbox;

    @BeforeAll
    static void start() {
        sandbox = Sandbox.start();
    }

    @AfterAll
    static void end() {
        sandbox.close();
    }

    private static byte[] command(String... words) {
        StringBuilder command = new StringBuilder("*" + words.length + "\r\n");
        for (String word : words) {
            command.append("$").append(word.length()).append("\r\n").append(word).append("\r\n");
        }
        return command.toString().getBytes(StandardCharsets.UTF_8);
    }

    private static void send(Lease lease, String... words) {
        byte[] command = command(words);
        lease.send(command, 0, command.length);
    }

    /** A lease, and a thread that waits for a reply on it which does not come. */
    private static final class Waiting {
        private final Lease lease;
        private final Thread thread;
        private final AtomicReference<Throwable> ended = new AtomicReference<>();
        private volatile boolean sent;

        private Waiting(Lease lease, boolean shared, ThreadFactory threads) {
            this.lease = lease;
            if (shared) {
                lease.share();
            }
            thread = threads.newThread(() -> {
                try {
                    send(lease, "BLPOP", "nothing", "0");
                    sent = true;
                    lease.receive(new byte[10], 0, 10);
                } catch (Throwable failed) {
                    ended.set(failed);
                }
            });
            thread.setDaemon(true);
            thread.start();
        }

        private boolean isParked() {
            Thread.State state = thread.getState();
            return state == Thread.State.WAITING || state == Thread.State.TIMED_WAITING;
        }

        /** In the midst of the wait, or at any moment after the command was sent. */
        private void giveBack(boolean midst) {
            while (!sent || (midst && !isParked())) {
                Thread.yield();
            }
            for (int spins = ThreadLocalRandom.current().nextInt(1_000); spins > 0; spins--) {
                Thread.onSpinWait();
            }
            lease.release();
        }

        /** It wakes with an error. */
        private void join() throws InterruptedException {
            thread.join(TimeUnit.SECONDS.toMillis(30));
            assertTrue(!thread.isAlive(), "a thread still waits on a lease that was given back");
            SwitchmasterException failed = SwitchmasterException.in(ended.get());
            assertTrue(failed != null && failed.kind() == ErrorKind.DEAD, String.valueOf(ended.get()));
        }
    }

    /** The next user: it waits for a reply that comes. A thread of the one before it must not take its wake-up. */
    private static final class Next {
        private final AtomicReference<Object> ended = new AtomicReference<>();
        private final Thread thread;

        private Next(Factory factory, String list) {
            thread = new Thread(() -> {
                try {
                    Lease lease = factory.lease(-1);
                    lease.share();
                    send(lease, "BLPOP", list, "0");
                    byte[] bytes = new byte[100];
                    int length = 0;
                    while (length < 17 + list.length()) {
                        length += lease.receive(bytes, length, bytes.length - length);
                    }
                    lease.release();
                    ended.set(new String(bytes, 0, length, StandardCharsets.UTF_8));
                } catch (Throwable failed) {
                    ended.set(failed);
                }
            });
            thread.setDaemon(true);
            thread.start();
        }

        private void join(String list) throws InterruptedException {
            thread.join(TimeUnit.SECONDS.toMillis(30));
            assertEquals("*2\r\n$" + list.length() + "\r\n" + list + "\r\n$1\r\nx\r\n", ended.get(),
                    "the next user's reply");
        }
    }

    private static void disturb(boolean shared, ThreadFactory threads, int rounds) throws InterruptedException {
        try (Factory factory = Factory.open(sandbox.url() + "?max_size=" + SIZE + "&get_timeout=30s");
                Factory other = Factory.open(sandbox.url());
                Handle feeder = other.get()) {
            for (int round = 0; round < rounds; round++) {
                List<Waiting> waiting = new ArrayList<>();
                for (int at = 0; at < SIZE; at++) {
                    waiting.add(new Waiting(factory.lease(-1), shared, threads));
                }
                for (Waiting each : waiting) {
                    each.giveBack(round % 2 == 0);
                }
                List<Next> next = new ArrayList<>();
                for (int at = 0; at < SIZE; at++) {
                    next.add(new Next(factory, "list" + at));
                }
                for (int at = 0; at < SIZE; at++) {
                    feeder.command("RPUSH", "list" + at, "x");
                }
                for (int at = 0; at < SIZE; at++) {
                    next.get(at).join("list" + at);
                    waiting.get(at).join();
                }
            }
        }
    }

    @Test
    @EnabledForJreRange(min = JRE.JAVA_21)
    void the_next_user_of_a_lease_is_woken_whatever_virtual_thread_waited_on_it_before()
            throws InterruptedException {
        disturb(false, VirtualThreads.factory(), 150);
    }

    @Test
    void the_next_user_of_a_shared_lease_is_woken_whatever_thread_waited_on_it_before()
            throws InterruptedException {
        disturb(true, Thread::new, 150);
    }

    /** No more connections are in use than before, and all of them can be had at once. */
    private static void assertWhole(Factory factory) {
        Sandbox.await("nothing is out", () -> factory.stats().inUse() == 0);
        List<Handle> all = new ArrayList<>();
        for (int at = 0; at < SIZE; at++) {
            all.add(factory.get(Duration.ofSeconds(10)));
        }
        all.forEach(Handle::close);
        assertTrue(factory.stats().total() <= SIZE, factory.stats().toString());
    }

    private static void giveBackInUse(boolean shared, ThreadFactory threads, int times) throws InterruptedException {
        try (Factory factory = Factory.open(sandbox.url() + "?max_size=" + SIZE + "&get_timeout=30s")) {
            AtomicInteger left = new AtomicInteger(times);
            AtomicReference<Throwable> failure = new AtomicReference<>();
            List<Thread> closers = new ArrayList<>();
            for (int at = 0; at < SIZE; at++) {
                Thread closer = new Thread(() -> {
                    try {
                        for (int round = left.decrementAndGet(); round >= 0; round = left.decrementAndGet()) {
                            Waiting waiting = new Waiting(factory.lease(-1), shared, threads);
                            waiting.giveBack(round % 2 == 0);
                            waiting.join();
                        }
                    } catch (Throwable failed) {
                        failure.compareAndSet(null, failed);
                    }
                });
                closers.add(closer);
                closer.start();
            }
            for (Thread closer : closers) {
                closer.join();
            }
            if (failure.get() != null) {
                throw new AssertionError("after " + (times - left.get()) + " closes", failure.get());
            }
            assertWhole(factory);
        }
    }

    @Test
    @EnabledForJreRange(min = JRE.JAVA_21)
    void ten_thousand_leases_given_back_in_use_by_virtual_threads_cost_no_connection() throws InterruptedException {
        giveBackInUse(false, VirtualThreads.factory(), 10_000);
    }

    @Test
    void ten_thousand_shared_leases_given_back_in_use_cost_no_connection() throws InterruptedException {
        giveBackInUse(true, Thread::new, 10_000);
    }

    @Test
    void a_second_thread_that_receives_is_refused_and_the_first_one_goes_on() throws InterruptedException {
        try (Factory factory = Factory.open(sandbox.url())) {
            for (boolean shared : new boolean[] {true, false}) {
                Lease lease = factory.lease(-1);
                Waiting waiting = new Waiting(lease, shared, Thread::new);
                Sandbox.await("it blocks", () -> sandbox.ask(sandbox.firstMaster(), "INFO", "clients")
                        .contains("blocked_clients:1"));
                SwitchmasterException busy = assertThrows(
                        SwitchmasterException.class, () -> lease.receive(new byte[1], 0, 1));
                assertEquals(ErrorKind.BUSY, busy.kind());
                sandbox.ask(sandbox.firstMaster(), "RPUSH", "nothing", "x");
                waiting.thread.join();
                assertEquals(null, waiting.ended.get());
                lease.release();
            }
        }
    }

    @Test
    void a_connection_that_is_renewed_in_use_is_not_reused() throws InterruptedException {
        try (Factory factory = Factory.open(sandbox.url() + "?max_size=2")) {
            Lease lease = factory.lease(-1);
            for (int round = 0; round < 200; round++) {
                Waiting waiting = new Waiting(lease, true, Thread::new);
                while (!waiting.sent || !waiting.isParked()) {
                    Thread.yield();
                }
                lease.renew();
                send(lease, "PING");
                byte[] pong = new byte[7];
                assertEquals(7, lease.receive(pong, 0, 7));
                assertEquals("+PONG\r\n", new String(pong, StandardCharsets.UTF_8));
                waiting.join();
            }
            lease.release();
            Sandbox.await("nothing is out", () -> factory.stats().inUse() == 0);
        }
    }

    @Test
    void checkouts_are_counted_on_when_leases_are_replaced() throws InterruptedException {
        try (Factory factory = Factory.open(sandbox.url() + "?max_size=2")) {
            for (int round = 1; round <= 20; round++) {
                Waiting waiting = new Waiting(factory.lease(-1), true, Thread::new);
                waiting.giveBack(true);
                waiting.join();
                assertEquals(round, factory.stats().checkouts());
            }
        }
    }
}
