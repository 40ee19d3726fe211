package io.switchmaster.spring;

import io.switchmaster.Builder;

/** A bean that sets what properties cannot: it is called before the factory is opened. */
@FunctionalInterface
public interface SwitchmasterBuilderCustomizer {
    /**
     * Sets something.
     *
     * @param builder has what the properties say
     */
    void customize(Builder builder);
}
