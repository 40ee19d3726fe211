package io.switchmaster.jedis;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Supplier;
import redis.clients.jedis.BinaryJedisPubSub;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisPubSub;
import redis.clients.jedis.Pipeline;
import redis.clients.jedis.Protocol;
import redis.clients.jedis.Response;
import redis.clients.jedis.StreamEntryID;
import redis.clients.jedis.Transaction;
import redis.clients.jedis.args.BitOP;
import redis.clients.jedis.args.GeoUnit;
import redis.clients.jedis.args.ListDirection;
import redis.clients.jedis.args.ListPosition;
import redis.clients.jedis.params.ScanParams;
import redis.clients.jedis.params.SetParams;
import redis.clients.jedis.params.XReadParams;
import redis.clients.jedis.params.ZAddParams;
import redis.clients.jedis.resps.ScanResult;
import redis.clients.jedis.util.Pool;

/** What programs do with Jedis, and what they get for it, as text. */
@SuppressWarnings("deprecation") // What programs of today call, new or not.
final class Program {
    private final Pool<Jedis> pool;
    private final List<String> results = new ArrayList<>();

    Program(Pool<Jedis> pool) {
        this.pool = pool;
    }

    List<String> results() {
        return results;
    }

    void run() {
        for (Consumer<Jedis> part : List.<Consumer<Jedis>>of(
                Jedis::flushAll, this::strings, this::bits, this::keys, this::hashes, this::lists, this::blocking,
                this::sets, this::sortedSets, this::streams, this::scripts, this::transactions, this::pipelines,
                this::scans, this::geo, this::hyperLogLogs, this::binary, this::server, this::databases)) {
            // Each on a checkout of its own.
            try (Jedis jedis = pool.getResource()) {
                part.accept(jedis);
            }
        }
        messages();
        leftOpen();
    }

    private void note(String what, Object result) {
        results.add(what + ": " + text(result));
    }

    /** Notes what comes, or what is thrown. */
    private void attempt(String what, Supplier<Object> call) {
        try {
            note(what, call.get());
        } catch (RuntimeException failed) {
            note(what, failed.getClass().getName() + " " + failed.getMessage());
        }
    }

    private static String text(Object result) {
        if (result instanceof byte[]) {
            return "bytes " + Arrays.toString((byte[]) result);
        }
        if (result instanceof Map) {
            Map<String, String> sorted = new TreeMap<>();
            ((Map<?, ?>) result).forEach((key, value) -> sorted.put(text(key), text(value)));
            return sorted.toString();
        }
        if (result instanceof java.util.Set) {
            Collection<String> sorted = new TreeSet<>();
            ((Collection<?>) result).forEach(element -> sorted.add(text(element)));
            return "set " + sorted;
        }
        if (result instanceof Collection) {
            List<String> texts = new ArrayList<>();
            ((Collection<?>) result).forEach(element -> texts.add(text(element)));
            return texts.toString();
        }
        if (result instanceof Throwable) {
            return result.getClass().getName() + " " + ((Throwable) result).getMessage();
        }
        return Objects.toString(result);
    }

    private void strings(Jedis jedis) {
        note("set", jedis.set("a", "1"));
        note("get", jedis.get("a"));
        note("get none", jedis.get("none"));
        note("set nx", jedis.set("a", "2", SetParams.setParams().nx()));
        note("set xx px", jedis.set("a", "2", SetParams.setParams().xx().px(100_000)));
        note("getSet", jedis.getSet("a", "3"));
        note("getDel", jedis.getDel("a"));
        note("append", jedis.append("b", "hello"));
        note("strlen", jedis.strlen("b"));
        note("getrange", jedis.getrange("b", 1, -2));
        note("setrange", jedis.setrange("b", 7, "x"));
        note("setrange b", jedis.get("b"));
        note("incr", jedis.incr("n"));
        note("incrBy", jedis.incrBy("n", 41));
        note("decr", jedis.decr("n"));
        note("decrBy", jedis.decrBy("n", 50));
        note("incrByFloat", jedis.incrByFloat("f", 2.5));
        note("mset", jedis.mset("c", "1", "d", "grüße"));
        note("msetnx", jedis.msetnx("c", "1", "e", "2"));
        note("mget", jedis.mget("c", "none", "d"));
        note("setnx", jedis.setnx("c", "9"));
        note("setex", jedis.setex("g", 1000, "v"));
        note("psetex", jedis.psetex("h", 1_000_000, "v"));
        attempt("incr text", () -> jedis.incr("d"));
        attempt("wrong type", () -> jedis.lpush("d", "x"));
        note("after an error", jedis.get("d"));
        String longText = "0123456789".repeat(100_000);
        note("set long", jedis.set("long", longText));
        note("get long", jedis.get("long").equals(longText));
        note("empty", jedis.set("empty", "") + jedis.get("empty").length());
        jedis.del("long");
    }

