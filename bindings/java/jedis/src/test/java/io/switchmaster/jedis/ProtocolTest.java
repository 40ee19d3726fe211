package io.switchmaster.jedis;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.switchmaster.Builder;
import io.switchmaster.ErrorKind;
import io.switchmaster.Factory;
import io.switchmaster.Outcome;
import io.switchmaster.SwitchmasterException;
import io.switchmaster.testing.Child;
import io.switchmaster.testing.Sandbox;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisPubSub;
import redis.clients.jedis.Pipeline;
import redis.clients.jedis.Response;
import redis.clients.jedis.UnifiedJedis;
import redis.clients.jedis.exceptions.JedisException;

/** Replies are decoded as the server and the core have agreed to speak. */
@SuppressWarnings("deprecation") // The constructor that the oldest and the newest Jedis have.
final class ProtocolTest {
    private final List<OldServer> ways = new ArrayList<>();

    private Sandbox sandbox;

    @BeforeEach
    void start() {
        sandbox = Sandbox.start();
    }

    @AfterEach
    void end() {
        ways.forEach(OldServer::close);
        sandbox.close();
    }

    /** A factory that asks for RESP3, and finds servers among others that know no HELLO. */
    private Factory third(List<String> old) {
        Builder builder = Factory.builder(sandbox.url() + "?protocol=3&max_size=2");
        for (String server : old) {
            OldServer way = new OldServer(server);
            ways.add(way);
            builder.addressMap(server, way.address());
        }
        return builder.build();
    }

    private List<String> nodes() {
        List<String> nodes = new ArrayList<>(sandbox.replicas());
        nodes.add(sandbox.firstMaster());
        return nodes;
    }

    private Factory third() {
        return third(List.of());
    }

    /** Commands whose replies differ between the protocols. */
    private static void check(Jedis jedis) {
        jedis.del("zset", "hash");
        jedis.zadd("zset", 1.5, "a");
        jedis.hset("hash", "field", "value");
        assertEquals("[[a,1.5]]", jedis.zrangeWithScores("zset", 0, -1).toString());
        assertEquals("{field=value}", jedis.hgetAll("hash").toString());
        assertEquals(1.5, jedis.zscore("zset", "a"));
        Pipeline pipeline = jedis.pipelined();
        Response<Double> score = pipeline.zscore("zset", "a");
        pipeline.sync();
        assertEquals(1.5, score.get());
    }

    private boolean isSpoken(int protocol) {
        return sandbox.ask(sandbox.master(), "CLIENT", "LIST").contains("resp=" + protocol);
    }

    @Test
    void a_pool_speaks_resp2_unless_resp3_is_asked_for() {
        for (Factory factory : List.of(
                Factory.open(sandbox.url()),
                Factory.builder().sentinels(sandbox.sentinels()).service(sandbox.service()).build())) {
            assertEquals(2, factory.protocol());
            try (SwitchmasterPool pool = new SwitchmasterPool(factory, true); Jedis jedis = pool.getResource()) {
                check(jedis);
                assertFalse(isSpoken(3));
            }
        }
        for (Factory factory : List.of(
                Factory.open(sandbox.url() + "?max_size=2&protocol=3"),
                Factory.builder(sandbox.url()).protocol(3).build(),
                Factory.builder(sandbox.url() + "?protocol=2").protocol(3).build())) {
            assertEquals(3, factory.protocol());
            factory.close();
        }
    }

    @Test
    void resp3_is_spoken_where_it_is_asked_for() {
        assumeTrue(Versions.KNOW_PROTOCOLS);
        try (SwitchmasterPool pool = new SwitchmasterPool(third(), true)) {
            for (int turn = 0; turn < 3; turn++) {
                try (Jedis jedis = pool.getResource()) {
                    check(jedis);
                    assertTrue(isSpoken(3));
                }
            }
            assertEquals(0, pool.getNumActive());
        }
    }

    @Test
    void replies_of_a_server_that_refuses_hello_are_decoded_as_resp2() {
        assumeTrue(Versions.KNOW_PROTOCOLS);
        try (SwitchmasterPool pool = new SwitchmasterPool(third(nodes()), true); Jedis jedis = pool.getResource()) {
            check(jedis);
            assertFalse(isSpoken(3));
        }
        try (Factory factory = third(nodes());
                UnifiedJedis redis = new UnifiedJedis(
                        new SwitchmasterConnectionProvider(factory), 1, Duration.ofSeconds(1))) {
            redis.del("zset");
            redis.zadd("zset", 1.5, "a");
            assertEquals("[[a,1.5]]", redis.zrangeWithScores("zset", 0, -1).toString());
        }
    }

    @Test
    void a_master_that_speaks_another_protocol_than_the_last_one_is_noticed() {
        assumeTrue(Versions.KNOW_PROTOCOLS);
        try (Factory factory = third(sandbox.replicas()); SwitchmasterPool pool = new SwitchmasterPool(factory)) {
            SwitchmasterConnectionProvider provider = new SwitchmasterConnectionProvider(factory);
            UnifiedJedis redis = new UnifiedJedis(provider, 1, Duration.ofSeconds(1));
            Jedis open = pool.getResource();
            check(open);
            redis.zadd("zset", 1.5, "a");
            sandbox.settle();
            sandbox.failover();
            Sandbox.await("the new master serves", () -> factory.generation() == 2);
            // Every command for the old protocol fails, and no reply is decoded in the wrong way.
            JedisException late = assertThrows(JedisException.class, () -> open.zrangeWithScores("zset", 0, -1));
            assertEquals(ErrorKind.PROTOCOL, SwitchmasterException.in(late).kind());
            assertEquals(Outcome.UNKNOWN, Outcome.of(late));
            JedisException again = assertThrows(JedisException.class, () -> open.zrangeWithScores("zset", 0, -1));
            assertTrue(again.getMessage().contains("RESP2"), again.getMessage());
            open.close();
            try (Jedis next = pool.getResource()) {
                check(next);
            }
            JedisException told = assertThrows(JedisException.class, () -> redis.zrangeWithScores("zset", 0, -1));
            assertEquals(Outcome.NOT_SENT, Outcome.of(told));
            assertTrue(told.getMessage().contains("RESP2"), told.getMessage());
            assertEquals(0, pool.getNumActive());
        }
    }

    @Test
    void no_field_is_set_by_reflection() {
        assumeTrue(Versions.KNOW_PROTOCOLS);
        List<String> options = Runtime.version().feature() >= 26
                ? List.of("--illegal-final-field-mutation=deny") : List.of();
        try (Child child = Child.start(options, Sealed.class, sandbox.url())) {
            assertTrue(child.end().contains("{field=value}"), child.output());
        }
    }

    /** A program that takes a Jedis, in a virtual machine of its own, and looks at what it may not set. */
    static final class Sealed {
        private Sealed() {}

        /** Runs it. */
        public static void main(String[] arguments) throws Exception {
            try (SwitchmasterPool pool = new SwitchmasterPool(
                            Factory.open(arguments[0] + "?protocol=3"), true);
                    Jedis jedis = pool.getResource()) {
                jedis.del("hash");
                jedis.hset("hash", "field", "value");
                System.out.println(jedis.hgetAll("hash"));
            }
        }
    }
}
