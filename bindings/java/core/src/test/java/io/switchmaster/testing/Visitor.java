package io.switchmaster.testing;

import io.switchmaster.Factory;
import io.switchmaster.Handle;
import java.util.function.Function;

/** What a program does that has class loaders of its own: it is run in one, by its name. */
public final class Visitor implements Function<String, String> {
    /** Begins with nothing. */
    public Visitor() {}

    /**
     * Opens a factory, sends a command, has events told, and closes it.
     *
     * @param url of a service
     * @return what the command replied
     */
    @Override
    public String apply(String url) {
        try (Factory factory = Factory.builder(url).name("visitor").registerMBean(true).build()) {
            factory.addListener(event -> {});
            try (Handle redis = factory.get()) {
                return redis.command("PING").asString();
            }
        }
    }
}