    private void bits(Jedis jedis) {
        note("setbit", jedis.setbit("bits", 7, true));
        note("getbit", jedis.getbit("bits", 7));
        note("bitcount", jedis.bitcount("bits"));
        note("bitpos", jedis.bitpos("bits", true));
        note("bitfield", jedis.bitfield("bf", "INCRBY", "i5", "100", "1", "GET", "u4", "0"));
        jedis.set("k1", "foobar");
        jedis.set("k2", "abcdef");
        note("bitop", jedis.bitop(BitOP.AND, "dest", "k1", "k2"));
        note("bitop dest", jedis.get("dest"));
        note("bitop xor", jedis.bitop(BitOP.XOR, "dest", "k1", "k2"));
    }

    private void keys(Jedis jedis) {
        note("exists", jedis.exists("b"));
        note("exists many", jedis.exists("b", "c", "none"));
        note("type", jedis.type("b"));
        note("expire", jedis.expire("b", 1000));
        note("ttl", jedis.ttl("b") > 990);
        note("persist", jedis.persist("b"));
        note("ttl none", jedis.ttl("b"));
        note("ttl missing", jedis.ttl("none"));
        note("pexpire", jedis.pexpire("b", 1_000_000));
        note("pttl", jedis.pttl("b") > 900_000);
        note("expireAt", jedis.expireAt("b", 4_000_000_000L));
        note("rename", jedis.rename("b", "b2"));
        note("renamenx", jedis.renamenx("b2", "c"));
        note("copy", jedis.copy("c", "c2", false));
        note("touch", jedis.touch("c", "c2", "none"));
        note("unlink", jedis.unlink("c2"));
        note("del", jedis.del("b2", "none"));
        note("keys", new TreeSet<>(jedis.keys("k*")));
        byte[] dumped = jedis.dump("k1");
        note("restore", jedis.restore("k3", 0, dumped));
        note("restored", jedis.get("k3"));
        note("objectEncoding", jedis.objectEncoding("n"));
        note("sort", jedis.rpush("unsorted", "3", "1", "2") + text(jedis.sort("unsorted")));
        attempt("rename none", () -> jedis.rename("none", "x"));
    }

    private void hashes(Jedis jedis) {
        note("hset", jedis.hset("hash", "a", "1"));
        note("hset map", jedis.hset("hash", Collections.singletonMap("b", "2")));
        note("hget", jedis.hget("hash", "a"));
        note("hget none", jedis.hget("hash", "z"));
        note("hmset", jedis.hmset("hash", Collections.singletonMap("c", "3")));
        note("hmget", jedis.hmget("hash", "a", "z", "c"));
        note("hgetAll", jedis.hgetAll("hash"));
        note("hgetAll none", jedis.hgetAll("none"));
        note("hincrBy", jedis.hincrBy("hash", "a", 5));
        note("hincrByFloat", jedis.hincrByFloat("hash", "f", 0.5));
        note("hexists", jedis.hexists("hash", "a"));
        note("hlen", jedis.hlen("hash"));
        note("hstrlen", jedis.hstrlen("hash", "f"));
        note("hkeys", jedis.hkeys("hash"));
        note("hvals", new TreeSet<>(jedis.hvals("hash")));
        note("hsetnx", jedis.hsetnx("hash", "a", "9"));
        note("hdel", jedis.hdel("hash", "a", "z"));
        note("hrandfield", jedis.hrandfield("none"));
    }

