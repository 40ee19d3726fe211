package io.switchmaster.jedis;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.switchmaster.Outcome;
import io.switchmaster.testing.Sandbox;
import java.lang.reflect.Constructor;
import java.lang.reflect.Modifier;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocketFactory;
import org.apache.commons.pool2.impl.GenericObjectPoolConfig;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisClientConfig;
import redis.clients.jedis.JedisFactory;
import redis.clients.jedis.JedisSentinelPool;
import redis.clients.jedis.exceptions.JedisConnectionException;
import redis.clients.jedis.exceptions.JedisException;

/** What a pool is made from, and what of it cannot be. */
@SuppressWarnings("deprecation") // JedisSentinelPool, whose place is taken.
final class ConstructorsTest {
    private static Sandbox sandbox;
    private static String service;
    private static Set<String> sentinels;
    private static Set<HostAndPort> addresses;

    @BeforeAll
    static void start() {
        sandbox = Sandbox.start();
        service = sandbox.service();
        sentinels = new LinkedHashSet<>(sandbox.sentinels());
        addresses = sentinels.stream().map(HostAndPort::from).collect(Collectors.toSet());
        List<String> nodes = new ArrayList<>(sandbox.replicas());
        nodes.add(sandbox.firstMaster());
        for (String server : nodes) {
            sandbox.ask(server, "ACL", "SETUSER", "bob", "on", ">pw", "~*", "&*", "+@all");
        }
        for (String server : sentinels) {
            sandbox.ask(server, "ACL", "SETUSER", "carol", "on", ">spw", "~*", "&*", "+@all");
        }
    }

    @AfterAll
    static void end() {
        sandbox.close();
    }

    private static GenericObjectPoolConfig<Jedis> three() {
        GenericObjectPoolConfig<Jedis> config = new GenericObjectPoolConfig<>();
        config.setMaxTotal(3);
        return config;
    }

    private static JedisClientConfig plain() {
        return DefaultJedisClientConfig.builder().build();
    }

    private static JedisClientConfig bob() {
        return DefaultJedisClientConfig.builder().user("bob").password("pw").database(2).clientName("me").build();
    }

    private static JedisClientConfig carol() {
        return DefaultJedisClientConfig.builder().user("carol").password("spw").build();
    }

    /** Every constructor, and who its connections are: user, database, name, most of them. */
    private static Map<Supplier<SwitchmasterPool>, String> table() {
        Map<Supplier<SwitchmasterPool>, String> table = new LinkedHashMap<>();
        table.put(() -> new SwitchmasterPool(service, addresses, bob(), carol()), "bob 2 me 8");
        table.put(() -> new SwitchmasterPool(service, sentinels, three()), "default 0 null 3");
        table.put(() -> new SwitchmasterPool(service, sentinels), "default 0 null 8");
        table.put(() -> new SwitchmasterPool(service, sentinels, (String) null), "default 0 null 8");
        table.put(() -> new SwitchmasterPool(service, sentinels, (String) null, (String) null), "default 0 null 8");
        table.put(() -> new SwitchmasterPool(service, sentinels, three(), 900, (String) null), "default 0 null 3");
        table.put(() -> new SwitchmasterPool(service, sentinels, three(), 900), "default 0 null 3");
        table.put(() -> new SwitchmasterPool(service, sentinels, three(), (String) null), "default 0 null 3");
        table.put(() -> new SwitchmasterPool(service, sentinels, three(), 900, null, 2), "default 2 null 3");
        table.put(() -> new SwitchmasterPool(service, sentinels, three(), 900, "bob", "pw", 2), "bob 2 null 3");
        table.put(() -> new SwitchmasterPool(service, sentinels, three(), 900, null, 2, "me"), "default 2 me 3");
        table.put(() -> new SwitchmasterPool(service, sentinels, three(), 900, "bob", "pw", 2, "me"), "bob 2 me 3");
        table.put(() -> new SwitchmasterPool(service, sentinels, three(), 900, 800, null, 2), "default 2 null 3");
        table.put(() -> new SwitchmasterPool(service, sentinels, three(), 900, 800, "bob", "pw", 2),
                "bob 2 null 3");
        table.put(() -> new SwitchmasterPool(service, sentinels, three(), 900, 800, null, 2, "me"),
                "default 2 me 3");
        table.put(() -> new SwitchmasterPool(service, sentinels, three(), 900, 800, "bob", "pw", 2, "me"),
                "bob 2 me 3");
        table.put(() -> new SwitchmasterPool(service, sentinels, three(), 900, 800, 700, "bob", "pw", 2, "me"),
                "bob 2 me 3");
        table.put(() -> new SwitchmasterPool(
                service, sentinels, three(), 900, 800, null, 2, "me", 600, 500, null, "watcher"), "default 2 me 3");
        table.put(() -> new SwitchmasterPool(service, sentinels, three(), 900, 800, "bob", "pw", 2, "me", 600, 500,
                "carol", "spw", "watcher"), "bob 2 me 3");
        table.put(() -> new SwitchmasterPool(service, sentinels, three(), 900, 800, 0, "bob", "pw", 2, "me", 600, 0,
                "carol", "spw", null), "bob 2 me 3");
        table.put(() -> new SwitchmasterPool(service, addresses, three(), bob(), plain()), "bob 2 me 3");
        return table;
    }

