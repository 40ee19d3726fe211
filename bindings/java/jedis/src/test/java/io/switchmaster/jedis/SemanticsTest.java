package io.switchmaster.jedis;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.switchmaster.testing.Sandbox;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisSentinelPool;
import redis.clients.jedis.util.Pool;

/** A program gets the same results from the old pool and from this one. */
@SuppressWarnings("deprecation") // JedisSentinelPool, whose place is taken.
final class SemanticsTest {
    private static Sandbox sandbox;

    @BeforeAll
    static void start() {
        sandbox = Sandbox.start();
    }

    @AfterAll
    static void end() {
        sandbox.close();
    }

    private static List<String> run(Pool<Jedis> pool) {
        Program program = new Program(pool);
        program.run();
        return program.results();
    }

    @Test
    void a_program_gets_the_same_results_as_from_jedis_sentinel_pool() {
        Set<String> sentinels = new LinkedHashSet<>(sandbox.sentinels());
        List<String> expected;
        try (JedisSentinelPool pool = new JedisSentinelPool(sandbox.service(), sentinels)) {
            expected = run(pool);
        }
        List<String> found;
        try (SwitchmasterPool pool = new SwitchmasterPool(sandbox.service(), sentinels)) {
            found = run(pool);
        }
        assertTrue(expected.size() > 200, "only " + expected.size() + " results");
        assertEquals(String.join("\n", expected), String.join("\n", found));
        assertEquals(expected.size(), found.size(), Arrays.toString(found.toArray()));
    }
}
