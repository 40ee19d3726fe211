package io.switchmaster.bench;

import java.util.concurrent.TimeUnit;
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
import org.openjdk.jmh.annotations.Threads;
import org.openjdk.jmh.annotations.Warmup;
import redis.clients.jedis.JedisPool;

/** Borrow and return, no command: nanoseconds that pass between two of all threads together. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(2)
public class CheckoutBenchmark {
    /** Whose pool. */
    @Param({"stock-pool", "jedis-pool", "pool"})
    public String row;

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
        if (row.equals("stock-pool")) {
            JedisPool pool = new JedisPool("127.0.0.1", server.port());
            operation = () -> pool.getResource().close();
            closes = pool;
        } else {
            Rows ours = Rows.of(row);
            operation = ours.prepare(server.sentinel(), "checkout", 4).get(0);
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

    /** One thread. */
    @Benchmark
    @Threads(1)
    public void alone() {
        operation.run();
    }

    /** Four threads. */
    @Benchmark
    @Threads(4)
    public void four() {
        operation.run();
    }
}
