package io.switchmaster.bench;

import io.switchmaster.Handle;
import java.util.function.Consumer;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.RedisClient;

/** What is measured, by the names of the driver, and how each kind of client does it. */
enum Case {
    GET("get", Work::get, Work::get, Work::get),
    SET("set", Work::set, Work::set, Work::set),
    GET_LONG("get1m", Work::getLong, Work::getLong, Work::getLong),
    MGET("mget1000", Work::mget, Work::mget, Work::mget),
    PIPELINE("pipe1000", Work::pipeline, Work::pipeline, Work::pipeline);

    private final String name;
    private final Consumer<Handle> ours;
    private final Consumer<Jedis> jedis;
    private final Consumer<RedisClient> client;

    Case(String name, Consumer<Handle> ours, Consumer<Jedis> jedis, Consumer<RedisClient> client) {
        this.name = name;
        this.ours = ours;
        this.jedis = jedis;
        this.client = client;
    }

    private static Case of(String name) {
        for (Case each : values()) {
            if (each.name.equals(name)) {
                return each;
            }
        }
        return null;
    }

    /** By our own handle; null when there is no such case. */
    static Consumer<Handle> ours(String name) {
        Case found = of(name);
        return found == null ? null : found.ours;
    }

    /** By a Jedis; null when there is no such case. */
    static Consumer<Jedis> jedis(String name) {
        Case found = of(name);
        return found == null ? null : found.jedis;
    }

    /** By Jedis's unified client; null when there is no such case. */
    static Consumer<RedisClient> client(String name) {
        Case found = of(name);
        return found == null ? null : found.client;
    }
}
