package io.switchmaster.jedis;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.switchmaster.Factory;
import io.switchmaster.Outcome;
import io.switchmaster.testing.Sandbox;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisPubSub;
import redis.clients.jedis.exceptions.JedisConnectionException;

/** A thread listens, and others talk to it and about it. */
final class SubscriptionTest {
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

    /** The protocols that this version of Jedis knows. */
    static IntStream protocols() {
        return Versions.KNOW_PROTOCOLS ? IntStream.of(2, 3) : IntStream.of(2);
    }

    private void open(int protocol) {
        pool = new SwitchmasterPool(
                Factory.open(sandbox.url() + "?command_timeout=1s&protocol=" + protocol), true);
    }

    @AfterEach
    void close() {
        pool.close();
    }

    /** A listener in a thread of its own. */
    private final class Listener extends JedisPubSub {
        private final Queue<String> heard = new ConcurrentLinkedQueue<>();
        private final Thread thread;
        private volatile RuntimeException failure;

        private Listener(String... channels) {
            thread = new Thread(() -> {
                try (Jedis jedis = pool.getResource()) {
                    jedis.subscribe(this, channels);
                } catch (RuntimeException failed) {
                    failure = failed;
                }
            });
            thread.start();
            await("subscribed " + channels[channels.length - 1]);
        }

        @Override
        public void onSubscribe(String channel, int channels) {
            heard.add("subscribed " + channel);
        }

        @Override
        public void onUnsubscribe(String channel, int channels) {
            heard.add("unsubscribed " + channel);
        }

        @Override
        public void onMessage(String channel, String message) {
            heard.add(message);
        }

        @Override
        public void onPong(String pattern) {
            heard.add("pong " + pattern);
        }

        private void await(String what) {
            Sandbox.await("heard: " + what + " (so far: " + heard + ", " + failure + ")", () -> heard.contains(what));
        }

        private void ends() throws InterruptedException {
            thread.join(TimeUnit.SECONDS.toMillis(20));
            assertFalse(thread.isAlive(), "it still listens");
        }
    }

    private void publish(String channel, String message) {
        try (Jedis jedis = pool.getResource()) {
            assertEquals(1, jedis.publish(channel, message));
        }
    }

    @ParameterizedTest
    @MethodSource("protocols")
    void another_thread_adds_to_a_subscription_and_ends_it(int protocol) throws InterruptedException {
        open(protocol);
        Listener listener = new Listener("one");
        publish("one", "hello");
        listener.await("hello");
        listener.subscribe("two");
        listener.await("subscribed two");
        publish("two", "again");
        listener.await("again");
        if (protocol == 2) {
            // In RESP3, Jedis looks for who waits for the reply before it has noted that.
            listener.ping("are you there");
            listener.await("pong are you there");
        }
        listener.unsubscribe("one");
        listener.await("unsubscribed one");
        assertTrue(listener.isSubscribed());
        listener.unsubscribe();
        listener.ends();
        assertEquals(null, listener.failure);
        try (Jedis jedis = pool.getResource()) {
            assertEquals("PONG", jedis.ping());
        }
    }

    @ParameterizedTest
    @MethodSource("protocols")
    void threads_talk_to_a_subscription_while_messages_come_in(int protocol) throws InterruptedException {
        open(protocol);
        Listener listener = new Listener("flood");
        Thread[] talkers = new Thread[3];
        for (int at = 0; at < talkers.length; at++) {
            int id = at;
            talkers[at] = new Thread(() -> {
                for (int turn = 0; turn < 300; turn++) {
                    publish("flood", id + ":" + turn);
                }
            });
            talkers[at].start();
        }
        for (int turn = 0; turn < 300; turn++) {
            listener.subscribe("channel-" + turn);
        }
        for (Thread talker : talkers) {
            talker.join();
        }
        for (int id = 0; id < talkers.length; id++) {
            listener.await(id + ":299");
        }
        listener.await("subscribed channel-299");
        assertEquals(900, listener.heard.stream().filter(it -> it.contains(":")).count());
        listener.unsubscribe();
        listener.ends();
        assertEquals(null, listener.failure);
    }

    @ParameterizedTest
    @MethodSource("protocols")
    void a_subscription_waits_longer_than_any_command_may(int protocol) throws InterruptedException {
        open(protocol);
        Listener listener = new Listener("quiet");
        long begun = System.nanoTime();
        Sandbox.await("longer than command_timeout", () -> System.nanoTime() - begun > 1_500_000_000L);
        assertEquals(null, listener.failure);
        publish("quiet", "still there");
        listener.await("still there");
        listener.unsubscribe();
        listener.ends();
        assertEquals(null, listener.failure);
    }

    @ParameterizedTest
    @MethodSource("protocols")
    void a_subscription_ends_with_its_connection(int protocol) throws InterruptedException {
        open(protocol);
        Listener listener = new Listener("killed");
        sandbox.endConnections(sandbox.firstMaster(), "pubsub");
        listener.ends();
        assertInstanceOf(JedisConnectionException.class, listener.failure);
        assertEquals(Outcome.UNKNOWN, Outcome.of(listener.failure));
    }

    @ParameterizedTest
    @MethodSource("protocols")
    void a_subscription_ends_with_the_pool(int protocol) throws InterruptedException {
        open(protocol);
        Listener listener = new Listener("closed");
        pool.close();
        listener.ends();
        assertInstanceOf(JedisConnectionException.class, listener.failure);
    }
}
