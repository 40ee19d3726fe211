package io.switchmaster.bench;

import io.switchmaster.Factory;
import io.switchmaster.Handle;
import io.switchmaster.jedis.SwitchmasterPool;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ThreadFactory;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisPool;
import redis.clients.jedis.JedisPoolConfig;

/**
 * 200 virtual threads with 20 commands each that take 5 ms in the server, on two carriers: stock Jedis, our
 * Jedis, our own handle, in turn. Prints the medians and their ratios.
 *
 * <p>usage: {@code java -Djdk.virtualThreadScheduler.parallelism=2 ... VirtualThreads [ROUNDS]}, from Java 21
 */
public final class VirtualThreads {
    private static final int THREADS = 200;
    private static final int COMMANDS = 20;

    /** There is no replica that could be waited for, so it takes its whole time. */
    private static final String[] WAIT = {"WAIT", "1", "5"};

    private VirtualThreads() {}

    /**
     * Runs it.
     *
     * @param arguments how many rounds; 15 unless said
     * @throws Exception when something fails
     */
    public static void main(String[] arguments) throws Exception {
        int rounds = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 15;
        Method virtual = Thread.class.getMethod("ofVirtual");
        Object builder = virtual.invoke(null);
        ThreadFactory threads =
                (ThreadFactory) Class.forName("java.lang.Thread$Builder").getMethod("factory").invoke(builder);
        JedisPoolConfig config = new JedisPoolConfig();
        config.setMaxTotal(THREADS);
        config.setMaxIdle(THREADS);
        try (Server server = Server.start();
                JedisPool stock = new JedisPool(config, "127.0.0.1", server.port());
                Factory factory = Factory.builder().sentinel(server.sentinel())
                        .service(FakeSentinel.SERVICE).maxSize(THREADS).build()) {
            try (Handle redis = factory.get()) {
                // The server looks at what blocks at each tick.
                redis.command("CONFIG", "SET", "hz", "500");
            }
            SwitchmasterPool pool = new SwitchmasterPool(factory);
            Runnable[] rows = {
                () -> {
                    try (Jedis jedis = stock.getResource()) {
                        jedis.waitReplicas(1, 5);
                    }
                },
                () -> {
                    try (Jedis jedis = pool.getResource()) {
                        jedis.waitReplicas(1, 5);
                    }
                },
                () -> {
                    try (Handle redis = factory.get()) {
                        redis.command(WAIT);
                    }
                },
            };
            String[] names = {"stock Jedis", "Jedis of ours", "our handle"};
            double[][] millis = new double[rows.length][rounds];
            for (int round = -3; round < rounds; round++) {
                for (int row = 0; row < rows.length; row++) {
                    double took = time(threads, rows[row]);
                    if (round >= 0) {
                        millis[row][round] = took;
                    }
                }
            }
            double base = median(millis[0]);
            for (int row = 0; row < rows.length; row++) {
                Arrays.sort(millis[row]);
                System.out.printf("%-14s %7.1f ms  (%.1f to %.1f)  %.2fx%n", names[row], median(millis[row]),
                        millis[row][0], millis[row][rounds - 1], median(millis[row]) / base);
            }
            System.out.println("threads of the platform: "
                    + Thread.getAllStackTraces().keySet().stream().filter(Thread::isAlive).count());
        }
        System.exit(0);
    }

    private static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        return sorted[sorted.length / 2];
    }

    private static double time(ThreadFactory factory, Runnable command) throws InterruptedException {
        long begun = System.nanoTime();
        List<Thread> threads = new ArrayList<>();
        for (int at = 0; at < THREADS; at++) {
            Thread thread = factory.newThread(() -> {
                for (int turn = 0; turn < COMMANDS; turn++) {
                    command.run();
                }
            });
            threads.add(thread);
            thread.start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        return (System.nanoTime() - begun) / 1e6;
    }
}