    @Test
    void every_constructor_opens_a_pool_with_its_settings() {
        table().forEach((constructor, who) -> {
            try (SwitchmasterPool pool = constructor.get(); Jedis jedis = pool.getResource()) {
                String found = jedis.aclWhoAmI() + " " + jedis.getDB() + " " + jedis.clientGetname() + " "
                        + pool.getMaxTotal();
                assertEquals(who, found);
                assertEquals(HostAndPort.from(sandbox.firstMaster()), pool.getCurrentHostMaster());
                assertEquals("PONG", jedis.ping());
                String database = sandbox.ask(sandbox.firstMaster(), "CLIENT", "LIST");
                assertTrue(database.contains("db=" + jedis.getDB()), database);
            }
        });
    }

    @Test
    void every_constructor_of_the_old_pool_is_there() {
        int refused = 0;
        for (Constructor<?> old : JedisSentinelPool.class.getConstructors()) {
            Class<?>[] types = old.getParameterTypes();
            Constructor<?> ours = find(types);
            assertNotNull(ours, "no constructor as " + old);
            assertEquals(Arrays.toString(old.getGenericParameterTypes()),
                    Arrays.toString(ours.getGenericParameterTypes()));
            refused += Arrays.asList(types).contains(JedisFactory.class) ? 1 : 0;
        }
        assertEquals(JedisSentinelPool.class.getConstructors().length, table().size() + refused);
        assertEquals(3, refused);
    }

    private static Constructor<?> find(Class<?>... types) {
        for (Constructor<?> constructor : SwitchmasterPool.class.getConstructors()) {
            if (Modifier.isPublic(constructor.getModifiers())
                    && Arrays.equals(types, constructor.getParameterTypes())) {
                return constructor;
            }
        }
        return null;
    }

    @Test
    void a_jedis_factory_is_refused_and_told_what_to_use() {
        JedisFactory unread = new JedisFactory("nowhere", 1, 1, 1, null, 0, null) {};
        for (Supplier<SwitchmasterPool> constructor : List.<Supplier<SwitchmasterPool>>of(
                () -> new SwitchmasterPool(service, sentinels, three(), unread),
                () -> new SwitchmasterPool(service, addresses, unread, plain()),
                () -> new SwitchmasterPool(service, addresses, three(), unread, plain()))) {
            IllegalArgumentException refused = assertThrows(IllegalArgumentException.class, constructor::get);
            assertTrue(refused.getMessage().contains("JedisFactory"), refused.getMessage());
            assertTrue(refused.getMessage().contains("JedisClientConfig"), refused.getMessage());
        }
    }

