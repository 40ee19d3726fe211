package io.switchmaster.jedis;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;

/** A way to a server on which it knows no HELLO, as those before Redis 6. */
final class OldServer implements AutoCloseable {
    private static final String HELLO = "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n";
    private static final String UNKNOWN = "*2\r\n$5\r\nHALLO\r\n$1\r\n3\r\n";

    private final ServerSocket listener;
    private final int server;
    private final Queue<Socket> sockets = new ConcurrentLinkedQueue<>();

    /** Leads to a server on loopback. */
    OldServer(String address) {
        server = Integer.parseInt(address.substring(address.lastIndexOf(':') + 1));
        try {
            listener = new ServerSocket(0, 50, InetAddress.getByName("127.0.0.1"));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        start(this::accept);
    }

    String address() {
        return "127.0.0.1:" + listener.getLocalPort();
    }

    private interface Work {
        void run() throws IOException;
    }

    private static void start(Work work) {
        Thread thread = new Thread(() -> {
            try {
                work.run();
            } catch (IOException ended) {
                // One side has closed it, which ends the other.
            }
        });
        thread.setDaemon(true);
        thread.start();
    }

    private void accept() throws IOException {
        while (true) {
            Socket client = listener.accept();
            Socket behind = new Socket("127.0.0.1", server);
            sockets.add(client);
            sockets.add(behind);
            start(() -> pass(client, behind));
            start(() -> pass(behind, client));
        }
    }

    private static void pass(Socket from, Socket to) throws IOException {
        try (from; to) {
            InputStream in = from.getInputStream();
            OutputStream out = to.getOutputStream();
            byte[] part = new byte[64 << 10];
            int length = in.read(part);
            while (length >= 0) {
                String text = new String(part, 0, length, StandardCharsets.ISO_8859_1).replace(HELLO, UNKNOWN);
                out.write(text.getBytes(StandardCharsets.ISO_8859_1));
                length = in.read(part);
            }
        }
    }

    @Override
    public void close() {
        try {
            listener.close();
            for (Socket socket : sockets) {
                socket.close();
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
