package io.switchmaster.jedis;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import redis.clients.jedis.Jedis;

/** A Jedis that is given back by its close. */
final class LeasedJedis extends Jedis {
    private static final Logger LOG = LoggerFactory.getLogger(SwitchmasterPool.class);

    private final LeasedConnection leased;

    /** What the core selected, unless somebody selected another one since. */
    private final int database;

    private boolean selected;

    LeasedJedis(LeasedConnection leased, int database, int resp) {
        super(leased);
        this.leased = leased;
        this.database = database;
        if (resp == 3) {
            Versions.speakResp3(this);
        }
    }

    LeasedConnection leased() {
        return leased;
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

    /** Gives it back; a second time does nothing. */
    @Override
    public void close() {
        if (!leased.isOpen()) {
            return;
        }
        try {
            resetState();
        } catch (RuntimeException failed) {
            LOG.debug("{} is given back broken", this, failed);
            leased.setBroken();
        }
        leased.close();
    }
}
