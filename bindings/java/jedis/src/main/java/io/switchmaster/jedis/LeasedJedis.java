package io.switchmaster.jedis;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import redis.clients.jedis.Jedis;

/** A Jedis whose close returns its lease. */
final class LeasedJedis extends Jedis {
    private static final Logger LOG = LoggerFactory.getLogger(SwitchmasterPool.class);

    private final Link link;

    /** The database that the core selected; another one is in use after a select. */
    private final int database;

    private boolean selected;

    /** A Jedis over RESP2, its default protocol. It stays with its connection. */
    LeasedJedis(LeasedConnection leased, Link link) {
        super(leased);
        this.link = link;
        this.database = link.factory().database();
    }

    /**
     * A Jedis over RESP3, for one use. It learns its protocol only from a handshake with a configuration, which
     * makes a Connection of its own: one that cannot refuse what comes after its close, so it is not used again.
     */
    LeasedJedis(Link link) {
        super(link, Greeting.config());
        this.link = link;
        this.database = link.factory().database();
        connection.disconnect();
        connection.connect();
    }

    Link link() {
        return link;
    }

    /** True also after a failure, until it is closed or disconnected, as of every Jedis. */
    @Override
    public boolean isConnected() {
        return link.isConnected();
    }

    @Override
    public void disconnect() {
        super.disconnect();
        link.retireFailed();
    }

    @Override
    public String select(int index) {
        String reply = super.select(index);
        selected = true;
        return reply;
    }

    @Override
    public int getDB() {
        return selected ? super.getDB() : database;
    }

    /** Returns the lease; a second call does nothing. */
    @Override
    public void close() {
        if (!link.isOpen()) {
            return;
        }
        if (!isBroken()) {
            try {
                resetState();
            } catch (RuntimeException failed) {
                LOG.debug("{} is returned broken", this, failed);
                connection.setBroken();
            }
        }
        if (link.factory().isClosed()) {
            connection.setBroken();
        }
        link.giveBack(isBroken());
    }

    /** Returns the lease of a Jedis that must not be used again. */
    void closeBroken() {
        if (link.isOpen()) {
            connection.setBroken();
            link.giveBack(true);
        }
    }
}
