package io.switchmaster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.switchmaster.testing.Child;
import io.switchmaster.testing.Sandbox;
import io.switchmaster.testing.Workers;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** A small heap, and thread dumps in the midst of a failover. */
final class PressureTest {
    /** Large values and replies of many elements, on four threads, while the collector runs all the time. */
    static final class LargeReplies {
        public static void main(String[] arguments) {
            String large = "v".repeat(2 << 20);
            AtomicInteger rounds = new AtomicInteger();
            try (Factory factory = Factory.open(arguments[0]); Workers workers = new Workers()) {
                try (Handle redis = factory.get()) {
                    redis.command("SET", "large", large);
                    Pipeline pipeline = redis.pipeline();
                    for (int at = 0; at < 20_000; at++) {
                        pipeline.command("RPUSH", "long", "element " + at);
                    }
                    pipeline.execute();
                }
                for (int thread = 0; thread < 4; thread++) {
                    workers.start(() -> {
                        for (int round = 0; round < 30; round++) {
                            try (Handle redis = factory.get()) {
                                assertEquals(2 << 20, redis.command("GET", "large").asBytes().length);
                                List<Reply> elements = redis.command("LRANGE", "long", "0", "-1").asList();
                                assertEquals("element 19999", elements.get(19_999).asString());
                                redis.command("SET", "large", large);
                            }
                            rounds.incrementAndGet();
                        }
                    });
                }
                workers.stop();
            }
            System.out.println("rounds " + rounds);
        }
    }

    @Test
    void large_replies_in_a_heap_of_64_megabytes_do_no_harm() {
        try (Sandbox sandbox = Sandbox.start();
                Child child = Child.start(List.of("-Xmx64m"), LargeReplies.class, sandbox.url())) {
            assertTrue(child.end().contains("rounds 120"));
        }
    }

    /** A waiter that cannot be given a connection of its own after a switch, for want of direct memory. */
    static final class NoDirectMemory {
        public static void main(String[] arguments) throws Exception {
            try (Factory factory = Factory.open(arguments[0] + "?max_size=1&get_timeout=60s")) {
                Handle first = factory.get();
                AtomicReference<Throwable> failure = new AtomicReference<>();
                Thread waiter = new Thread(() -> {
                    try {
                        factory.get();
                    } catch (Throwable failed) {
                        failure.set(failed);
                    }
                });
                waiter.start();
                Sandbox.await("it waits", () -> factory.stats().waiting() == 1);
                List<ByteBuffer> all = allDirectMemory();
                System.out.println("ready");
                System.in.read();
                waiter.join();
                System.out.println("failed with " + failure.get() + ", " + all.size() + " buffers");
                all.clear();
                System.gc();
                try (Workers workers = new Workers()) {
                    workers.start(() -> {
                        try (Handle next = factory.get(Duration.ofSeconds(20))) {
                            System.out.println("next " + next.command("PING").asString());
                        }
                    });
                    Sandbox.await("the next waits", () -> factory.stats().waiting() == 1);
                    first.close();
                }
                System.out.println("out " + factory.stats().inUse());
            }
        }

        private static List<ByteBuffer> allDirectMemory() {
            List<ByteBuffer> all = new ArrayList<>();
            for (int size = 1 << 20; size > 0; size /= 2) {
                try {
                    while (true) {
                        all.add(ByteBuffer.allocateDirect(size));
                    }
                } catch (OutOfMemoryError smaller) {
                    // Less, then.
                }
            }
            return all;
        }
    }

    @Test
    void a_waiter_that_fails_for_want_of_memory_takes_no_lease_with_it() {
        try (Sandbox sandbox = Sandbox.start();
                Child child = Child.start(
                        List.of("-XX:MaxDirectMemorySize=4m"), NoDirectMemory.class, sandbox.url())) {
            Sandbox.await("all direct memory is taken", () -> child.output().contains("ready"));
            sandbox.failover();
            child.proceed();
            String printed = child.end();
            assertTrue(printed.contains("failed with java.lang.OutOfMemoryError"), printed);
            assertTrue(printed.contains("next PONG") && printed.contains("out 0"), printed);
        }
    }

