package io.switchmaster;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.switchmaster.testing.Sandbox;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** What a factory and its handles do while nothing happens to the master. */
final class FactoryTest {
    private static Sandbox sandbox;
    private static Factory factory;

    @BeforeAll
    static void start() {
        sandbox = Sandbox.start();
        factory = Factory.open(sandbox.url() + "?max_size=2&get_timeout=300ms");
    }

    @AfterAll
    static void end() {
        factory.close();
        sandbox.close();
    }

    @Test
    void a_command_gets_its_reply() {
        try (Handle redis = factory.get()) {
            assertEquals("OK", redis.command("SET", "greeting", "grüße").asString());
            assertEquals("grüße", redis.command("GET", "greeting").asString());
            assertTrue(redis.command("GET", "nobody").isNull());
            assertEquals(3, redis.command("RPUSH", "list:" + redis, "a", "b", "c").asLong());
        }
    }

    @Test
    void bytes_come_back_as_they_went() {
        byte[] key = "bytes".getBytes(StandardCharsets.UTF_8);
        for (int size : new int[] {0, 1, 100, 16_000, 16_384, 70_000, 3_000_000}) {
            byte[] value = new byte[size];
            Arrays.fill(value, (byte) '\r');
            try (Handle redis = factory.get()) {
                redis.command("SET".getBytes(StandardCharsets.UTF_8), key, value);
                assertArrayEquals(value, redis.command("GET".getBytes(StandardCharsets.UTF_8), key).asBytes());
            }
        }
    }

    @Test
    void an_error_of_the_server_is_an_exception_with_its_code() {
        try (Handle redis = factory.get()) {
            redis.command("SET", "text", "x");
            ServerException error = assertThrows(ServerException.class, () -> redis.command("INCR", "text"));
            assertEquals("ERR", error.code());
            assertEquals(Outcome.REPLIED, error.outcome());
            assertEquals("x", redis.command("GET", "text").asString());
        }
    }

    @Test
    void a_pipeline_goes_out_together_and_errors_are_among_its_replies() {
        try (Handle redis = factory.get()) {
            Pipeline pipeline = redis.pipeline();
            for (int at = 0; at < 1000; at++) {
                pipeline.command("SET", "p" + at, "v" + at);
            }
            pipeline.command("INCR", "p0").command("GET", "p999");
            assertEquals(1002, pipeline.size());
            List<Reply> replies = pipeline.execute();
            assertEquals("OK", replies.get(999).asString());
            assertTrue(replies.get(1000).isError());
            assertEquals("v999", replies.get(1001).asString());
            assertEquals(0, pipeline.size());
            assertTrue(pipeline.execute().isEmpty());
        }
    }

    @Test
    void pipelines_and_commands_of_one_handle_do_not_mix() {
        try (Handle redis = factory.get()) {
            for (int round = 0; round < 3; round++) {
                Pipeline one = redis.pipeline().command("ECHO", "one");
                Pipeline other = redis.pipeline().command("ECHO", "other");
                assertEquals("neither", redis.command("ECHO", "neither").asString());
                one.command("ECHO", "one again");
                assertEquals(List.of("other"), texts(other.execute()));
                Pipeline third = redis.pipeline().command("ECHO", "third");
                assertEquals(List.of("one", "one again"), texts(one.execute()));
                assertEquals(List.of("third"), texts(third.execute()));
            }
        }
    }

    private static List<String> texts(List<Reply> replies) {
        return replies.stream().map(Reply::asString).collect(Collectors.toList());
    }

    @Test
    void a_handle_is_used_by_nobody_after_its_close() {
        Handle redis = factory.get();
        redis.close();
        for (SwitchmasterException error : List.of(
                assertThrows(SwitchmasterException.class, () -> redis.command("PING")),
                assertThrows(SwitchmasterException.class, redis::generation),
                assertThrows(SwitchmasterException.class, redis::close))) {
            assertEquals(ErrorKind.DEAD, error.kind());
            assertEquals(Outcome.NOT_SENT, error.outcome());
        }
    }

    @Test
    void whoever_finds_no_handle_in_time_is_told_how_many_there_are() {
        try (Handle one = factory.get(); Handle two = factory.get()) {
            SwitchmasterException error = assertThrows(SwitchmasterException.class, factory::get);
            assertEquals(ErrorKind.POOL_TIMEOUT, error.kind());
            assertEquals(Outcome.NOT_SENT, error.outcome());
            assertTrue(error.getMessage().contains("all 2 handles"), error.getMessage());
            assertTrue(factory.tryGet().isEmpty());
            assertEquals("PONG", one.command("PING").asString());
            assertEquals("PONG", two.command("PING").asString());
        }
    }

