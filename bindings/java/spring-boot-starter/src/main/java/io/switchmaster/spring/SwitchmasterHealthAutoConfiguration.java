package io.switchmaster.spring;

import io.switchmaster.Factory;
import org.springframework.boot.actuate.autoconfigure.health.ConditionalOnEnabledHealthIndicator;
import org.springframework.boot.actuate.health.AbstractHealthIndicator;
import org.springframework.boot.actuate.health.Health;
import org.springframework.boot.actuate.health.HealthIndicator;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnClass;
import org.springframework.boot.autoconfigure.condition.ConditionalOnMissingBean;
import org.springframework.boot.autoconfigure.condition.ConditionalOnSingleCandidate;
import org.springframework.context.annotation.Bean;

/** The health indicator {@code switchmaster} of Spring Boot 3, where the actuator is on the class path. */
@AutoConfiguration(after = SwitchmasterAutoConfiguration.class)
@ConditionalOnClass({HealthIndicator.class, ConditionalOnEnabledHealthIndicator.class})
@ConditionalOnSingleCandidate(Factory.class)
public class SwitchmasterHealthAutoConfiguration {
    /** Made by Spring. */
    public SwitchmasterHealthAutoConfiguration() {}

    /**
     * UP while there is a master that most sentinels can reach, DOWN otherwise, with master, generation,
     * agreement of the sentinels and fence. It asks nobody, and blocks for some microseconds.
     *
     * @param factory that of the application
     * @return the indicator
     */
    @Bean
    @ConditionalOnEnabledHealthIndicator("switchmaster")
    @ConditionalOnMissingBean(name = "switchmasterHealthIndicator")
    HealthIndicator switchmasterHealthIndicator(Factory factory) {
        return new Indicator(factory);
    }

    private static final class Indicator extends AbstractHealthIndicator {
        private final Factory factory;

        private Indicator(Factory factory) {
            this.factory = factory;
        }

        @Override
        protected void doHealthCheck(Health.Builder builder) {
            ServiceHealth now = ServiceHealth.of(factory);
            builder.status(now.up() ? "UP" : "DOWN").withDetails(now.details());
        }
    }
}
