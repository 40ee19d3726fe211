package io.switchmaster.bench;

import io.switchmaster.Handle;
import io.switchmaster.Pipeline;
import io.switchmaster.Reply;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import redis.clients.jedis.AbstractPipeline;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.RedisClient;
import redis.clients.jedis.Response;

/** What is done, in our own words and in those of Jedis; each looks at its reply. */
final class Work {
    static final int MANY = 1000;
    static final int SHORT = 64;
    static final int LONG = 1 << 20;

    static final byte[][] KEYS = new byte[MANY][];
    static final byte[] KEY_LONG = bytes("steady:big");
    static final byte[] KEY_SET = bytes("steady:set");
    static final byte[] VALUE = new byte[SHORT];

    private static final byte[] GET = bytes("GET");
    private static final byte[] SET = bytes("SET");
    private static final byte[][] MGET = new byte[MANY + 1][];

    static {
        MGET[0] = bytes("MGET");
        for (int at = 0; at < MANY; at++) {
            KEYS[at] = bytes(String.format("steady:k%04d", at));
            MGET[at + 1] = KEYS[at];
        }
        Arrays.fill(VALUE, (byte) 'v');
    }

    private Work() {}

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static void check(byte[] value, int length) {
        if (value == null || value.length != length || value[length - 1] != 'v') {
            throw new IllegalStateException("a reply is wrong");
        }
    }

    private static void check(boolean right) {
        if (!right) {
            throw new IllegalStateException("a reply is wrong");
        }
    }

    // Ours.

    static void get(Handle redis) {
        check(redis.command(GET, KEYS[0]).asBytes(), SHORT);
    }

    static void set(Handle redis) {
        check("OK".equals(redis.command(SET, KEY_SET, VALUE).asString()));
    }

    static void getLong(Handle redis) {
        check(redis.command(GET, KEY_LONG).asBytes(), LONG);
    }

    static void mget(Handle redis) {
        List<Reply> values = redis.command(MGET).asList();
        check(values.size() == MANY);
        for (Reply value : values) {
            check(value.asBytes(), SHORT);
        }
    }

    static void pipeline(Handle redis) {
        Pipeline pipeline = redis.pipeline();
        for (byte[] key : KEYS) {
            pipeline.command(GET, key);
        }
        for (Reply value : pipeline.execute()) {
            check(value.asBytes(), SHORT);
        }
    }

    // Jedis's.

    static void get(Jedis jedis) {
        check(jedis.get(KEYS[0]), SHORT);
    }

    static void set(Jedis jedis) {
        check("OK".equals(jedis.set(KEY_SET, VALUE)));
    }

    static void getLong(Jedis jedis) {
        check(jedis.get(KEY_LONG), LONG);
    }

    static void mget(Jedis jedis) {
        checkAll(jedis.mget(KEYS));
    }

    static void pipeline(Jedis jedis) {
        readAll(jedis.pipelined());
    }

    static void get(RedisClient client) {
        check(client.get(KEYS[0]), SHORT);
    }

    static void set(RedisClient client) {
        check("OK".equals(client.set(KEY_SET, VALUE)));
    }

    static void getLong(RedisClient client) {
        check(client.get(KEY_LONG), LONG);
    }

    static void mget(RedisClient client) {
        checkAll(client.mget(KEYS));
    }

    static void pipeline(RedisClient client) {
        try (AbstractPipeline pipeline = client.pipelined()) {
            readAll(pipeline);
        }
    }

    private static void checkAll(List<byte[]> values) {
        check(values.size() == MANY);
        for (byte[] value : values) {
            check(value, SHORT);
        }
    }

    private static void readAll(AbstractPipeline pipeline) {
        List<Response<byte[]>> responses = new ArrayList<>(MANY);
        for (byte[] key : KEYS) {
            responses.add(pipeline.get(key));
        }
        pipeline.sync();
        for (Response<byte[]> response : responses) {
            check(response.get(), SHORT);
        }
    }
}