    private void lists(Jedis jedis) {
        note("lpush", jedis.lpush("list", "b", "a"));
        note("rpush", jedis.rpush("list", "c", "d", "c"));
        note("lpushx", jedis.lpushx("none", "x"));
        note("lrange", jedis.lrange("list", 0, -1));
        note("llen", jedis.llen("list"));
        note("lindex", jedis.lindex("list", 1));
        note("linsert", jedis.linsert("list", ListPosition.BEFORE, "b", "ab"));
        note("lset", jedis.lset("list", 0, "A"));
        note("lpos", jedis.lpos("list", "c"));
        note("lrem", jedis.lrem("list", 1, "c"));
        note("ltrim", jedis.ltrim("list", 0, 3));
        note("lpop", jedis.lpop("list"));
        note("lpop two", jedis.lpop("list", 2));
        note("rpop", jedis.rpop("list"));
        note("rpop none", jedis.rpop("list"));
        jedis.rpush("from", "1", "2", "3");
        note("lmove", jedis.lmove("from", "to", ListDirection.LEFT, ListDirection.RIGHT));
        note("rpoplpush", jedis.rpoplpush("from", "to"));
        note("lrange to", jedis.lrange("to", 0, -1));
        attempt("lset none", () -> jedis.lset("none", 0, "x"));
    }

    private void blocking(Jedis jedis) {
        jedis.rpush("queue", "1", "2");
        note("blpop", jedis.blpop(1, "empty-queue", "queue"));
        note("brpop", jedis.brpop(1, "queue"));
        note("blpop none", jedis.blpop(1, "queue"));
        note("brpoplpush none", jedis.brpoplpush("queue", "other", 1));
        note("after it", jedis.ping());
        Thread pusher = new Thread(() -> {
            try (Jedis other = pool.getResource()) {
                other.rpush("queue", "late");
            }
        });
        pusher.start();
        note("blpop late", jedis.blpop(0, "queue"));
        try {
            pusher.join();
        } catch (InterruptedException interrupted) {
            throw new IllegalStateException(interrupted);
        }
    }

    private void sets(Jedis jedis) {
        note("sadd", jedis.sadd("set", "a", "b", "c", "a"));
        note("smembers", jedis.smembers("set"));
        note("scard", jedis.scard("set"));
        note("sismember", jedis.sismember("set", "a"));
        note("smismember", jedis.smismember("set", "a", "z"));
        jedis.sadd("set2", "b", "c", "d");
        note("sinter", jedis.sinter("set", "set2"));
        note("sunion", jedis.sunion("set", "set2"));
        note("sdiff", jedis.sdiff("set", "set2"));
        note("sinterstore", jedis.sinterstore("set3", "set", "set2"));
        note("smove", jedis.smove("set", "set2", "a"));
        note("srem", jedis.srem("set", "b", "z"));
        note("spop none", jedis.spop("none"));
        note("srandmember", jedis.srandmember("set"));
    }

    private void sortedSets(Jedis jedis) {
        note("zadd", jedis.zadd("zset", 1, "a"));
        note("zadd map", jedis.zadd("zset", Collections.singletonMap("b", 2.5)));
        note("zadd ch", jedis.zadd("zset", 3, "a", ZAddParams.zAddParams().ch()));
        note("zincrby", jedis.zincrby("zset", 0.5, "b"));
        note("zscore", jedis.zscore("zset", "b"));
        note("zscore none", jedis.zscore("zset", "z"));
        note("zmscore", jedis.zmscore("zset", "a", "z"));
        note("zadd inf", jedis.zadd("zset", Double.POSITIVE_INFINITY, "top"));
        note("zcard", jedis.zcard("zset"));
        note("zcount", jedis.zcount("zset", 1, 3));
        note("zrange", jedis.zrange("zset", 0, -1));
        note("zrangeWithScores", jedis.zrangeWithScores("zset", 0, -1));
        note("zrevrangeWithScores", jedis.zrevrangeWithScores("zset", 0, 1));
        note("zrangeByScore", jedis.zrangeByScore("zset", "(1", "+inf"));
        note("zrangeByScoreWithScores", jedis.zrangeByScoreWithScores("zset", 0, 5));
        note("zrank", jedis.zrank("zset", "top"));
        note("zrank none", jedis.zrank("zset", "z"));
        note("zrevrank", jedis.zrevrank("zset", "a"));
        note("zpopmin", jedis.zpopmin("zset"));
        note("zpopmax", jedis.zpopmax("zset", 1));
        note("zrem", jedis.zrem("zset", "z"));
        jedis.zadd("lex", Collections.singletonMap("x", 0.0));
        note("zlexcount", jedis.zlexcount("lex", "-", "+"));
        note("zunionstore", jedis.zunionstore("union", "zset", "lex"));
        note("zremrangeByRank", jedis.zremrangeByRank("union", 0, -1));
    }

