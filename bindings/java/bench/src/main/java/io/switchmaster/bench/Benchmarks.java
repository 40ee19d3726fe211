package io.switchmaster.bench;

import java.util.Collection;
import java.util.Map;
import java.util.TreeMap;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.CommandLineOptionException;
import org.openjdk.jmh.runner.options.CommandLineOptions;

/**
 * Runs the benchmarks of JMH, and prints what each row costs as a part of what the stock pool does.
 *
 * <p>usage: as JMH's own main, such as {@code Benchmarks -prof gc -f 1 CheckoutBenchmark}
 */
public final class Benchmarks {
    private static final String BASE = "stock-pool";

    /** Bytes that an operation allocates, with {@code -prof gc}. */
    private static final String ALLOCATED = "gc.alloc.rate.norm";

    private Benchmarks() {}

    /**
     * Runs them.
     *
     * @param arguments those of JMH
     * @throws CommandLineOptionException when they cannot be read
     * @throws RunnerException when a benchmark fails
     */
    public static void main(String[] arguments) throws CommandLineOptionException, RunnerException {
        Collection<RunResult> results = new Runner(new CommandLineOptions(arguments)).run();
        Map<String, Map<String, RunResult>> groups = new TreeMap<>();
        for (RunResult result : results) {
            BenchmarkParams parameters = result.getParams();
            String name = parameters.getBenchmark().replaceAll(".*\\.(\\w+)Benchmark\\.", "$1 ");
            String what = parameters.getParam("what");
            groups.computeIfAbsent(what == null ? name : what, unseen -> new TreeMap<>())
                    .put(parameters.getParam("row"), result);
        }
        System.out.printf("%n%-16s %-14s %12s %12s %14s%n", "", "", "ns", "/ " + BASE, "bytes");
        groups.forEach((name, rows) -> rows.forEach((row, result) -> {
            double base = rows.containsKey(BASE) ? nanos(rows.get(BASE)) : Double.NaN;
            Result<?> allocated = result.getSecondaryResults().get(ALLOCATED);
            System.out.printf("%-16s %-14s %12.1f %12.2f %14s%n", name, row, nanos(result), nanos(result) / base,
                    allocated == null ? "" : Math.round(allocated.getScore()));
        }));
    }

    /** What passes between two operations of all threads together. */
    private static double nanos(RunResult result) {
        double score = result.getPrimaryResult().getScore();
        return result.getPrimaryResult().getScoreUnit().startsWith("ops") ? 1_000 / score : 1_000 * score;
    }
}
