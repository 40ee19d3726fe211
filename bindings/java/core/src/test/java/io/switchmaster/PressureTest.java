package io.switchmaster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.switchmaster.testing.Child;
import io.switchmaster.testing.Sandbox;
import io.switchmaster.testing.Workers;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

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