    private void streams(Jedis jedis) {
        for (int at = 1; at <= 3; at++) {
            note("xadd", jedis.xadd("stream", new StreamEntryID(at, 0), Collections.singletonMap("n", "" + at)));
        }
        note("xlen", jedis.xlen("stream"));
        note("xrange", jedis.xrange("stream", (StreamEntryID) null, null));
        note("xrevrange", jedis.xrevrange("stream", (StreamEntryID) null, null, 1));
        note("xread", jedis.xread(XReadParams.xReadParams().count(2),
                Collections.singletonMap("stream", new StreamEntryID(1, 0))));
        note("xread block", jedis.xread(XReadParams.xReadParams().block(50),
                Collections.singletonMap("stream", new StreamEntryID(3, 0))));
        note("xgroupCreate", jedis.xgroupCreate("stream", "group", new StreamEntryID(0, 0), false));
        attempt("xgroupCreate again", () -> jedis.xgroupCreate("stream", "group", new StreamEntryID(0, 0), false));
        note("xack", jedis.xack("stream", "group", new StreamEntryID(1, 0)));
        note("xdel", jedis.xdel("stream", new StreamEntryID(2, 0)));
        note("xtrim", jedis.xtrim("stream", 1, false));
        attempt("xadd old", () -> jedis.xadd("stream", new StreamEntryID(1, 0), Collections.singletonMap("n", "1")));
    }

    private void scripts(Jedis jedis) {
        note("eval", jedis.eval("return {1, 'two', {3, redis.call('INCR', KEYS[1])}, false, ARGV[1]}",
                Collections.singletonList("script"), Collections.singletonList("arg")));
        note("eval none", jedis.eval("return false"));
        String sha = jedis.scriptLoad("return redis.call('GET', KEYS[1])");
        note("scriptLoad", sha);
        note("evalsha", jedis.evalsha(sha, 1, "script"));
        note("scriptExists", jedis.scriptExists(sha, "0".repeat(40)));
        attempt("evalsha none", () -> jedis.evalsha("0".repeat(40)));
        attempt("eval error", () -> jedis.eval("return redis.error_reply('MINE broke')"));
        attempt("eval nonsense", () -> jedis.eval("nonsense("));
        note("scriptFlush", jedis.scriptFlush());
    }

    private void transactions(Jedis jedis) {
        Transaction transaction = jedis.multi();
        Response<String> set = transaction.set("t", "1");
        Response<Long> incr = transaction.incr("t");
        Response<Long> wrong = transaction.lpush("t", "x");
        note("exec", transaction.exec());
        note("exec set", set.get());
        note("exec incr", incr.get());
        attempt("exec wrong", wrong::get);

        note("watch", jedis.watch("t"));
        try (Jedis other = pool.getResource()) {
            other.set("t", "changed");
        }
        Transaction aborted = jedis.multi();
        aborted.set("t", "mine");
        note("exec aborted", aborted.exec());
        note("t", jedis.get("t"));

        note("watch again", jedis.watch("t"));
        note("unwatch", jedis.unwatch());
        Transaction discarded = jedis.multi();
        discarded.set("t", "discarded");
        note("discard", discarded.discard());
        note("t again", jedis.get("t"));

        attempt("exec of what is no command", () -> {
            Transaction broken = jedis.multi();
            broken.sendCommand(() -> "NONSENSE".getBytes(StandardCharsets.UTF_8), "x");
            return broken.exec();
        });
        note("after the transactions", jedis.ping());
    }

