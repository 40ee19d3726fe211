package io.switchmaster.bench;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * The binding as a contender in a comparison of Redis clients that some other program drives. It speaks the
 * lines that {@code benches/contender/main.rs} describes, and its rows are those of {@link Rows}.
 *
 * <p>usage: {@code Contender ROW PROGRAM}, where the program is the contender in Rust, which serves as the
 * sentinel.
 */
public final class Contender {
    /** A look at the clock costs as much as a checkout. */
    private static final int CHECKOUTS = 64;

    private Contender() {}

    /**
     * Runs it.
     *
     * @param arguments the row and the program
     * @throws IOException when a pipe breaks
     * @throws InterruptedException never
     */
    public static void main(String[] arguments) throws IOException, InterruptedException {
        Rows row = Rows.of(arguments[0]);
        int port = Integer.parseInt(System.getenv("STEADY_PORT"));
        try (FakeSentinel sentinel = FakeSentinel.start(arguments[1], port)) {
            System.out.println("hello " + arguments[0]);
            converse(row, sentinel.address());
        }
        System.exit(0);
    }

    private static void converse(Rows row, String sentinel) throws IOException, InterruptedException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        List<Runnable> operations = List.of();
        int step = 1;
        for (String line = in.readLine(); line != null && !line.equals("quit"); line = in.readLine()) {
            String[] words = line.split(" ");
            switch (words[0]) {
                case "prepare":
                    operations = row.prepare(sentinel, words[1], Integer.parseInt(words[2]));
                    step = words[1].equals("checkout") ? CHECKOUTS : 1;
                    System.out.println(operations.isEmpty() ? "skip" : "ok");
                    break;
                case "run":
                    System.out.println(run(operations, step, Long.parseLong(words[1])));
                    break;
                case "count":
                    long count = Long.parseLong(words[1]);
                    long begun = System.nanoTime();
                    for (long done = 0; done < count; done++) {
                        operations.get(0).run();
                    }
                    System.out.println("ok " + count + " " + (System.nanoTime() - begun));
                    break;
                default:
                    System.out.println("error: an unknown line");
            }
        }
    }

    private static String run(List<Runnable> operations, int step, long millis) throws InterruptedException {
        long begun = System.nanoTime();
        long end = begun + millis * 1_000_000;
        long all = 0;
        if (operations.size() == 1) {
            all = until(operations.get(0), step, end);
        } else {
            long[] done = new long[operations.size()];
            List<Thread> threads = new ArrayList<>();
            for (int at = 0; at < done.length; at++) {
                int mine = at;
                Thread thread = new Thread(() -> done[mine] = until(operations.get(mine), step, end));
                thread.setUncaughtExceptionHandler((failed, error) -> {
                    error.printStackTrace();
                    System.exit(1);
                });
                threads.add(thread);
                thread.start();
            }
            for (Thread thread : threads) {
                thread.join();
            }
            for (long count : done) {
                all += count;
            }
        }
        return "ok " + all + " " + (System.nanoTime() - begun);
    }

    private static long until(Runnable operation, int step, long end) {
        long done = 0;
        do {
            for (int at = 0; at < step; at++) {
                operation.run();
            }
            done += step;
        } while (System.nanoTime() - end < 0);
        return done;
    }
}
