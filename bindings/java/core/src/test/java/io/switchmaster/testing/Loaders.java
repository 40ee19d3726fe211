package io.switchmaster.testing;

import java.net.URI;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Class loaders with classes of their own, as a server has one for each application. */
public final class Loaders {
    private Loaders() {}

    /**
     * One that has nothing but what these classes come from, beside the platform.
     *
     * @param classes one of each folder or jar
     * @return it, to be closed
     */
    public static URLClassLoader of(Class<?>... classes) {
        List<URL> places = new ArrayList<>();
        for (Class<?> one : classes) {
            places.add(place(one));
        }
        return new URLClassLoader(places.toArray(URL[]::new), ClassLoader.getPlatformClassLoader());
    }

    private static URL place(Class<?> one) {
        return one.getProtectionDomain().getCodeSource().getLocation();
    }

    /**
     * Where a class comes from.
     *
     * @param one the class
     * @return its folder or jar
     */
    public static Path of(Class<?> one) {
        return Path.of(URI.create(place(one).toString()));
    }
}
