package io.switchmaster.bench;

import io.switchmaster.Factory;
import io.switchmaster.Handle;
import io.switchmaster.Outcome;
import io.switchmaster.SwitchmasterException;
import io.switchmaster.jedis.SwitchmasterPool;
import java.io.IOException;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.exceptions.JedisException;

/**
 * Writes without a pause, and tells when writes were acknowledged again after a pause. It speaks the lines
 * that {@code benches/languages/main.rs} describes.
 *
 * <p>usage: {@code Writer core|jedis URL KEY}
 */
public final class Writer {
    /** What is shorter is no pause. */
    private static final long PAUSE_NANOS = 20_000_000;

    private static volatile boolean ended;

    private Writer() {}

    /**
     * Runs it.
     *
     * @param arguments which client, the URL, the key
     */
    public static void main(String[] arguments) {
        Thread waiting = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {
                    // Until its end.
                }
            } catch (IOException gone) {
                // So is whoever wanted this.
            }
            ended = true;
        });
        waiting.setDaemon(true);
        String key = arguments[2];
        try (Factory factory = Factory.open(arguments[1])) {
            SwitchmasterPool pool = new SwitchmasterPool(factory);
            Runnable write = arguments[0].equals("core")
                    ? () -> {
                        try (Handle redis = factory.get()) {
                            redis.command("INCR", key);
                        }
                    }
                    : () -> {
                        try (Jedis jedis = pool.getResource()) {
                            jedis.incr(key);
                        }
                    };
            warm(write);
            waiting.start();
            write(write);
        }
    }

    /** A virtual machine that has just begun to compile is not what is compared. */
    private static void warm(Runnable write) {
        for (int at = 0; at < 20_000; at++) {
            write.run();
        }
    }

    private static void write(Runnable write) {
        long last = 0;
        long acknowledged = 20_000;
        long unknown = 0;
        while (!ended) {
            try {
                write.run();
            } catch (SwitchmasterException | JedisException failure) {
                unknown += Outcome.of(failure) == Outcome.UNKNOWN ? 1 : 0;
                continue;
            }
            long now = System.nanoTime();
            acknowledged++;
            if (last == 0) {
                System.out.println("ready");
            } else if (now - last >= PAUSE_NANOS) {
                System.out.println("pause " + last + " " + now);
            }
            last = now;
        }
        System.out.println("end " + acknowledged + " " + unknown);
    }
}
