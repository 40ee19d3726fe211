package io.switchmaster.jedis;

import io.switchmaster.Lease;
import io.switchmaster.SwitchmasterException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketAddress;
import java.net.SocketException;
import java.net.SocketImpl;
import java.net.SocketOption;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.Set;

/**
 * A socket whose bytes pass through a lease. It has no descriptor: everything that a Socket would ask one for
 * is answered here.
 *
 * <p>After its first failure it takes and gives no more. Jedis keeps bytes that were refused in a buffer and would
 * send them with its next flush; here they meet a socket that takes no more.
 */
final class LeaseSocket extends Socket {
    /** No name of a command lies further behind. */
    private static final int COMMAND = 32;

    private final Lease lease;
    private final Link link;
    private final InputStream input = new Input();
    private final OutputStream output = new Output();

    /** Why it takes no more; kept to be told again. */
    private volatile SwitchmasterException failure;

    private volatile boolean closed;

    private int soTimeout;

    LeaseSocket(Lease lease, Link link) throws SocketException {
        super((SocketImpl) null);
        this.lease = lease;
        this.link = link;
    }

    private final class Input extends InputStream {
        private final byte[] single = new byte[1];

        @Override
        public int read() throws IOException {
            return read(single, 0, 1) < 0 ? -1 : single[0] & 0xff;
        }

        @Override
        public int read(byte[] into, int from, int length) throws IOException {
            if (isOver()) {
                throw over();
            }
            if (length == 0) {
                return 0;
            }
            try {
                int received = lease.receive(into, from, length);
                link.checkProtocol();
                return received;
            } catch (SwitchmasterException failed) {
                throw end(failed);
            }
        }
    }

    private final class Output extends OutputStream {
        @Override
        public void write(int single) throws IOException {
            write(new byte[] {(byte) single}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int from, int length) throws IOException {
            if (isOver()) {
                throw over();
            }
            if (link.isSingle() && subscribes(bytes, from, length)) {
                lease.share();
            }
            try {
                lease.send(bytes, from, length);
            } catch (SwitchmasterException failed) {
                throw end(failed);
            }
        }
    }

    /** Returns true for a command whose replies are waited for while other commands are sent. */
    private static boolean subscribes(byte[] bytes, int from, int length) {
        return new String(bytes, from, Math.min(length, COMMAND), StandardCharsets.ISO_8859_1)
                .contains("SUBSCRIBE\r\n");
    }

    private IOException end(SwitchmasterException failed) {
        failure = failed;
        link.failed(failed);
        return Failures.ofSocket(failed);
    }

    /** Returns true when it takes no more bytes. After the return of its lease, another use owns the stream. */
    private boolean isOver() {
        return closed || failure != null || !link.isOpen();
    }

    private IOException over() {
        SwitchmasterException failed = failure;
        if (failed != null) {
            return Failures.ofSocket(failed);
        }
        if (!link.isOpen()) {
            return Failures.ofSocket(SwitchmasterException.in(Failures.givenBack()));
        }
        return new SocketException("this socket was closed");
    }

    boolean hasFailed() {
        return failure != null;
    }

    /** Returns true until it is closed, even when it has failed. */
    boolean isUp() {
        return !closed;
    }

    /** It takes no more. */
    void end() {
        closed = true;
    }

    /** Somebody wants the connection to be closed, which is begun anew with the next command then. */
    @Override
    public void close() {
        if (!closed) {
            closed = true;
            link.disconnected();
        }
    }

    @Override
    public InputStream getInputStream() {
        return input;
    }

    @Override
    public OutputStream getOutputStream() {
        return output;
    }

    /**
     * After a failure, too, only where its Connection asks for the next one by itself: for its user it stays
     * connected until it is closed, as any socket that has failed.
     */
    @Override
    public boolean isClosed() {
        return closed || (link.isSingle() && failure != null);
    }

    @Override
    public boolean isConnected() {
        return true;
    }

    @Override
    public boolean isBound() {
        return true;
    }

    @Override
    public boolean isInputShutdown() {
        return closed;
    }

    @Override
    public boolean isOutputShutdown() {
        return closed;
    }

    /** Remembered, and no more: the deadlines are the factory's. */
    @Override
    public void setSoTimeout(int millis) {
        soTimeout = millis;
    }

    @Override
    public int getSoTimeout() {
        return soTimeout;
    }

    @Override
    public void shutdownInput() {
        close();
    }

    @Override
    public void shutdownOutput() {
        close();
    }

    /** The master's, as the sentinels announce it; null when none is known. */
    @Override
    public SocketAddress getRemoteSocketAddress() {
        String master = link.master();
        int colon = master == null ? -1 : master.lastIndexOf(':');
        return colon < 0 ? null : InetSocketAddress.createUnresolved(
                master.substring(0, colon), Integer.parseInt(master.substring(colon + 1)));
    }

    @Override
    public SocketAddress getLocalSocketAddress() {
        return null;
    }

    @Override
    public InetAddress getInetAddress() {
        return null;
    }

    @Override
    public InetAddress getLocalAddress() {
        return InetAddress.getLoopbackAddress();
    }

    @Override
    public int getPort() {
        InetSocketAddress remote = (InetSocketAddress) getRemoteSocketAddress();
        return remote == null ? 0 : remote.getPort();
    }

    @Override
    public int getLocalPort() {
        return -1;
    }

    @Override
    public SocketChannel getChannel() {
        return null;
    }

    @Override
    public void connect(SocketAddress endpoint) throws IOException {
        connect(endpoint, 0);
    }

    @Override
    public void connect(SocketAddress endpoint, int timeout) throws IOException {
        throw new SocketException("this socket is connected by its factory");
    }

    @Override
    public void bind(SocketAddress local) throws IOException {
        throw new SocketException("this socket is connected by its factory");
    }

    @Override
    public void sendUrgentData(int data) throws IOException {
        throw new SocketException("urgent data is not supported");
    }

    // The core sets what its sockets need; what is asked for here is what it does.

    @Override
    public void setTcpNoDelay(boolean on) {}

    @Override
    public boolean getTcpNoDelay() {
        return true;
    }

    @Override
    public void setKeepAlive(boolean on) {}

    @Override
    public boolean getKeepAlive() {
        return true;
    }

    @Override
    public void setSoLinger(boolean on, int linger) {}

    @Override
    public int getSoLinger() {
        return -1;
    }

    @Override
    public void setOOBInline(boolean on) {}

    @Override
    public boolean getOOBInline() {
        return false;
    }

    @Override
    public void setSendBufferSize(int size) {}

    @Override
    public int getSendBufferSize() {
        return 0;
    }

    @Override
    public void setReceiveBufferSize(int size) {}

    @Override
    public int getReceiveBufferSize() {
        return 0;
    }

    @Override
    public void setTrafficClass(int trafficClass) {}

    @Override
    public int getTrafficClass() {
        return 0;
    }

    @Override
    public void setReuseAddress(boolean on) {}

    @Override
    public boolean getReuseAddress() {
        return false;
    }

    @Override
    public <T> Socket setOption(SocketOption<T> name, T value) {
        throw new UnsupportedOperationException(name + " is the factory's to set");
    }

    @Override
    public <T> T getOption(SocketOption<T> name) {
        throw new UnsupportedOperationException(name + " is the factory's to set");
    }

    @Override
    public Set<SocketOption<?>> supportedOptions() {
        return Collections.emptySet();
    }

    @Override
    public String toString() {
        return "LeaseSocket{" + link + (closed ? ", closed" : "") + "}";
    }
}
