package io.switchmaster.jedis;

import io.switchmaster.Factory;
import redis.clients.jedis.RedisClient;

/**
 * Builds a {@link RedisClient} of Jedis 8 over a {@link SwitchmasterConnectionProvider}, and refuses client-side
 * caching, which only the connections that Jedis makes itself support:
 *
 * <pre>{@code
 * RedisClient redis = new SwitchmasterClientBuilder(factory, true).build();
 * }</pre>
 *
 * <p>The builder of Jedis accepts {@code cacheConfig} over RESP3 and ignores it: it hands the cache to no connection
 * provider.
 *
 * <p><b>Threads.</b> One at a time.
 */
public final class SwitchmasterClientBuilder extends RedisClient.Builder {
    /**
     * A builder over a factory.
     *
     * @param factory open
     * @param closesFactory whether it is closed with the client
     * @throws IllegalArgumentException when the factory speaks RESP3, and this version of Jedis does not
     */
    public SwitchmasterClientBuilder(Factory factory, boolean closesFactory) {
        connectionProvider(new SwitchmasterConnectionProvider(factory, closesFactory));
    }

    /**
     * Called by {@code build()} before anything else.
     *
     * @throws IllegalArgumentException when a cache is set
     */
    @Override
    protected void validateSpecificConfiguration() {
        if (cache != null || cacheConfig != null) {
            throw new IllegalArgumentException((cacheConfig != null ? "cacheConfig" : "cache")
                    + " cannot be used with switchmaster: client-side caching works only on connections that Jedis"
                    + " makes itself");
        }
        super.validateSpecificConfiguration();
    }
}
