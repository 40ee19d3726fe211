package io.switchmaster.jedis;

import io.switchmaster.ErrorKind;
import io.switchmaster.Factory;
import io.switchmaster.Lease;
import io.switchmaster.SwitchmasterException;
import java.net.Socket;
import java.net.SocketException;
import java.util.concurrent.atomic.AtomicBoolean;
import redis.clients.jedis.JedisSocketFactory;
import redis.clients.jedis.exceptions.JedisConnectionException;

/**
 * Where a Connection gets its sockets: all of them pass through one lease, one at a time. A Connection asks for
 * another one when its own has failed; what was sent on that is over then, says the core.
 */
final class Link implements JedisSocketFactory {
    private final Lease lease;

    /** Whether somebody has it. Written before the lease is given back, and read after it is taken. */
    private final AtomicBoolean open = new AtomicBoolean();

    /** Whether the next socket needs another connection, with nothing of the last one's under way. */
    private boolean anew;

    /** Whether two threads used it at once. The other one may still do. */
    private boolean confused;

    private LeaseSocket socket;

    /** Commands that were sent or are about to be, less the replies that were read. */
    private int owed;

    Link(Lease lease) {
        this.lease = lease;
    }

    @Override
    public Socket createSocket() {
        checkOpen();
        if (confused) {
            throw new JedisConnectionException("two threads used this connection at once; close it, and take one"
                    + " for each thread");
        }
        if (anew) {
            try {
                lease.renew();
                anew = false;
            } catch (SwitchmasterException failed) {
                throw new JedisConnectionException(failed.getMessage(), failed);
            }
        }
        owed = 0;
        try {
            socket = new LeaseSocket(lease, this);
        } catch (SocketException impossible) {
            throw new JedisConnectionException(impossible);
        }
        return socket;
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

    void failed(SwitchmasterException failure) {
        confused |= failure.kind() == ErrorKind.BUSY;
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

    /** Gives the lease back; with what is on it for the next user, or without when it is not fit for that. */
    void giveBack(boolean broken) {
        if (!open.compareAndSet(true, false)) {
            // Another thread is just doing it.
            return;
        }
        if (broken || owed != 0) {
            if (socket != null) {
                socket.end();
            }
            lease.attach(null);
        }
        lease.release();
    }

    @Override
    public String toString() {
        return lease.factory().toString();
    }
}