    private void pipelines(Jedis jedis) {
        Pipeline pipeline = jedis.pipelined();
        List<Response<?>> responses = new ArrayList<>();
        for (int at = 0; at < 500; at++) {
            responses.add(pipeline.set("p" + at, "v".repeat(at)));
        }
        responses.add(pipeline.get("p3"));
        responses.add(pipeline.incr("p3"));
        responses.add(pipeline.hgetAll("hash"));
        responses.add(pipeline.zrangeWithScores("zset", 0, -1));
        pipeline.sync();
        for (Response<?> response : responses) {
            attempt("pipelined", response::get);
        }
        pipeline.incr("piped");
        pipeline.lpush("piped", "x");
        pipeline.get("piped");
        note("syncAndReturnAll", pipeline.syncAndReturnAll());
        pipeline.set("large", "x".repeat(3_000_000));
        for (int at = 0; at < 3; at++) {
            pipeline.get("large");
        }
        int length = 0;
        for (Object reply : pipeline.syncAndReturnAll()) {
            length += reply.toString().length();
        }
        note("large", length);
        jedis.del("large");
    }

    private void scans(Jedis jedis) {
        for (int at = 0; at < 50; at++) {
            jedis.set("scan:" + at, "x");
        }
        TreeSet<String> found = new TreeSet<>();
        String cursor = ScanParams.SCAN_POINTER_START;
        do {
            ScanResult<String> result = jedis.scan(cursor, new ScanParams().match("scan:*").count(7));
            found.addAll(result.getResult());
            cursor = result.getCursor();
        } while (!cursor.equals(ScanParams.SCAN_POINTER_START));
        note("scan", found);
        note("hscan", jedis.hscan("hash", "0").getResult().size());
        note("sscan", new TreeSet<>(jedis.sscan("set2", "0").getResult()));
        note("zscan", jedis.zscan("zset", "0").getResult());
    }

    private void geo(Jedis jedis) {
        note("geoadd", jedis.geoadd("geo", 13.361389, 38.115556, "Palermo"));
        note("geoadd two", jedis.geoadd("geo", 15.087269, 37.502669, "Catania"));
        note("geodist", jedis.geodist("geo", "Palermo", "Catania", GeoUnit.KM));
        note("geohash", jedis.geohash("geo", "Palermo", "none"));
        note("geopos", jedis.geopos("geo", "Palermo", "none"));
        List<String> near = new ArrayList<>();
        jedis.georadius("geo", 15, 37, 200, GeoUnit.KM).forEach(it -> near.add(it.getMemberByString()));
        Collections.sort(near);
        note("georadius", near);
    }

    private void hyperLogLogs(Jedis jedis) {
        note("pfadd", jedis.pfadd("hll", "a", "b", "c"));
        note("pfadd again", jedis.pfadd("hll", "a"));
        note("pfcount", jedis.pfcount("hll"));
        jedis.pfadd("hll2", "d");
        note("pfmerge", jedis.pfmerge("hll3", "hll", "hll2"));
        note("pfcount merged", jedis.pfcount("hll3"));
    }

    private void binary(Jedis jedis) {
        byte[] key = {0, 1, '\r', '\n', (byte) 255};
        byte[] value = new byte[256];
        for (int at = 0; at < value.length; at++) {
            value[at] = (byte) at;
        }
        note("set bytes", jedis.set(key, value));
        note("get bytes", jedis.get(key));
        note("hset bytes", jedis.hset("bh".getBytes(StandardCharsets.UTF_8), key, value));
        note("hgetAll bytes", jedis.hgetAll("bh".getBytes(StandardCharsets.UTF_8)).size());
        note("sendCommand", jedis.sendCommand(Protocol.Command.GETRANGE, key, "0".getBytes(StandardCharsets.UTF_8),
                "3".getBytes(StandardCharsets.UTF_8)));
        note("sendCommand text", jedis.sendCommand(Protocol.Command.STRLEN, "d"));
        jedis.del(key);
    }

    private void server(Jedis jedis) {
        note("ping", jedis.ping());
        note("ping text", jedis.ping("hello"));
        note("echo", jedis.echo("hello"));
        note("dbSize", jedis.dbSize());
        note("configGet", jedis.configGet("maxmemory-policy"));
        note("configSet", jedis.configSet("maxmemory-policy", "noeviction"));
        note("info", jedis.info("server").contains("redis_version"));
        note("time", jedis.time().size());
        note("role", jedis.role().get(0));
        note("commandCount", jedis.sendCommand(Protocol.Command.COMMAND, "COUNT"));
        note("clientSetname", jedis.clientSetname("somebody"));
        note("clientGetname", jedis.clientGetname());
        note("waitReplicas", jedis.waitReplicas(0, 100));
        note("memoryUsage", jedis.memoryUsage("d") > 0);
        attempt("unknown", () -> jedis.sendCommand(() -> "NONSENSE".getBytes(StandardCharsets.UTF_8), "x"));
        attempt("wrong number", () -> jedis.sendCommand(Protocol.Command.GET));
    }

