package io.switchmaster.bench;

import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisPool;
import redis.clients.jedis.RedisClient;

/** A command with its checkout: stock pools, and ours. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(2)
public class CommandBenchmark {
    /** Whose pool. */
    @Param({"stock-pool", "stock-client", "jedis-pool", "client", "pool"})
    public String row;

    /** What is done. */
    @Param({"get", "set", "pipe1000", "mget1000", "get1m"})
    public String what;

    private Server server;
    private Runnable operation;
    private AutoCloseable closes;

    /**
     * Starts a server and opens the pool.
     *
     * @throws Exception when that fails
     */
    @Setup(Level.Trial)
    public void open() throws Exception {
        server = Server.start();
        switch (row) {
            case "stock-pool":
                JedisPool pool = new JedisPool("127.0.0.1", server.port());
                Consumer<Jedis> work = Case.jedis(what);
                operation = () -> {
                    try (Jedis jedis = pool.getResource()) {
                        work.accept(jedis);
                    }
                };
                closes = pool;
                break;
            case "stock-client":
                RedisClient client = RedisClient.create("127.0.0.1", server.port());
                Consumer<RedisClient> unified = Case.client(what);
                operation = () -> unified.accept(client);
                closes = client;
                break;
            default:
                Rows ours = Rows.of(row);
                List<Runnable> operations = ours.prepare(server.sentinel(), what, 1);
                operation = operations.get(0);
                closes = ours::close;
        }
    }

    /**
     * Ends both.
     *
     * @throws Exception when that fails
     */
    @TearDown(Level.Trial)
    public void close() throws Exception {
        closes.close();
        server.close();
    }

    /** One operation. */
    @Benchmark
    public void command() {
        operation.run();
    }
}
