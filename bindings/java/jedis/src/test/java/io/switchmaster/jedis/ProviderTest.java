package io.switchmaster.jedis;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.switchmaster.ErrorKind;
import io.switchmaster.Factory;
import io.switchmaster.Outcome;
import io.switchmaster.SwitchmasterException;
import io.switchmaster.testing.Sandbox;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import redis.clients.jedis.CommandArguments;
import redis.clients.jedis.Connection;
import redis.clients.jedis.Protocol;
import redis.clients.jedis.UnifiedJedis;
import redis.clients.jedis.exceptions.JedisDataException;
import redis.clients.jedis.exceptions.JedisException;

/** What a unified client gets from the provider. */
@SuppressWarnings("deprecation") // The constructor that the oldest and the newest Jedis have.
final class ProviderTest {
    private static Sandbox sandbox;

    private Factory factory;
    private SwitchmasterConnectionProvider provider;
    private UnifiedJedis redis;

    @BeforeAll
    static void start() {
        sandbox = Sandbox.start();
    }

    @AfterAll
    static void end() {
        sandbox.close();
    }

    @BeforeEach
    void open() {
        factory = Factory.open(sandbox.url() + "?protocol=2&max_size=2&get_timeout=300ms");
        provider = new SwitchmasterConnectionProvider(factory);
        redis = new UnifiedJedis(provider, 1, Duration.ofSeconds(1));
    }

    @AfterEach
    void close() {
        factory.close();
    }

    @Test
    void commands_get_their_replies_and_connections_go_back() {
        redis.del("zset");
        for (int turn = 0; turn < 100; turn++) {
            assertEquals("OK", redis.set("key", "value " + turn));
            assertEquals("value " + turn, redis.get("key"));
        }
        redis.zadd("zset", 1.5, "a");
        assertEquals("[[a,1.5]]", redis.zrangeWithScores("zset", 0, -1).toString());
        JedisDataException wrong = assertThrows(JedisDataException.class, () -> redis.incr("key"));
        assertEquals(Outcome.REPLIED, Outcome.of(wrong));
        assertNull(redis.blpop(1, "nothing"));
        assertEquals(0, factory.stats().inUse());
    }

    @Test
    void connections_are_closed_once_and_used_no_more() {
        Connection connection = provider.getConnection();
        assertTrue(connection.ping());
        connection.close();
        connection.close();
        JedisException refused = assertThrows(JedisException.class, connection::ping);
        assertEquals(ErrorKind.DEAD, SwitchmasterException.in(refused).kind());
        try (Connection one = provider.getConnection();
                Connection two = provider.getConnection(new CommandArguments(Protocol.Command.GET))) {
            assertTrue(one.ping());
            assertTrue(two.ping());
            JedisException none = assertThrows(JedisException.class, provider::getConnection);
            assertEquals(Outcome.NOT_SENT, Outcome.of(none));
            one.setSoTimeout(7);
            assertEquals(7, one.getSoTimeout());
            assertTrue(one.toString().contains(factory.name()), one.toString());
        }
        assertEquals(0, factory.stats().inUse());
    }

    @Test
    void the_factory_is_closed_only_where_that_was_asked_for() {
        assertSame(factory, provider.factory());
        assertEquals(List.of(factory.name()), List.copyOf(provider.getConnectionMap().keySet()));
        redis.close();
        assertFalse(factory.isClosed());
        new SwitchmasterConnectionProvider(factory, true).close();
        assertTrue(factory.isClosed());
        JedisException closed = assertThrows(JedisException.class, provider::getConnection);
        assertEquals(ErrorKind.CLOSED, SwitchmasterException.in(closed).kind());
    }

    @Test
    void a_pool_and_a_provider_share_a_factory() {
        try (SwitchmasterPool pool = new SwitchmasterPool(factory)) {
            for (int turn = 0; turn < 10; turn++) {
                try (redis.clients.jedis.Jedis jedis = pool.getResource()) {
                    jedis.set("shared", "" + turn);
                }
                assertEquals("" + turn, redis.get("shared"));
            }
            assertTrue(factory.stats().connectionsCreated() <= 2);
        }
    }
}
