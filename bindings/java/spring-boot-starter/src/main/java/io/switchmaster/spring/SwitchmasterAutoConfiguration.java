package io.switchmaster.spring;

import io.switchmaster.Builder;
import io.switchmaster.Factory;
import org.springframework.beans.factory.ObjectProvider;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnMissingBean;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.boot.context.properties.EnableConfigurationProperties;
import org.springframework.context.annotation.Bean;

/**
 * A {@link Factory} from the properties, unless the application has one, or says
 * {@code switchmaster.enabled=false}.
 */
@AutoConfiguration
@ConditionalOnProperty(name = "switchmaster.enabled", matchIfMissing = true)
@EnableConfigurationProperties(SwitchmasterProperties.class)
public class SwitchmasterAutoConfiguration {
    /** Made by Spring. */
    public SwitchmasterAutoConfiguration() {}

    /**
     * The factory. The application starts when it is open: it waits for the first master, at most for
     * {@code switchmaster.connect-timeout}, and fails without one.
     *
     * @param properties what it is opened with
     * @param customizers what they set is set last
     * @return it, closed with the application
     */
    @Bean(destroyMethod = "close")
    @ConditionalOnMissingBean
    Factory switchmasterFactory(
            SwitchmasterProperties properties, ObjectProvider<SwitchmasterBuilderCustomizer> customizers) {
        Builder builder = Settings.of(properties);
        customizers.orderedStream().forEach(customizer -> customizer.customize(builder));
        return builder.build();
    }
}
