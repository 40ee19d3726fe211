package io.switchmaster.jedis;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.switchmaster.testing.Sandbox;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Collectors;
import org.apache.commons.pool2.impl.GenericObjectPoolConfig;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.DefaultRedisCredentials;
import redis.clients.jedis.DefaultRedisCredentialsProvider;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisClientConfig;
import redis.clients.jedis.RedisCredentials;
import redis.clients.jedis.RedisCredentialsProvider;
import redis.clients.jedis.exceptions.JedisException;

/** Credentials of a configuration that change while the pool is open. */
final class CredentialsTest {
    private Sandbox sandbox;

    @BeforeEach
    void start() {
        sandbox = Sandbox.start();
    }

    @AfterEach
    void end() {
        sandbox.close();
    }

    private SwitchmasterPool open(JedisClientConfig nodes, JedisClientConfig sentinels) {
        Set<HostAndPort> addresses =
                sandbox.sentinels().stream().map(HostAndPort::from).collect(Collectors.toSet());
        return new SwitchmasterPool(
                sandbox.service(), addresses, new GenericObjectPoolConfig<>(), nodes, sentinels);
    }

    private List<String> nodes() {
        List<String> nodes = new ArrayList<>(sandbox.replicas());
        nodes.add(sandbox.firstMaster());
        return nodes;
    }

    private static void grant(Sandbox sandbox, List<String> servers, String user, String password) {
        for (String server : servers) {
            assertEquals("+OK\r\n", sandbox.ask(server, "ACL", "SETUSER", user, "reset", "on", ">" + password,
                    "allkeys", "allchannels", "+@all"));
        }
    }

    private void endConnections() {
        for (String node : nodes()) {
            sandbox.endConnections(node, "normal");
        }
    }

    private static boolean writes(SwitchmasterPool pool) {
        try (Jedis jedis = pool.getResource()) {
            return jedis.set("key", "value").equals("OK");
        } catch (JedisException failed) {
            return false;
        }
    }

    private static String user(SwitchmasterPool pool) {
        try (Jedis jedis = pool.getResource()) {
            return jedis.aclWhoAmI();
        }
    }

    /** Jedis's own kind of provider; notes what is called. */
    private static final class Vault implements RedisCredentialsProvider {
        private final List<String> calls = new CopyOnWriteArrayList<>();
        private volatile RedisCredentials content;

        private Vault(String user, String password) {
            content = new DefaultRedisCredentials(user, password);
        }

        @Override
        public void prepare() {
            calls.add("prepare");
        }

        @Override
        public RedisCredentials get() {
            calls.add("get");
            if (content == null) {
                throw new IllegalStateException("the vault is sealed");
            }
            return content;
        }

        @Override
        public void cleanUp() {
            calls.add("cleanUp");
        }
    }

    @Test
    void a_credentials_provider_is_called_for_each_connection_and_after_a_failover() {
        grant(sandbox, nodes(), "app", "one");
        Vault vault = new Vault("app", "one");
        JedisClientConfig config = DefaultJedisClientConfig.builder().credentialsProvider(vault).build();
        try (SwitchmasterPool pool = open(config, DefaultJedisClientConfig.builder().build())) {
            assertEquals("app", user(pool));
            assertEquals(List.of("prepare", "get", "cleanUp"), vault.calls.subList(0, 3));
            grant(sandbox, nodes(), "app", "two");
            endConnections();
            vault.content = new DefaultRedisCredentials("app", "two");
            Sandbox.await("the new password is used", () -> writes(pool));
            sandbox.settle();
            sandbox.failover();
            Sandbox.await("the new master is written to",
                    () -> !sandbox.master().equals(sandbox.firstMaster()) && writes(pool));
            assertEquals("app", user(pool));
            vault.content = null;
            vault.calls.clear();
            endConnections();
            // A connection that was on its way when the others ended lives on, so they are ended again.
            Sandbox.await("it is told", () -> {
                endConnections();
                try (Jedis jedis = pool.getResource()) {
                    jedis.ping();
                    return false;
                } catch (JedisException failed) {
                    return String.valueOf(failed.getMessage()).contains("the vault is sealed");
                }
            });
            assertEquals(List.of("prepare", "get", "cleanUp"), vault.calls.subList(0, 3));
        }
    }

    @Test
    void the_sentinels_have_a_provider_of_their_own() {
        grant(sandbox, sandbox.sentinels(), "watcher", "one");
        Vault vault = new Vault("watcher", "one");
        JedisClientConfig config = DefaultJedisClientConfig.builder().credentialsProvider(vault).build();
        try (SwitchmasterPool pool = open(DefaultJedisClientConfig.builder().build(), config)) {
            assertTrue(writes(pool));
            Sandbox.await("all name the master", () -> pool.factory().topology().agreeing() == 3);
            vault.content = null;
            for (String sentinel : sandbox.sentinels()) {
                sandbox.ask(sentinel, "ACL", "DELUSER", "watcher");
            }
            Sandbox.await("it is told", () -> pool.factory().topology().json().contains("the vault is sealed"));
            grant(sandbox, sandbox.sentinels(), "watcher", "two");
            vault.content = new DefaultRedisCredentials("watcher", "two");
            Sandbox.await("they are listened to again",
                    () -> !pool.factory().topology().json().contains("the vault is sealed"));
        }
    }

    @Test
    void the_provider_of_a_user_and_a_password_may_be_given_others() {
        grant(sandbox, nodes(), "app", "one");
        DefaultRedisCredentialsProvider provider =
                new DefaultRedisCredentialsProvider(new DefaultRedisCredentials("app", "one"));
        JedisClientConfig config = DefaultJedisClientConfig.builder().credentialsProvider(provider).build();
        try (SwitchmasterPool pool = open(config, DefaultJedisClientConfig.builder().build())) {
            assertEquals("app", user(pool));
            grant(sandbox, nodes(), "app", "two");
            endConnections();
            provider.setCredentials(new DefaultRedisCredentials("app", "two"));
            Sandbox.await("the new password is used", () -> writes(pool));
        }
    }

    @Test
    void a_provider_that_supplies_no_password_is_reported() {
        JedisClientConfig config = DefaultJedisClientConfig.builder().credentialsProvider(() -> null).build();
        JedisException refused = assertThrows(JedisException.class,
                () -> open(config, DefaultJedisClientConfig.builder().build()));
        assertTrue(refused.getMessage().contains("it supplied no password"), refused.getMessage());
        assertFalse(refused.getMessage().contains("null"), refused.getMessage());
    }
}
