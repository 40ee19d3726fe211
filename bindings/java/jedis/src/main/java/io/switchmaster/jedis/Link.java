package io.switchmaster.jedis;

import io.switchmaster.ErrorKind;
import io.switchmaster.Factory;
import io.switchmaster.Lease;
import io.switchmaster.Outcome;
import io.switchmaster.SwitchmasterException;
import java.net.Socket;
import java.net.SocketException;
import java.util.concurrent.atomic.AtomicBoolean;
import redis.clients.jedis.DefaultJedisSocketFactory;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.exceptions.JedisConnectionException;

/**
 * The sockets of a Connection: all of them pass through one lease, one at a time. A Connection asks for
 * another one when its own has failed; what was sent on that is over then, says the core.
 *
 * <p>A DefaultJedisSocketFactory, because Connection.getHostAndPort casts to it.
 */
final class Link extends DefaultJedisSocketFactory {
    private final Lease lease;

    /** True when it serves a single use. */
    private final boolean single;

    /** True while it is in use. Written before the lease is returned, and read after it is taken. */
    private final AtomicBoolean open = new AtomicBoolean();

    /** True when it answers the handshake of a Jedis. */
    private boolean greets;

    /** Whether the next socket needs another connection, with nothing of the last one's under way. */
    private boolean anew;

    /** The reason why this use of the connection cannot go on; null while it can. */
    private volatile String refusal;

    /** The protocol that replies are decoded as. */
    private int agreed = 2;

    private LeaseSocket socket;

    /** Commands that were sent or are about to be, less the replies that were read. */
    private int owed;

    private Link(Lease lease, boolean single) {
        this.lease = lease;
        this.single = single;
    }

    /** The link of a Connection that stays with its lease. */
    static Link of(Lease lease) {
        return new Link(lease, false);
    }

    /** An open link for one use, whose first socket answers the handshake of a Jedis. */
    static Link single(Lease lease) {
        Link link = new Link(lease, true);
        link.greets = true;
        link.agreed = 3;
        link.open();
        return link;
    }

    @Override
    public Socket createSocket() {
        checkOpen();
        try {
            if (greets) {
                greets = false;
                return new Greeting();
            }
            if (refusal != null) {
                throw new JedisConnectionException(refusal);
            }
            if (anew) {
                lease.renew();
                anew = false;
            }
            owed = 0;
            socket = new LeaseSocket(lease, this);
            return socket;
        } catch (SwitchmasterException failed) {
            throw new JedisConnectionException(failed.getMessage(), failed);
        } catch (SocketException impossible) {
            throw new JedisConnectionException(impossible);
        }
    }

    /** Ends a socket that has failed, so that its Connection asks for another one. */
    void retireFailed() {
        LeaseSocket last = socket;
        if (last != null && last.hasFailed()) {
            last.end();
        }
    }

    void checkOpen() {
        if (!open.get()) {
            throw Failures.givenBack();
        }
    }

    boolean isOpen() {
        return open.get();
    }

    void open() {
        open.set(true);
    }

    /** Returns true while its Connection counts as connected: from its first socket to its end. */
    boolean isConnected() {
        LeaseSocket last = socket;
        return last != null && last.isUp() && (open.get() || !lease.factory().isClosed());
    }

    /** Returns true when its Connection asks for another socket only after this one is closed. */
    boolean isSingle() {
        return single;
    }

    void sent() {
        owed++;
    }

    void read() {
        owed--;
    }

    /** A command goes out whose replies are waited for while other commands are sent. */
    void share() {
        lease.share();
    }

    /**
     * Fixes the decoding of replies until the end of this use: the protocol that server and core agreed on.
     *
     * @return 2 or 3
     */
    int agree() {
        refusal = null;
        agreed = protocol(lease);
        return agreed;
    }

    int agreed() {
        return agreed;
    }

    /**
     * Returns the protocol that the connection of a lease speaks, which may differ from the factory's.
     * Blocks for a connection where there is none at the moment, or it would move with the next command.
     */
    static int protocol(Lease lease) {
        if (lease.factory().protocol() == 2) {
            return 2;
        }
        if (!lease.isCurrent()) {
            lease.renew();
        }
        return lease.protocol();
    }

    /** Fails when the reply needs another decoding than the agreed one. */
    void checkProtocol() {
        if (lease.factory().protocol() == 2) {
            return;
        }
        int spoken = lease.protocol();
        if (spoken != 0 && spoken != agreed) {
            refusal = "the master was replaced by one that speaks RESP" + spoken + ", and replies are expected as RESP"
                    + agreed + "; close this connection and take another one, or open the factory with protocol(2)";
            throw new SwitchmasterException(ErrorKind.PROTOCOL, Outcome.UNKNOWN, refusal, null);
        }
    }

    void failed(SwitchmasterException failure) {
        if (failure.kind() == ErrorKind.BUSY) {
            // The other thread may still use it.
            refusal = "two threads used this connection at once; close it, and take one for each thread";
        }
    }

    void disconnected() {
        anew = true;
    }

    Factory factory() {
        return lease.factory();
    }

    String master() {
        try {
            return lease.factory().master().orElse(null);
        } catch (SwitchmasterException closed) {
            return null;
        }
    }

    /** The address of the master, as the sentinels announce it; null when none is known. */
    @Override
    public HostAndPort getHostAndPort() {
        String master = master();
        return master == null ? null : SwitchmasterPool.address(master);
    }

    /** Refuses: the factory decides where its connections lead. */
    @Override
    public void updateHostAndPort(HostAndPort address) {
        throw new UnsupportedOperationException("the factory follows the master at any address");
    }

    /** Returns the lease; the next user gets its attachment, unless that is unfit. */
    void giveBack(boolean broken) {
        if (!open.compareAndSet(true, false)) {
            // Another thread is just doing it.
            return;
        }
        if (broken || owed != 0) {
            LeaseSocket last = socket;
            if (last != null) {
                last.end();
            }
            if (!single) {
                lease.attach(null);
            }
        }
        lease.release();
    }

    @Override
    public String toString() {
        return lease.factory().toString();
    }
}