    /** Waits on a shared lease, first when no descriptor can be had, then when there are some again. */
    static final class NoDescriptors {
        public static void main(String[] arguments) throws Exception {
            try (Factory factory = Factory.open(arguments[0] + "?protocol=2")) {
                Lease lease = factory.lease(-1);
                lease.share();
                // Once before, for classes are loaded from files.
                wait(lease);
                Sandbox.await("there is a poller", () -> polls());
                limit();
                Poller.end();
                Sandbox.await("the poller has ended", () -> !polls());
                List<InputStream> all = new ArrayList<>();
                try {
                    while (all.size() < 100_000) {
                        all.add(new FileInputStream("/dev/null"));
                    }
                } catch (IOException none) {
                    // As it is to be.
                }
                wait(lease);
                boolean without = !polls();
                for (InputStream one : all) {
                    one.close();
                }
                Sandbox.await("there is a poller again", () -> {
                    wait(lease);
                    return polls();
                });
                System.out.println("without " + without + ", waited");
                lease.release();
            }
        }

        private static void wait(Lease lease) {
            byte[] command = "*3\r\n$5\r\nBLPOP\r\n$7\r\nnothing\r\n$4\r\n0.02\r\n".getBytes();
            lease.send(command, 0, command.length);
            byte[] reply = new byte[5];
            for (int length = 0; length < 5; ) {
                length += lease.receive(reply, length, 5 - length);
            }
            assertEquals("*-1\r\n", new String(reply));
        }

        private static boolean polls() {
            return Thread.getAllStackTraces().keySet().stream()
                    .anyMatch(thread -> thread.getName().equals("switchmaster-poller"));
        }

        private static void limit() throws Exception {
            String self = String.valueOf(ProcessHandle.current().pid());
            int status = new ProcessBuilder("prlimit", "--pid", self, "--nofile=256:")
                    .inheritIO().start().waitFor();
            assertEquals(0, status, "prlimit, of util-linux");
        }
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void the_poller_comes_back_after_there_were_no_descriptors() {
        try (Sandbox sandbox = Sandbox.start();
                Child child = Child.start(List.of(), NoDescriptors.class, sandbox.url())) {
            String printed = child.end();
            assertTrue(printed.contains("without true, waited"), printed);
        }
    }

    /** Writes until a line comes on its input. */
    static final class Writing {
        public static void main(String[] arguments) throws IOException {
            try (Factory factory = Factory.open(arguments[0] + "?max_size=4&command_timeout=30s");
                    Workers workers = new Workers()) {
                factory.addListener(event -> System.out.println("event " + event.name()));
                for (int thread = 0; thread < 4; thread++) {
                    workers.repeat(() -> {
                        try (Handle redis = factory.get()) {
                            redis.command("INCR", "count");
                        } catch (SwitchmasterException failed) {
                            System.out.println("failure " + failed.kind());
                        }
                    });
                }
                System.out.println("ready");
                System.in.read();
                workers.stop();
            }
            System.out.println("ended");
        }
    }

    @Test
    void thread_dumps_during_a_failover_show_nobody_who_waits_for_a_lock_of_ours() {
        try (Sandbox sandbox = Sandbox.start();
                Factory factory = Factory.open(sandbox.url());
                Child child = Child.start(List.of(), Writing.class, sandbox.url())) {
            Sandbox.await("it writes", () -> child.output().contains("ready"));
            sandbox.freeze(sandbox.firstMaster());
            int dumps = 0;
            while (factory.generation() == 1) {
                child.signal("QUIT");
                int before = dumps++;
                Sandbox.await("a dump is there", () -> count(child.output(), "JNI global ref") > before);
            }
            Sandbox.await("it switched", () -> child.output().contains("event switched"));
            child.signal("QUIT");
            child.proceed();
            String printed = child.end();
            assertTrue(printed.contains("ended") && dumps > 1, printed);
            assertTrue(printed.contains("io.switchmaster.Native.handle"), "a thread was seen in a native");
            for (String line : printed.split("\n")) {
                boolean waits = line.contains("waiting to lock") || line.contains("parking to wait");
                assertTrue(!waits || !line.contains("io.switchmaster"), line);
            }
        }
    }

    private static int count(String text, String part) {
        Matcher matcher = Pattern.compile(Pattern.quote(part)).matcher(text);
        int count = 0;
        while (matcher.find()) {
            count++;
        }
        return count;
    }
}