    @Test
    void a_setting_that_cannot_be_honoured_is_refused_by_its_name() {
        Map<String, JedisClientConfig> unmapped = new LinkedHashMap<>();
        unmapped.put("sslSocketFactory", DefaultJedisClientConfig.builder()
                .sslSocketFactory((SSLSocketFactory) SSLSocketFactory.getDefault()).build());
        unmapped.put("sslParameters",
                DefaultJedisClientConfig.builder().sslParameters(new SSLParameters()).build());
        unmapped.put("hostnameVerifier",
                DefaultJedisClientConfig.builder().hostnameVerifier((host, session) -> true).build());
        unmapped.put("hostAndPortMapper",
                DefaultJedisClientConfig.builder().hostAndPortMapper(address -> address).build());
        unmapped.forEach((name, config) -> {
            assertRefused(name, "the master",
                    () -> new SwitchmasterPool(service, addresses, three(), config, plain()));
            assertRefused(name, "the sentinels",
                    () -> new SwitchmasterPool(service, addresses, three(), plain(), config));
        });
    }

    private static void assertRefused(String name, String where, Supplier<SwitchmasterPool> constructor) {
        IllegalArgumentException refused = assertThrows(IllegalArgumentException.class, constructor::get);
        assertTrue(refused.getMessage().contains(name), refused.getMessage());
        assertTrue(refused.getMessage().contains(where), refused.getMessage());
    }

    @Test
    void a_setting_that_cannot_be_meant_is_refused() {
        GenericObjectPoolConfig<Jedis> none = new GenericObjectPoolConfig<>();
        none.setMaxTotal(0);
        assertThrows(IllegalArgumentException.class, () -> new SwitchmasterPool(service, sentinels, none));
        assertThrows(IllegalArgumentException.class,
                () -> new SwitchmasterPool(service, sentinels, three(), 900, null, -7));
    }

    @Test
    void limits_of_the_old_pool_that_are_none_open_one_with_bounds() {
        GenericObjectPoolConfig<Jedis> config = new GenericObjectPoolConfig<>();
        config.setMaxTotal(-1);
        config.setMaxWait(Duration.ZERO);
        config.setMinIdle(-1);
        try (SwitchmasterPool pool = new SwitchmasterPool(service, sentinels, config, 0);
                Jedis jedis = pool.getResource()) {
            assertEquals("PONG", jedis.ping());
            assertEquals(Settings.UNLIMITED, pool.getMaxTotal());
            assertEquals(0, pool.getMinIdle());
        }
    }

    @Test
    void tls_is_spoken_where_it_is_asked_for() {
        JedisClientConfig tls = DefaultJedisClientConfig.builder().ssl(true).build();
        // The servers do not speak it.
        JedisException refused = assertThrows(JedisException.class,
                () -> new SwitchmasterPool(service, addresses, three(), tls, plain()));
        assertTrue(refused.getMessage().contains("TLS"), refused.getMessage());
        assertEquals(Outcome.NOT_SENT, Outcome.of(refused));
    }

    @Test
    void a_wrong_password_is_told_and_not_shown() {
        JedisClientConfig wrong = DefaultJedisClientConfig.builder().user("carol").password("secret").build();
        JedisException refused = assertThrows(JedisException.class,
                () -> new SwitchmasterPool(service, addresses, three(), plain(), wrong));
        assertTrue(refused.getMessage().contains("WRONGPASS"), refused.getMessage());
        assertFalse(refused.getMessage().contains("secret"), refused.getMessage());
    }

    @Test
    void a_pool_that_finds_no_master_says_so_as_jedis_does() {
        JedisConnectionException failed = assertThrows(JedisConnectionException.class,
                () -> new SwitchmasterPool("nobody", sentinels));
        assertTrue(failed.getMessage().contains("nobody"), failed.getMessage());
        assertTrue(failed.getMessage().contains(service), failed.getMessage());
    }
}
