package io.switchmaster.bench;

import io.switchmaster.Factory;
import io.switchmaster.Handle;
import io.switchmaster.jedis.SwitchmasterConnectionProvider;
import io.switchmaster.jedis.SwitchmasterPool;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.function.Consumer;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.RedisClient;

/** The ways of use that are measured: the rows of a table. {@link #prepare} gives an operation a thread. */
enum Rows {
    /** Our own handle, held. */
    HELD {
        @Override
        List<Runnable> operations(Factory factory, String name, int threads) {
            Consumer<Handle> work = Case.ours(name);
            List<Runnable> operations = new ArrayList<>();
            for (int at = 0; work != null && at < threads; at++) {
                Handle redis = factory.get();
                operations.add(() -> work.accept(redis));
            }
            return operations;
        }
    },
    /** Our own handle, taken for each operation. */
    POOL {
        @Override
        List<Runnable> operations(Factory factory, String name, int threads) {
            if (name.equals("checkout")) {
                return Collections.nCopies(threads, () -> factory.get().close());
            }
            Consumer<Handle> work = Case.ours(name);
            return work == null ? List.of() : Collections.nCopies(threads, () -> {
                try (Handle redis = factory.get()) {
                    work.accept(redis);
                }
            });
        }
    },
    /** A Jedis of our pool, held. */
    JEDIS {
        @Override
        List<Runnable> operations(Factory factory, String name, int threads) {
            Consumer<Jedis> work = Case.jedis(name);
            SwitchmasterPool pool = new SwitchmasterPool(factory);
            List<Runnable> operations = new ArrayList<>();
            for (int at = 0; work != null && at < threads; at++) {
                Jedis jedis = pool.getResource();
                operations.add(() -> work.accept(jedis));
            }
            return operations;
        }
    },
    /** A Jedis of our pool, taken for each operation. */
    JEDIS_POOL {
        @Override
        List<Runnable> operations(Factory factory, String name, int threads) {
            SwitchmasterPool pool = new SwitchmasterPool(factory);
            if (name.equals("checkout")) {
                return Collections.nCopies(threads, () -> pool.getResource().close());
            }
            Consumer<Jedis> work = Case.jedis(name);
            return work == null ? List.of() : Collections.nCopies(threads, () -> {
                try (Jedis jedis = pool.getResource()) {
                    work.accept(jedis);
                }
            });
        }
    },
    /** Jedis's unified client over our connections. */
    CLIENT {
        @Override
        List<Runnable> operations(Factory factory, String name, int threads) {
            SwitchmasterConnectionProvider provider = new SwitchmasterConnectionProvider(factory);
            if (name.equals("checkout")) {
                return Collections.nCopies(threads, () -> provider.getConnection().close());
            }
            RedisClient client = RedisClient.builder().connectionProvider(provider).build();
            Consumer<RedisClient> work = Case.client(name);
            return work == null ? List.of() : Collections.nCopies(threads, () -> work.accept(client));
        }
    };

    private Factory factory;

    /** As it is called on the command line. */
    static Rows of(String name) {
        return valueOf(name.toUpperCase(java.util.Locale.ROOT).replace('-', '_'));
    }

    /** An operation for each thread; none when there is no such case. */
    List<Runnable> prepare(String sentinel, String name, int threads) {
        close();
        int size = Math.max(8, threads);
        factory = Factory.builder().sentinel(sentinel).service(FakeSentinel.SERVICE).maxSize(size).minIdle(size)
                .build();
        return operations(factory, name, threads);
    }

    abstract List<Runnable> operations(Factory factory, String name, int threads);

    void close() {
        if (factory != null) {
            factory.close();
            factory = null;
        }
    }
}
