package io.switchmaster.spring;

import io.micrometer.core.instrument.MeterRegistry;
import io.switchmaster.Factory;
import io.switchmaster.micrometer.SwitchmasterMetrics;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnBean;
import org.springframework.boot.autoconfigure.condition.ConditionalOnClass;
import org.springframework.boot.autoconfigure.condition.ConditionalOnMissingBean;
import org.springframework.boot.autoconfigure.condition.ConditionalOnSingleCandidate;
import org.springframework.context.annotation.Bean;

/** The factory's numbers in the registry of meters, where the application has one. */
@AutoConfiguration(
        after = SwitchmasterAutoConfiguration.class,
        afterName = {
            "org.springframework.boot.actuate.autoconfigure.metrics.CompositeMeterRegistryAutoConfiguration",
            "org.springframework.boot.micrometer.metrics.autoconfigure"
                    + ".CompositeMeterRegistryAutoConfiguration"
        })
@ConditionalOnClass(MeterRegistry.class)
@ConditionalOnBean(MeterRegistry.class)
@ConditionalOnSingleCandidate(Factory.class)
public class SwitchmasterMetricsAutoConfiguration {
    /** Made by Spring. */
    public SwitchmasterMetricsAutoConfiguration() {}

    /**
     * The meters. Boot binds them to its registries, as it does all such beans.
     *
     * @param factory that of the application
     * @return them
     */
    @Bean(destroyMethod = "close")
    @ConditionalOnMissingBean
    SwitchmasterMetrics switchmasterMetrics(Factory factory) {
        return new SwitchmasterMetrics(factory);
    }
}
