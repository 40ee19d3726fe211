package io.switchmaster.jedis;

import io.switchmaster.Builder;
import io.switchmaster.Credentials;
import io.switchmaster.CredentialsProvider;
import io.switchmaster.Factory;
import java.lang.ref.WeakReference;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Supplier;
import redis.clients.authentication.core.Token;
import redis.clients.jedis.DefaultRedisCredentialsProvider;
import redis.clients.jedis.JedisClientConfig;
import redis.clients.jedis.RedisCredentials;
import redis.clients.jedis.RedisCredentialsProvider;
import redis.clients.jedis.authentication.AuthXManager;

/** The credentials of a configuration: asked for at each connection, as Jedis does. */
final class Login {
    private final List<Tokens> tokens = new ArrayList<>();

    /** Makes connections to the nodes log in with the credentials of a configuration. */
    void nodes(Builder builder, JedisClientConfig config) {
        Supplier<RedisCredentials> supplier = supplier(config);
        if (supplier != null && !lacksPassword(supplier)) {
            builder.credentials(provider(supplier));
        }
    }

    /**
     * Makes links to the sentinels log in like that. A fixed user and password are read once: factories that log in to
     * their sentinels with the same ones share their links.
     */
    void sentinels(Builder builder, JedisClientConfig config) {
        Supplier<RedisCredentials> supplier = supplier(config);
        if (supplier == null || lacksPassword(supplier)) {
            return;
        }
        if (supplier instanceof DefaultRedisCredentialsProvider) {
            RedisCredentials given = supplier.get();
            if (given.getUser() != null) {
                builder.sentinelUsername(given.getUser());
            }
            builder.sentinelPassword(new String(given.getPassword()));
        } else {
            builder.sentinelCredentials(provider(supplier));
        }
    }

    private Supplier<RedisCredentials> supplier(JedisClientConfig config) {
        Object manager = Versions.authXManager(config);
        if (manager == null) {
            return config.getCredentialsProvider();
        }
        Tokens started = new Tokens(manager);
        tokens.add(started);
        return started;
    }

    /** Returns true for the supplier of a configuration without a password, which has one, too. */
    private static boolean lacksPassword(Supplier<RedisCredentials> supplier) {
        if (!(supplier instanceof DefaultRedisCredentialsProvider)) {
            return false;
        }
        RedisCredentials given = supplier.get();
        return given == null || given.getPassword() == null;
    }

    /** Returns a provider that makes the calls of Jedis for each connection, in their order. */
    private static CredentialsProvider provider(Supplier<RedisCredentials> supplier) {
        return () -> {
            if (supplier instanceof RedisCredentialsProvider hooks) {
                hooks.prepare();
                try {
                    return credentials(supplier.get());
                } finally {
                    hooks.cleanUp();
                }
            }
            return credentials(supplier.get());
        };
    }

    private static Credentials credentials(RedisCredentials supplied) {
        if (supplied == null || supplied.getPassword() == null) {
            throw new IllegalStateException("it supplied no password");
        }
        return new Credentials(supplied.getUser(), new String(supplied.getPassword()));
    }

    /** A new token is used at once, by idle connections, too. */
    void follow(Factory factory) {
        WeakReference<Factory> weak = new WeakReference<>(factory);
        for (Tokens each : tokens) {
            each.follow(() -> {
                Factory open = weak.get();
                if (open != null && !open.isClosed()) {
                    open.refresh();
                }
            });
        }
    }

    /** The pool is closed. */
    void end() {
        tokens.forEach(Tokens::end);
    }

    /** The tokens of an AuthXManager, which Jedis has since 5.3: linked only where a configuration has one. */
    private static final class Tokens implements Supplier<RedisCredentials> {
        private final AuthXManager manager;
        private Consumer<Token> renewed;

        Tokens(Object manager) {
            this.manager = (AuthXManager) manager;
            this.manager.start();
        }

        @Override
        public RedisCredentials get() {
            return manager.get();
        }

        void follow(Runnable refresh) {
            renewed = token -> refresh.run();
            manager.addPostAuthenticationHook(renewed);
        }

        void end() {
            manager.removePostAuthenticationHook(renewed);
            manager.stop();
        }
    }
}
