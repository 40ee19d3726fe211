package io.switchmaster.jedis;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.switchmaster.Factory;
import io.switchmaster.Lease;
import io.switchmaster.testing.Sandbox;
import java.io.IOException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.StandardSocketOptions;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** A socket that has none below. */
final class LeaseSocketTest {
    @Test
    void everything_is_answered_by_itself() {
        // What the platform's Socket answers would open a descriptor that nobody closes.
        Set<String> harmless = Set.of("setPerformancePreferences");
        for (Method method : Socket.class.getDeclaredMethods()) {
            int modifiers = method.getModifiers();
            if (Modifier.isPublic(modifiers) && !Modifier.isStatic(modifiers) && !method.isSynthetic()
                    && !harmless.contains(method.getName())) {
                try {
                    assertNotNull(LeaseSocket.class.getDeclaredMethod(method.getName(), method.getParameterTypes()));
                } catch (NoSuchMethodException missing) {
                    throw new AssertionError("not overridden: " + method, missing);
                }
            }
        }
    }

    @Test
    void bytes_pass_through_it_until_it_is_closed() throws IOException {
        try (Sandbox sandbox = Sandbox.start(); Factory factory = Factory.open(sandbox.url() + "?protocol=2")) {
            Lease lease = factory.lease(-1);
            Link link = Link.of(lease);
            link.open();
            LeaseSocket socket = (LeaseSocket) link.createSocket();
            assertTrue(socket.isConnected() && socket.isBound() && !socket.isClosed() && !socket.isInputShutdown());
            socket.getOutputStream().write('*');
            socket.getOutputStream().write("1\r\n$4\r\nPING\r\n".getBytes(StandardCharsets.UTF_8));
            assertEquals('+', socket.getInputStream().read());
            byte[] rest = new byte[6];
            assertEquals(0, socket.getInputStream().read(rest, 0, 0));
            assertEquals("PONG\r\n", new String(socket.getInputStream().readNBytes(6), StandardCharsets.UTF_8));

            socket.setSoTimeout(12);
            assertEquals(12, socket.getSoTimeout());
            assertEquals(sandbox.firstMaster(), socket.getRemoteSocketAddress().toString().replace("/<unresolved>", ""));
            assertEquals(((InetSocketAddress) socket.getRemoteSocketAddress()).getPort(), socket.getPort());
            for (ThrowingRunnable call : List.<ThrowingRunnable>of(
                    () -> socket.connect(new InetSocketAddress("127.0.0.1", 1)),
                    () -> socket.bind(null),
                    () -> socket.sendUrgentData(1))) {
                assertThrows(IOException.class, call::run);
            }
            assertThrows(UnsupportedOperationException.class,
                    () -> socket.setOption(StandardSocketOptions.TCP_NODELAY, true));
            assertTrue(socket.getTcpNoDelay());

            socket.close();
            socket.close();
            assertTrue(socket.isClosed() && socket.isOutputShutdown());
            assertThrows(IOException.class, () -> socket.getOutputStream().write(1));
            assertThrows(IOException.class, () -> socket.getInputStream().read());
            assertTrue(socket.toString().contains("closed"), socket.toString());
            link.giveBack(true);
        }
    }

    private interface ThrowingRunnable {
        void run() throws IOException;
    }
}