    @Test
    void a_wait_of_zero_or_less_is_none() {
        try (Factory patient = Factory.open(sandbox.url() + "?max_size=1&get_timeout=60s")) {
            Duration longest = Duration.ofSeconds(Long.MAX_VALUE);
            try (Handle only = patient.get(longest)) {
                for (Duration wait : List.of(Duration.ZERO, Duration.ofMillis(-1), Duration.ofNanos(-1),
                        Duration.ofSeconds(Long.MIN_VALUE))) {
                    SwitchmasterException none =
                            assertThrows(SwitchmasterException.class, () -> patient.get(wait));
                    assertEquals(ErrorKind.POOL_TIMEOUT, none.kind());
                    assertTrue(none.getMessage().contains("in use for 0 ms"), none.getMessage());
                    assertTrue(patient.waitForGeneration(1, wait).isEmpty());
                }
                SwitchmasterException soon =
                        assertThrows(SwitchmasterException.class, () -> patient.get(Duration.ofNanos(1)));
                assertTrue(soon.getMessage().contains("in use for 1 ms"), soon.getMessage());
                assertEquals(1, patient.waitForGeneration(0, longest).orElseThrow());
                assertEquals("PONG", only.command("PING").asString());
            }
        }
    }

    @Test
    void state_of_a_connection_is_not_handed_on() {
        try (Handle redis = factory.get()) {
            redis.command("SELECT", "3");
            redis.command("SET", "in-three", "x");
        }
        for (int at = 0; at < 4; at++) {
            try (Handle redis = factory.get()) {
                assertTrue(redis.command("GET", "in-three").isNull());
            }
        }
    }

    @Test
    void a_factory_tells_what_it_knows() {
        assertEquals(sandbox.firstMaster(), factory.master().orElseThrow());
        assertEquals(1, factory.generation());
        Topology topology = factory.topology();
        assertEquals(sandbox.service(), topology.service());
        assertEquals(sandbox.firstMaster(), topology.master());
        Sandbox.await("all nodes and sentinels are known", () -> factory.topology().nodes().size() == 3
                && factory.topology().sentinels().size() == 3);
        Stats stats = factory.stats();
        assertEquals(2, stats.max());
        assertEquals(1, stats.switches());
        assertTrue(factory.waitForGeneration(1, Duration.ofMillis(10)).isEmpty());
        assertEquals(1, factory.waitForGeneration(0, Duration.ZERO).orElseThrow());
        assertFalse(factory.toString().contains("password"));
    }

    @Test
    void a_replica_is_read_from() {
        Sandbox.await("a replica may be read from", () -> {
            try (Handle replica = factory.replica()) {
                return "slave".equals(replica.command("ROLE").asList().get(0).asString());
            } catch (SwitchmasterException notYet) {
                return false;
            }
        });
    }

    @Test
    void a_url_or_an_option_that_is_wrong_is_quoted_and_a_password_is_not() {
        SwitchmasterException url = assertThrows(SwitchmasterException.class,
                () -> Factory.open("redis+sentinel://:secret@h:70000/mymaster"));
        assertEquals(ErrorKind.INVALID_URL, url.kind());
        assertTrue(url.getMessage().contains("70000"), url.getMessage());
        assertFalse(url.getMessage().contains("secret"), url.getMessage());
        SwitchmasterException option = assertThrows(SwitchmasterException.class,
                () -> Factory.builder().option("max_sise", "3"));
        assertEquals(ErrorKind.INVALID_CONFIG, option.kind());
        assertTrue(option.getMessage().contains("max_size"), option.getMessage());
        assertThrows(SwitchmasterException.class, () -> Factory.builder().password("a\0b"));
        assertThrows(SwitchmasterException.class, () -> Factory.builder().service(null));
    }

    @Test
    void a_closed_factory_says_so() {
        Factory closed = Factory.open(sandbox.url());
        Handle out = closed.get();
        closed.close();
        closed.close();
        assertEquals(ErrorKind.CLOSED,
                assertThrows(SwitchmasterException.class, closed::get).kind());
        assertEquals(ErrorKind.CLOSED,
                assertThrows(SwitchmasterException.class, () -> out.command("PING")).kind());
        out.close();
        assertThrows(SwitchmasterException.class, closed::generation);
        assertTrue(closed.isClosed());
        assertTrue(closed.toString().contains("closed"));
    }
}
