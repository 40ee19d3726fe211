package io.switchmaster.spring;

import io.switchmaster.Factory;
import io.switchmaster.jedis.SwitchmasterPool;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnClass;
import org.springframework.boot.autoconfigure.condition.ConditionalOnMissingBean;
import org.springframework.boot.autoconfigure.condition.ConditionalOnSingleCandidate;
import org.springframework.context.annotation.Bean;
import redis.clients.jedis.Jedis;

/** A {@link SwitchmasterPool} over the factory, where {@code switchmaster-jedis} is on the class path. */
@AutoConfiguration(after = SwitchmasterAutoConfiguration.class)
@ConditionalOnClass({SwitchmasterPool.class, Jedis.class})
@ConditionalOnSingleCandidate(Factory.class)
public class SwitchmasterJedisAutoConfiguration {
    /** Made by Spring. */
    public SwitchmasterJedisAutoConfiguration() {}

    /**
     * The pool. Others may use the factory, too; they share its connections.
     *
     * @param factory that of the application
     * @return it, closed with the application, before the factory
     */
    @Bean(destroyMethod = "close")
    @ConditionalOnMissingBean
    SwitchmasterPool switchmasterPool(Factory factory) {
        return new SwitchmasterPool(factory);
    }
}
