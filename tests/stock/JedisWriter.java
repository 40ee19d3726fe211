import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisSentinelPool;

/**
 * Writes by a JedisSentinelPool, as its users do: a Jedis from the pool for each write.
 *
 * <p>usage: JedisWriter SERVICE LIST HOST:PORT...
 *
 * <p>Prints {@code ack VALUE} for every write that was acknowledged, and {@code err TEXT} for every other, until
 * its input ends.
 */
@SuppressWarnings("deprecation") // It is what is in use.
public final class JedisWriter {
    private static final int WRITERS = 4;
    private static final int PAUSE_MS = 2;

    private static volatile boolean ended;

    private JedisWriter() {}

    public static void main(String[] arguments) throws Exception {
        String name = arguments[1];
        Set<String> sentinels = new TreeSet<>(List.of(arguments).subList(2, arguments.length));
        try (JedisSentinelPool pool = new JedisSentinelPool(arguments[0], sentinels)) {
            List<Thread> threads = new ArrayList<>();
            for (int writer = 0; writer < WRITERS; writer++) {
                String key = name + ":" + writer;
                Thread thread = new Thread(() -> write(pool, key));
                thread.start();
                threads.add(thread);
            }
            while (System.in.read() >= 0) {
                // Until it ends.
            }
            ended = true;
            for (Thread thread : threads) {
                thread.join();
            }
        }
    }

    private static void write(JedisSentinelPool pool, String key) {
        for (long number = 0; !ended; number++) {
            String value = key + ":" + number;
            try (Jedis jedis = pool.getResource()) {
                jedis.rpush(key, value);
                tell("ack " + value);
            } catch (RuntimeException error) {
                tell("err " + error.toString().lines().findFirst().orElse(""));
            }
            try {
                Thread.sleep(PAUSE_MS);
            } catch (InterruptedException interrupted) {
                return;
            }
        }
    }

    private static synchronized void tell(String line) {
        System.out.println(line);
    }
}
