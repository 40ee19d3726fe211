package io.switchmaster.jedis;

import org.apache.commons.pool2.PooledObject;
import org.apache.commons.pool2.PooledObjectFactory;
import redis.clients.jedis.Jedis;

/** What the pool machinery is given that nobody is to use: it makes nothing. */
final class NoObjects implements PooledObjectFactory<Jedis> {
    @Override
    public PooledObject<Jedis> makeObject() {
        throw new UnsupportedOperationException("connections are made by the factory of a SwitchmasterPool");
    }

    @Override
    public void activateObject(PooledObject<Jedis> object) {}

    @Override
    public void passivateObject(PooledObject<Jedis> object) {}

    @Override
    public boolean validateObject(PooledObject<Jedis> object) {
        return false;
    }

    @Override
    public void destroyObject(PooledObject<Jedis> object) {}
}
