package io.switchmaster.bench;

import java.io.IOException;
import java.net.ServerSocket;
import java.util.Arrays;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.exceptions.JedisConnectionException;

/** A server of our own on a free port, with the values that are read, and a sentinel that names it. */
final class Server implements AutoCloseable {
    private final Process process;
    private final int port;
    private final FakeSentinel sentinel;

    private Server(Process process, int port, FakeSentinel sentinel) {
        this.process = process;
        this.port = port;
        this.sentinel = sentinel;
    }

    static Server start() throws IOException {
        int port;
        try (ServerSocket free = new ServerSocket(0)) {
            port = free.getLocalPort();
        }
        Process process = new ProcessBuilder("redis-server", "--port", Integer.toString(port), "--save", "",
                "--bind", "127.0.0.1", "--protected-mode", "no", "--logfile", "/dev/null").start();
        fill(port);
        String program = System.getProperty("contender", "target/release/examples/contender");
        return new Server(process, port, FakeSentinel.start(program, port));
    }

    private static void fill(int port) {
        byte[] large = new byte[Work.LONG];
        Arrays.fill(large, (byte) 'v');
        for (int attempt = 0; ; attempt++) {
            try (Jedis jedis = new Jedis("127.0.0.1", port)) {
                for (byte[] key : Work.KEYS) {
                    jedis.set(key, Work.VALUE);
                }
                jedis.set(Work.KEY_LONG, large);
                return;
            } catch (JedisConnectionException notYet) {
                if (attempt == 200) {
                    throw notYet;
                }
                try {
                    Thread.sleep(25);
                } catch (InterruptedException interrupted) {
                    throw new IllegalStateException(interrupted);
                }
            }
        }
    }

    int port() {
        return port;
    }

    String sentinel() {
        return sentinel.address();
    }

    @Override
    public void close() {
        sentinel.close();
        process.destroy();
    }
}
