package io.switchmaster;

/** Is told what happens to a service: see {@link Factory#addListener}. */
@FunctionalInterface
public interface EventListener {
    /**
     * Something happened. All listeners of a factory are called by one thread of its own, one after another;
     * one that takes long delays the others and no command. What it throws is logged.
     *
     * @param event what
     */
    void onEvent(Event event);
}
