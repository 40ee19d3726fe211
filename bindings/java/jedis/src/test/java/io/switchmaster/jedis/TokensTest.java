package io.switchmaster.jedis;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.switchmaster.testing.Sandbox;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;
import org.apache.commons.pool2.impl.GenericObjectPoolConfig;
import org.junit.jupiter.api.Test;
import redis.clients.authentication.core.SimpleToken;
import redis.clients.authentication.core.TokenAuthConfig;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisClientConfig;
import redis.clients.jedis.authentication.AuthXManager;

/** Tokens of an identity provider, which Jedis has since 5.3. */
final class TokensTest {
    private static String user(SwitchmasterPool pool) {
        try (Jedis jedis = pool.getResource()) {
            return jedis.aclWhoAmI();
        }
    }

    @Test
    void a_new_token_is_used_at_once_by_idle_connections_and_the_manager_ends_with_the_pool() {
        try (Sandbox sandbox = Sandbox.start()) {
            for (String name : new String[] {"first", "later"}) {
                sandbox.ask(sandbox.firstMaster(), "ACL", "SETUSER", name, "on", ">" + name, "allkeys", "+@all");
                for (String replica : sandbox.replicas()) {
                    sandbox.ask(replica, "ACL", "SETUSER", name, "on", ">" + name, "allkeys", "+@all");
                }
            }
            AtomicReference<String> issued = new AtomicReference<>("first");
            Set<Thread> before = Thread.getAllStackTraces().keySet();
            AuthXManager manager = new AuthXManager(TokenAuthConfig.builder()
                    .identityProviderConfig(() -> () -> {
                        String name = issued.get();
                        long now = System.currentTimeMillis();
                        return new SimpleToken(name, name, now + 3_000, now, Map.of());
                    })
                    .expirationRefreshRatio(0.8f).lowerRefreshBoundMillis(100).tokenRequestExecTimeoutInMs(1_000)
                    .maxAttemptsToRetry(3).delayInMsToRetry(100).build());
            JedisClientConfig config = DefaultJedisClientConfig.builder().authXManager(manager).build();
            Set<HostAndPort> sentinels =
                    sandbox.sentinels().stream().map(HostAndPort::from).collect(Collectors.toSet());
            SwitchmasterPool pool = new SwitchmasterPool(sandbox.service(), sentinels,
                    new GenericObjectPoolConfig<>(), config, DefaultJedisClientConfig.builder().build());
            try (pool) {
                assertEquals("first", user(pool));
                issued.set("later");
                Sandbox.await("the later token is used", () -> user(pool).equals("later"));
                assertEquals(0, pool.factory().stats().connectionsBroken());
            }
            Sandbox.await("the threads of the pool and of the manager have ended",
                    () -> Thread.getAllStackTraces().keySet().stream().filter(thread -> !before.contains(thread))
                            .noneMatch(thread -> thread.getName().matches("(switchmaster|pool)-.*")));
            // The second time does nothing.
            pool.close();
        }
    }
}
