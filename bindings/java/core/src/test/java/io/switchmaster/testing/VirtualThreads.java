package io.switchmaster.testing;

import java.lang.reflect.InvocationTargetException;
import java.util.concurrent.ThreadFactory;

/** Virtual threads, from Java 21 on; these tests are compiled for 17. */
public final class VirtualThreads {
    private VirtualThreads() {}

    /**
     * Whether this Java has them.
     *
     * @return true from 21 on
     */
    public static boolean exist() {
        return Runtime.version().feature() >= 21;
    }

    /**
     * Makes them.
     *
     * @return a factory of threads that were not started
     */
    public static ThreadFactory factory() {
        try {
            Object builder = Thread.class.getMethod("ofVirtual").invoke(null);
            Class<?> type = Class.forName("java.lang.Thread$Builder");
            return (ThreadFactory) type.getMethod("factory").invoke(builder);
        } catch (NoSuchMethodException | IllegalAccessException | ClassNotFoundException missing) {
            throw new IllegalStateException("this Java has no virtual threads", missing);
        } catch (InvocationTargetException failed) {
            throw new IllegalStateException(failed);
        }
    }
}
