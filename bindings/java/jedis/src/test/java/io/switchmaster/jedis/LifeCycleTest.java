package io.switchmaster.jedis;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.switchmaster.Factory;
import io.switchmaster.testing.Sandbox;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import redis.clients.jedis.Connection;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisSentinelPool;
import redis.clients.jedis.Protocol;
import redis.clients.jedis.exceptions.JedisConnectionException;
import redis.clients.jedis.exceptions.JedisException;
import redis.clients.jedis.util.Pool;

/** The state that a Jedis and a Connection report between their checkout and their end. */
@SuppressWarnings("deprecation") // JedisSentinelPool, whose place is taken.
final class LifeCycleTest {
    private static Sandbox sandbox;
    private static Set<String> sentinels;

    @BeforeAll
    static void start() {
        sandbox = Sandbox.start();
        sentinels = new LinkedHashSet<>(sandbox.sentinels());
    }

    @AfterAll
    static void end() {
        sandbox.close();
    }

    /** The protocols that this version of Jedis knows. */
    static IntStream protocols() {
        return Versions.KNOW_PROTOCOLS ? IntStream.of(2, 3) : IntStream.of(2);
    }

    private static SwitchmasterPool open(int protocol) {
        return new SwitchmasterPool(Factory.open(sandbox.url() + "?max_size=4&protocol=" + protocol), true);
    }

    private static void killClients() {
        sandbox.endConnections(sandbox.firstMaster(), "normal");
    }

    /** A command that needs the connection that was killed. */
    private static void fail(Jedis jedis) {
        jedis.watch("watched");
        killClients();
        assertThrows(JedisConnectionException.class, () -> jedis.get("key"));
    }

    private static void note(Map<String, String> seen, String when, Jedis jedis) {
        seen.put(when, (jedis.isConnected() ? "connected" : "not connected") + (jedis.isBroken() ? ", broken" : ""));
    }

    /** A life of every kind, and what it looked like from outside. */
    private static Map<String, String> lives(Pool<Jedis> pool) {
        Map<String, String> seen = new LinkedHashMap<>();
        Jedis healthy = pool.getResource();
        note(seen, "fresh", healthy);
        healthy.set("key", "value");
        note(seen, "used", healthy);
        assertThrows(JedisException.class, () -> healthy.incr("key"));
        note(seen, "after an error reply", healthy);
        healthy.close();
        note(seen, "returned", healthy);

        Jedis broken = pool.getResource();
        note(seen, "fresh again", broken);
        fail(broken);
        note(seen, "broken", broken);
        broken.close();
        note(seen, "broken and returned", broken);

        // What a pool of Jedis says of one that was returned as broken is not said here: it leaves it connected.
        Jedis refused = pool.getResource();
        note(seen, "fresh after a broken one", refused);
        pool.returnBrokenResource(refused);

        Jedis disconnected = pool.getResource();
        disconnected.ping();
        disconnected.disconnect();
        note(seen, "disconnected", disconnected);
        disconnected.close();
        note(seen, "disconnected and returned", disconnected);

        Jedis both = pool.getResource();
        fail(both);
        both.disconnect();
        note(seen, "broken and disconnected", both);
        both.close();

        Jedis last = pool.getResource();
        last.ping();
        pool.close();
        note(seen, "in use when the pool was closed", last);
        last.close();
        note(seen, "returned to a closed pool", last);
        return seen;
    }

    @ParameterizedTest
    @MethodSource("protocols")
    void a_jedis_is_connected_and_broken_when_one_of_jedis_sentinel_pool_is(int protocol) {
        Map<String, String> expected = lives(new JedisSentinelPool(sandbox.service(), sentinels));
        Map<String, String> found = lives(open(protocol));
        assertEquals(expected.toString(), found.toString());
        assertEquals(13, found.size());
    }

    @ParameterizedTest
    @MethodSource("protocols")
    void closing_only_connected_objects_leaks_nothing(int protocol) {
        try (SwitchmasterPool pool = open(protocol)) {
            for (int turn = 0; turn < 12; turn++) {
                Jedis jedis = pool.getResource();
                if (turn % 3 == 1) {
                    jedis.set("key", "value");
                } else if (turn % 3 == 2) {
                    fail(jedis);
                }
                if (jedis.isConnected()) {
                    jedis.close();
                }
                assertEquals(0, pool.getNumActive(), "turn " + turn);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("protocols")
    void the_end_of_a_jedis_does_not_reach_the_next_user(int protocol) {
        try (SwitchmasterPool pool = open(protocol)) {
            Jedis stale = pool.getResource();
            stale.set("key", "value");
            long connection = stale.clientId();
            stale.close();
            stale.disconnect();
            assertThrows(JedisException.class, () -> stale.set("key", "stale"));
            stale.disconnect();
            try (Jedis next = pool.getResource()) {
                assertEquals("value", next.get("key"));
                assertEquals(connection, next.clientId(), "it began with another connection");
            }
        }
    }

    @Test
    void a_resp3_jedis_is_of_no_use_after_its_close_also_while_another_one_has_its_connection() {
        if (!Versions.KNOW_PROTOCOLS) {
            return;
        }
        try (SwitchmasterPool pool = new SwitchmasterPool(
                Factory.open(sandbox.url() + "?max_size=1&protocol=3"), true)) {
            Jedis stale = pool.getResource();
            stale.set("key", "value");
            // Written, and not sent.
            stale.getConnection().sendCommand(Protocol.Command.SET, "key", "stale");
            stale.close();
            assertEquals(0, pool.getNumActive());
            try (Jedis next = pool.getResource()) {
                assertEquals("value", next.get("key"));
                assertThrows(JedisException.class, () -> stale.set("key", "stale"));
                assertThrows(JedisException.class, () -> stale.getConnection().getOne());
                assertThrows(JedisException.class, stale::disconnect);
                assertThrows(JedisException.class, () -> stale.set("key", "stale"));
                assertEquals("value", next.get("key"));
            }
        }
    }

    @Test
    void a_connection_says_where_it_leads() throws Exception {
        try (SwitchmasterPool pool = open(2); Jedis jedis = pool.getResource()) {
            // Public from Jedis 8 on, and called by parts of Jedis before that.
            java.lang.reflect.Method getter = Connection.class.getDeclaredMethod("getHostAndPort");
            getter.setAccessible(true);
            assertEquals(HostAndPort.from(sandbox.firstMaster()), getter.invoke(jedis.getConnection()));
            assertTrue(jedis.getConnection().toString().contains("mymaster"), jedis.getConnection().toString());
        }
    }
}
