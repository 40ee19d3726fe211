package io.switchmaster.jedis;

import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.Socket;
import java.net.SocketException;
import java.net.SocketImpl;
import java.nio.charset.StandardCharsets;
import redis.clients.jedis.ClientSetInfoConfig;
import redis.clients.jedis.JedisClientConfig;
import redis.clients.jedis.RedisProtocol;

/**
 * The handshake from which a Jedis learns that it speaks RESP3. The core has agreed on that with the server
 * already, so {@code HELLO 3} is answered here, and no byte is sent.
 */
final class Greeting extends Socket {
    private static final byte[] RESP3 =
            "%3\r\n+server\r\n+redis\r\n+version\r\n+7.0.0\r\n+proto\r\n:3\r\n".getBytes(StandardCharsets.US_ASCII);

    private final InputStream input = new ByteArrayInputStream(RESP3);

    private boolean closed;

    Greeting() throws SocketException {
        super((SocketImpl) null);
    }

    /** A configuration whose handshake is {@code HELLO 3}, and no more. */
    static JedisClientConfig config() {
        return new JedisClientConfig() {
            @Override
            public RedisProtocol getRedisProtocol() {
                return RedisProtocol.RESP3;
            }

            @Override
            public ClientSetInfoConfig getClientSetInfoConfig() {
                return ClientSetInfoConfig.DISABLED;
            }
        };
    }

    @Override
    public InputStream getInputStream() {
        return input;
    }

    @Override
    public OutputStream getOutputStream() {
        return OutputStream.nullOutputStream();
    }

    @Override
    public void setSoTimeout(int millis) {}

    @Override
    public int getSoTimeout() {
        return 0;
    }

    @Override
    public boolean isBound() {
        return true;
    }

    @Override
    public boolean isConnected() {
        return true;
    }

    @Override
    public boolean isClosed() {
        return closed;
    }

    @Override
    public boolean isInputShutdown() {
        return closed;
    }

    @Override
    public boolean isOutputShutdown() {
        return closed;
    }

    @Override
    public void close() {
        closed = true;
    }
}
