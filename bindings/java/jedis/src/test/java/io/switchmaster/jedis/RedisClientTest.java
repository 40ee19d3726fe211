package io.switchmaster.jedis;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.switchmaster.Factory;
import io.switchmaster.testing.Sandbox;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import redis.clients.jedis.AbstractPipeline;
import redis.clients.jedis.AbstractTransaction;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.RedisClient;
import redis.clients.jedis.Response;
import redis.clients.jedis.csc.CacheConfig;
import redis.clients.jedis.csc.CacheFactory;
import redis.clients.jedis.exceptions.JedisDataException;

/** The client of Jedis 8 over the provider. */
final class RedisClientTest {
    private static Sandbox sandbox;

    @BeforeAll
    static void start() {
        sandbox = Sandbox.start();
    }

    @AfterAll
    static void end() {
        sandbox.close();
    }

    private static RedisClient open(int protocol) {
        Factory factory = Factory.open(sandbox.url() + "?max_size=2&get_timeout=300ms&protocol=" + protocol);
        return RedisClient.builder()
                .connectionProvider(new SwitchmasterConnectionProvider(factory, true))
                .clientConfig(DefaultJedisClientConfig.builder().serverDefaultProtocol().build())
                .build();
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3})
    void client_side_caching_is_refused_by_its_name(int protocol) {
        try (Factory factory = Factory.open(sandbox.url() + "?protocol=" + protocol)) {
            var configured = new SwitchmasterClientBuilder(factory, false)
                    .cacheConfig(CacheConfig.builder().maxSize(10).build());
            var refused = assertThrows(IllegalArgumentException.class, configured::build);
            assertTrue(refused.getMessage().startsWith("cacheConfig cannot be used"), refused.getMessage());
            var given = new SwitchmasterClientBuilder(factory, false)
                    .cache(CacheFactory.getCache(CacheConfig.builder().build()));
            refused = assertThrows(IllegalArgumentException.class, given::build);
            assertTrue(refused.getMessage().startsWith("cache cannot be used"), refused.getMessage());
            try (RedisClient redis = new SwitchmasterClientBuilder(factory, false).build()) {
                assertEquals("OK", redis.set("cached", "no"));
                assertNull(redis.getCache());
            }
            assertEquals("PONG", factory.run(redis -> redis.command("PING")).asString());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3})
    void commands_pipelines_and_transactions_work(int protocol) {
        try (RedisClient redis = open(protocol)) {
            redis.del("zset", "key", "hash", "stream");
            assertEquals("OK", redis.set("key", "1"));
            redis.zadd("zset", 1.5, "a");
            assertEquals("[[a,1.5]]", redis.zrangeWithScores("zset", 0, -1).toString());
            redis.hset("hash", "field", "value");
            assertEquals("{field=value}", redis.hgetAll("hash").toString());

            Response<Long> two;
            Response<String> text;
            try (AbstractPipeline pipeline = redis.pipelined()) {
                two = pipeline.incr("key");
                text = pipeline.get("key");
                Response<Long> wrong = pipeline.lpush("key", "x");
                pipeline.sync();
                assertThrows(JedisDataException.class, wrong::get);
            }
            assertEquals(2, two.get());
            assertEquals("2", text.get());

            try (AbstractTransaction transaction = redis.multi()) {
                transaction.incr("key");
                transaction.get("key");
                assertEquals(List.of(3L, "3"), transaction.exec());
            }
            try (AbstractTransaction transaction = redis.transaction(false)) {
                transaction.watch("key");
                redis.set("key", "changed");
                transaction.multi();
                transaction.incr("key");
                assertNull(transaction.exec());
            }
            assertEquals("changed", redis.get("key"));
            assertTrue(redis.scan("0").getResult().contains("key"));
        }
    }
}
