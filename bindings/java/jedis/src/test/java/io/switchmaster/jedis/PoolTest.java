package io.switchmaster.jedis;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.switchmaster.ErrorKind;
import io.switchmaster.Factory;
import io.switchmaster.Outcome;
import io.switchmaster.SwitchmasterException;
import io.switchmaster.testing.Sandbox;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.LinkedHashSet;
import org.apache.commons.pool2.DestroyMode;
import org.apache.commons.pool2.impl.GenericObjectPoolConfig;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.Protocol;
import redis.clients.jedis.Transaction;
import redis.clients.jedis.exceptions.JedisConnectionException;
import redis.clients.jedis.exceptions.JedisDataException;
import redis.clients.jedis.exceptions.JedisException;

/** How a pool gives out and takes back, and what its errors say, while nothing happens to the master. */
final class PoolTest {
    private static Sandbox sandbox;

    private SwitchmasterPool pool;

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
        pool = new SwitchmasterPool(
                Factory.open(url() + "&max_size=2&get_timeout=300ms&command_timeout=400ms"), true);
    }

    @AfterEach
    void close() {
        pool.close();
    }

    private static String url() {
        return sandbox.url() + "?protocol=2";
    }

    /** What the server has counted of a command. */
    private static long calls(String command) {
        String stats = sandbox.ask(sandbox.firstMaster(), "INFO", "commandstats");
        int at = stats.indexOf("cmdstat_" + command + ":calls=");
        return at < 0 ? 0 : Long.parseLong(stats.substring(at).split("[=,]")[1]);
    }

    @Test
    void a_jedis_that_was_given_back_is_given_out_again_without_a_word_to_the_server() {
        Jedis first = pool.getResource();
        first.set("greeting", "hello");
        first.close();
        long greetings = calls("hello") + calls("auth") + calls("select") + calls("client|setname");
        long pings = calls("ping");
        for (int turn = 0; turn < 100; turn++) {
            try (Jedis jedis = pool.getResource()) {
                assertSame(first, jedis);
                assertEquals("hello", jedis.get("greeting"));
            }
        }
        assertEquals(greetings, calls("hello") + calls("auth") + calls("select") + calls("client|setname"));
        // What the sentinels send each second comes on top.
        assertTrue(calls("ping") - pings < 50);
    }

    @Test
    void a_jedis_is_used_by_nobody_after_its_close() {
        Jedis jedis = pool.getResource();
        jedis.set("greeting", "hello");
        jedis.close();
        JedisException refused = assertThrows(JedisException.class, () -> jedis.set("greeting", "late"));
        assertEquals(Outcome.NOT_SENT, Outcome.of(refused));
        assertEquals(ErrorKind.DEAD, SwitchmasterException.in(refused).kind());
        assertThrows(JedisException.class, () -> jedis.getConnection().getOne());
        try (Jedis next = pool.getResource()) {
            assertEquals("hello", next.get("greeting"));
        }
    }

    @Test
    void a_second_close_does_nothing() {
        Jedis jedis = pool.getResource();
        jedis.close();
        jedis.close();
        jedis.getConnection().close();
        pool.returnResource(jedis);
        pool.returnBrokenResource(jedis);
        Jedis one = pool.getResource();
        Jedis two = pool.getResource();
        assertNotSame(one, two);
        one.close();
        two.close();
        assertEquals(0, pool.getNumActive());
    }

    @Test
    void a_reply_that_nobody_read_is_not_the_next_ones() {
        for (int turn = 0; turn < 3; turn++) {
            try (Jedis jedis = pool.getResource()) {
                jedis.set("key", "value");
                jedis.getConnection().sendCommand(Protocol.Command.ECHO, "unread");
                // Both replies come in, and one of them is looked at.
                assertEquals("unread", text(jedis.getConnection().getOne()));
                jedis.getConnection().sendCommand(Protocol.Command.ECHO, "one");
                jedis.getConnection().sendCommand(Protocol.Command.ECHO, "two");
                assertEquals("one", text(jedis.getConnection().getOne()));
            }
            try (Jedis jedis = pool.getResource()) {
                assertEquals("value", jedis.get("key"));
            }
        }
        try (Jedis jedis = pool.getResource()) {
            // Not even flushed.
            jedis.getConnection().sendCommand(Protocol.Command.SET, "key", "never");
        }
        try (Jedis jedis = pool.getResource()) {
            assertEquals("value", jedis.get("key"));
        }
    }

    private static String text(Object bytes) {
        return new String((byte[]) bytes, StandardCharsets.UTF_8);
    }

    @Test
    void an_error_reply_has_the_outcome_replied() {
        try (Jedis jedis = pool.getResource()) {
            jedis.set("text", "x");
            JedisDataException wrong = assertThrows(JedisDataException.class, () -> jedis.incr("text"));
            assertEquals(Outcome.REPLIED, Outcome.of(wrong));
            JedisDataException missing = assertThrows(JedisDataException.class, () -> jedis.evalsha("0".repeat(40)));
            assertEquals(Outcome.REPLIED, Outcome.of(missing));
        }
    }

    @Test
    void a_reply_that_does_not_come_in_time_is_a_timeout_with_the_outcome_unknown() {
        try (Jedis direct = new Jedis("127.0.0.1", pool.getCurrentHostMaster().getPort());
                Jedis jedis = pool.getResource()) {
            direct.clientPause(900);
            JedisConnectionException late = assertThrows(JedisConnectionException.class, () -> jedis.get("key"));
            assertInstanceOf(SocketTimeoutException.class, late.getCause());
            assertEquals(ErrorKind.COMMAND_TIMEOUT, SwitchmasterException.in(late).kind());
            assertEquals(Outcome.UNKNOWN, Outcome.of(late));
            assertTrue(jedis.isBroken());
        }
        sandbox.ask(sandbox.firstMaster(), "CLIENT", "UNPAUSE");
        try (Jedis jedis = pool.getResource()) {
            assertEquals("PONG", jedis.ping());
        }
    }

    @Test
    void a_jedis_goes_on_after_its_connection_broke() {
        try (Jedis jedis = pool.getResource()) {
            jedis.set("key", "value");
            sandbox.endConnections(sandbox.firstMaster(), "normal");
            try {
                jedis.get("key");
            } catch (JedisConnectionException broke) {
                assertInstanceOf(SwitchmasterException.class, broke.getCause().getCause());
            }
            assertEquals("value", jedis.get("key"));
        }
    }

    @Test
    void a_jedis_goes_on_after_it_killed_its_own_connection() {
        try (Jedis jedis = pool.getResource()) {
            jedis.set("key", "value");
            long before = jedis.clientId();
            jedis.sendCommand(Protocol.Command.CLIENT, "KILL", "TYPE", "normal", "SKIPME", "no");
            try {
                jedis.get("key");
            } catch (JedisConnectionException noticedLate) {
                assertTrue(jedis.isBroken());
                assertTrue(jedis.isConnected());
            }
            assertEquals("value", jedis.get("key"));
            assertFalse(jedis.isBroken());
            assertTrue(jedis.clientId() > before);
        }
    }

    @Test
    void a_watch_whose_connection_broke_does_not_go_on_outside_of_it() {
        try (Jedis jedis = pool.getResource()) {
            jedis.del("half");
            jedis.watch("half");
            sandbox.endConnections(sandbox.firstMaster(), "normal");
            Transaction transaction = jedis.multi();
            transaction.incr("half");
            assertThrows(JedisConnectionException.class, transaction::exec);
            // Jedis by itself refuses what follows, as it holds on to the transaction.
            assertThrows(IllegalStateException.class, () -> jedis.incr("half"));
        }
        try (Jedis jedis = pool.getResource()) {
            assertNull(jedis.get("half"));
        }
    }

    @Test
    void a_transaction_whose_connection_broke_does_not_go_on_outside_of_it() {
        try (Jedis jedis = pool.getResource()) {
            jedis.del("half");
            Transaction transaction = jedis.multi();
            jedis.getConnection().getMany(1);
            sandbox.endConnections(sandbox.firstMaster(), "normal");
            transaction.incr("half");
            assertThrows(JedisConnectionException.class, transaction::exec);
            JedisException refused = assertThrows(JedisException.class, () -> jedis.incr("half"));
            assertEquals(Outcome.NOT_SENT, Outcome.of(refused));
            assertEquals(ErrorKind.POISONED, SwitchmasterException.in(refused).kind());
        }
        try (Jedis jedis = pool.getResource()) {
            assertNull(jedis.get("half"));
        }
    }

    @Test
    void a_jedis_that_was_disconnected_begins_anew() {
        try (Jedis jedis = pool.getResource()) {
            jedis.set("key", "value");
            jedis.getConnection().sendCommand(Protocol.Command.ECHO, "never read");
            jedis.disconnect();
            assertFalse(jedis.isConnected());
            assertEquals("value", jedis.get("key"));
        }
        try (Jedis jedis = pool.getResource()) {
            assertEquals("value", jedis.get("key"));
        }
    }

    @Test
    void what_cannot_be_followed_is_not_sent() {
        try (Jedis jedis = pool.getResource()) {
            JedisConnectionException refused = assertThrows(JedisConnectionException.class,
                    () -> jedis.sendCommand(Protocol.Command.CLIENT, "REPLY", "OFF"));
            assertEquals(Outcome.NOT_SENT, Outcome.of(refused));
            assertTrue(refused.getMessage().contains("CLIENT REPLY"), refused.getMessage());
            assertEquals("PONG", jedis.ping());
        }
    }

    @Test
    void whoever_finds_none_in_time_is_told_so() {
        try (Jedis one = pool.getResource(); Jedis two = pool.getResource()) {
            JedisException none = assertThrows(JedisException.class, pool::getResource);
            assertEquals(Outcome.NOT_SENT, Outcome.of(none));
            assertEquals(ErrorKind.POOL_TIMEOUT, SwitchmasterException.in(none).kind());
            assertThrows(JedisException.class, () -> pool.borrowObject(Duration.ofMillis(10)));
            assertEquals("PONG", one.ping());
            assertEquals("PONG", two.ping());
        }
    }

    @Test
    void a_pool_that_is_not_to_block_says_at_once_that_it_is_exhausted() {
        GenericObjectPoolConfig<Jedis> config = new GenericObjectPoolConfig<>();
        config.setMaxTotal(2);
        config.setBlockWhenExhausted(false);
        config.setMaxWait(Duration.ofHours(1));
        try (SwitchmasterPool impatient = new SwitchmasterPool(
                        sandbox.service(), new LinkedHashSet<>(sandbox.sentinels()), config);
                Jedis one = impatient.getResource();
                Jedis two = impatient.getResource()) {
            JedisException none = assertThrows(JedisException.class, impatient::getResource);
            assertTrue(none.getMessage().contains("all 2"), none.getMessage());
            assertEquals("PONG", one.ping() + "");
            assertEquals("PONG", two.ping());
        }
    }

    @Test
    void everything_that_a_pool_can_be_asked_is_answered_by_the_factory() throws Exception {
        assertEquals(2, pool.getMaxTotal());
        pool.addObjects(2);
        pool.addObject();
        assertEquals(0, pool.getNumActive());
        assertTrue(pool.getNumIdle() >= 2);
        Jedis jedis = pool.borrowObject();
        assertEquals(1, pool.getNumActive());
        assertEquals(0, pool.getNumWaiters());
        pool.use(jedis);
        pool.returnObject(jedis);
        jedis = pool.borrowObject(Duration.ofMillis(100));
        jedis.ping();
        pool.invalidateObject(jedis);
        Jedis another = pool.getResource();
        assertNotSame(jedis, another);
        pool.invalidateObject(another, DestroyMode.NORMAL);
        pool.returnResource(null);
        pool.returnBrokenResource(null);
        pool.clear();
        pool.evict();
        pool.preparePool();
        assertTrue(pool.listAllObjects().isEmpty());
        assertEquals(0, pool.getNumActive());
        assertThrows(JedisException.class, () -> pool.returnResource(new Jedis("127.0.0.1", 1)));
        try (SwitchmasterPool other = new SwitchmasterPool(Factory.open(url()), true);
                Jedis stranger = other.getResource()) {
            assertThrows(JedisException.class, () -> pool.returnResource(stranger));
            assertEquals("PONG", stranger.ping());
        }
    }

    @Test
    void a_closed_pool_says_so() {
        Jedis out = pool.getResource();
        pool.close();
        pool.destroy();
        assertTrue(pool.isClosed());
        assertTrue(pool.factory().isClosed());
        assertEquals(ErrorKind.CLOSED,
                SwitchmasterException.in(assertThrows(JedisException.class, pool::getResource)).kind());
        assertEquals(ErrorKind.CLOSED,
                SwitchmasterException.in(assertThrows(JedisException.class, out::ping)).kind());
        out.close();
        assertEquals(0, pool.getNumActive() + pool.getNumIdle() + pool.getNumWaiters());
        assertThrows(RuntimeException.class, pool::getCurrentHostMaster);
        assertTrue(pool.toString().contains("closed"), pool.toString());
    }

    @Test
    void a_factory_that_others_use_stays_open() {
        try (Factory factory = Factory.open(url())) {
            try (SwitchmasterPool borrowed = new SwitchmasterPool(factory); Jedis jedis = borrowed.getResource()) {
                assertSame(factory, borrowed.factory());
                assertEquals("PONG", jedis.ping());
            }
            assertFalse(factory.isClosed());
            assertEquals("PONG", factory.run(redis -> redis.command("PING").asString()));
        }
    }

    @Test
    void a_jedis_that_is_not_given_back_is_told() {
        try (SwitchmasterPool leaking = new SwitchmasterPool(Factory.open(url() + "&leak_after=50ms"), true);
                Jedis jedis = leaking.getResource()) {
            assertEquals("PONG", jedis.ping());
            Sandbox.await("the leak is found", () -> leaking.factory().stats().leaks() == 1);
        }
    }

    @Test
    void a_jedis_that_knows_no_resp3_gets_none() {
        try (Factory third = Factory.open(sandbox.url() + "?protocol=3")) {
            if (Versions.KNOW_PROTOCOLS) {
                new SwitchmasterPool(third).close();
            } else {
                assertThrows(IllegalArgumentException.class, () -> new SwitchmasterPool(third));
                assertThrows(IllegalArgumentException.class, () -> new SwitchmasterConnectionProvider(third));
            }
        }
    }
}
