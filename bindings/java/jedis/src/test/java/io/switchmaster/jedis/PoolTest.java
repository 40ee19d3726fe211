package io.switchmaster.jedis;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.switchmaster.Factory;
import io.switchmaster.testing.Sandbox;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import redis.clients.jedis.Jedis;

final class PoolTest {
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
    void a_jedis_of_the_pool_talks_to_the_master() {
        try (SwitchmasterPool pool = new SwitchmasterPool(Factory.open(sandbox.url()), true);
                Jedis jedis = pool.getResource()) {
            assertEquals("OK", jedis.set("greeting", "hello"));
            assertEquals("hello", jedis.get("greeting"));
        }
    }
}