    private void databases(Jedis jedis) {
        note("getDB", jedis.getDB());
        note("select", jedis.select(5));
        note("getDB 5", jedis.getDB());
        note("set in 5", jedis.set("in5", "x"));
        jedis.close();
        try (Jedis next = pool.getResource()) {
            note("getDB next", next.getDB());
            note("get in 0", next.get("in5"));
            note("swapDB", next.swapDB(0, 5));
            note("get swapped", next.get("in5"));
            note("swapDB back", next.swapDB(0, 5));
        }
    }

    private void messages() {
        CountDownLatch subscribed = new CountDownLatch(1);
        List<String> heard = new ArrayList<>();
        JedisPubSub listener = new JedisPubSub() {
            @Override
            public void onSubscribe(String channel, int channels) {
                heard.add("subscribed " + channel + " " + channels);
                if (channels == 2) {
                    psubscribe("pattern.*");
                }
            }

            @Override
            public void onPSubscribe(String pattern, int channels) {
                heard.add("psubscribed " + pattern + " " + channels);
                subscribed.countDown();
            }

            @Override
            public void onMessage(String channel, String message) {
                heard.add("message " + channel + " " + message);
            }

            @Override
            public void onPMessage(String pattern, String channel, String message) {
                heard.add("pmessage " + pattern + " " + channel + " " + message);
                unsubscribe();
                punsubscribe();
            }

            @Override
            public void onUnsubscribe(String channel, int channels) {
                heard.add("unsubscribed " + channels);
            }

            @Override
            public void onPUnsubscribe(String pattern, int channels) {
                heard.add("punsubscribed " + channels);
            }
        };
        listen("pub/sub", jedis -> jedis.subscribe(listener, "one", "two"), subscribed, jedis -> {
            note("publish", jedis.publish("one", "hello"));
            note("publish long", jedis.publish("two", "x".repeat(20_000)));
            note("pubsubChannels", new TreeSet<>(jedis.pubsubChannels("*")));
            note("publish to the pattern", jedis.publish("pattern.x", "last"));
        });
        note("heard", heard);

        CountDownLatch ready = new CountDownLatch(1);
        BinaryJedisPubSub bytes = new BinaryJedisPubSub() {
            @Override
            public void onSubscribe(byte[] channel, int channels) {
                ready.countDown();
            }

            @Override
            public void onMessage(byte[] channel, byte[] message) {
                note("bytes heard", message);
                unsubscribe();
            }
        };
        byte[] channel = {1, 2, 3};
        listen("bytes", jedis -> jedis.subscribe(bytes, channel), ready,
                jedis -> jedis.publish(channel, new byte[] {0, '\r', '\n'}));
    }

    /** Listens in another thread, while something is said in this one. */
    private void listen(String what, Consumer<Jedis> listens, CountDownLatch ready, Consumer<Jedis> speaks) {
        Thread thread = new Thread(() -> {
            try (Jedis jedis = pool.getResource()) {
                listens.accept(jedis);
            }
        });
        thread.start();
        try (Jedis jedis = pool.getResource()) {
            if (!ready.await(10, TimeUnit.SECONDS)) {
                throw new IllegalStateException("nobody listens: " + what);
            }
            speaks.accept(jedis);
            thread.join(10_000);
            if (thread.isAlive()) {
                throw new IllegalStateException("nobody stopped to listen: " + what);
            }
        } catch (InterruptedException interrupted) {
            throw new IllegalStateException(interrupted);
        }
    }

    /** What was left open on a Jedis is over when somebody else gets it. */
    private void leftOpen() {
        try (Jedis jedis = pool.getResource()) {
            jedis.watch("t");
            jedis.multi().set("t", "never");
        }
        try (Jedis jedis = pool.getResource()) {
            Pipeline pipeline = jedis.pipelined();
            pipeline.set("left", "in the pipeline");
        }
        for (int turn = 0; turn < 9; turn++) {
            try (Jedis jedis = pool.getResource()) {
                note("t at last", jedis.get("t"));
                note("left", jedis.get("left"));
            }
        }
    }
}
