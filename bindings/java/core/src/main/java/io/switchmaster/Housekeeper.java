package io.switchmaster;

import java.lang.ref.Reference;
import java.lang.ref.ReferenceQueue;
import java.lang.ref.WeakReference;
import java.util.HashSet;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The thread that looks after all factories once a second: it gives idle connections back to the native
 * pools, looks for leaks, and closes factories that nobody has any more. It begins with the first factory and
 * ends with the last.
 */
final class Housekeeper {
    private static final Logger LOG = LoggerFactory.getLogger(Factory.class);

    private static final long TURN_MS = 1_000;

    /** Idle connections are given back each so many turns. */
    private static final int IDLE_TURNS = 10;

    private static final Object LOCK = new Object();
    private static final Set<Watched> FACTORIES = new HashSet<>();
    private static final ReferenceQueue<Factory> LOST = new ReferenceQueue<>();
    private static Thread thread;

    private Housekeeper() {}

    /** A factory, by what is known of it when nobody has it any more. */
    static final class Watched extends WeakReference<Factory> {
        private final long number;
        private final String name;
        private volatile PoolBean bean;

        private Watched(Factory factory) {
            super(factory, LOST);
            this.number = factory.number();
            this.name = factory.name();
        }

        void registered(PoolBean bean) {
            this.bean = bean;
        }
    }

    static Watched add(Factory factory) {
        Watched watched = new Watched(factory);
        synchronized (LOCK) {
            FACTORIES.add(watched);
            if (thread == null) {
                // It waits for the lock first, and finds itself there.
                thread = Daemon.start("switchmaster-housekeeper", Housekeeper::run);
            }
        }
        return watched;
    }

    /** The factory is closed. */
    static void remove(Watched watched) {
        synchronized (LOCK) {
            if (FACTORIES.remove(watched) && FACTORIES.isEmpty()) {
                Poller.end();
                thread = null;
                LOCK.notifyAll();
            }
        }
    }

    private static void run() {
        for (int turn = 1; await(); turn++) {
            for (Factory factory : factories()) {
                boolean idle = turn % IDLE_TURNS == 0;
                survive(() -> factory.lookAfter(idle));
            }
            for (Reference<?> lost = LOST.poll(); lost != null; lost = LOST.poll()) {
                Watched watched = (Watched) lost;
                survive(() -> close(watched));
                remove(watched);
            }
        }
    }

    private static void close(Watched watched) {
        Native.factoryClose(watched.number);
        LOG.warn("the factory {} was never closed, and nobody has it any more; it is closed now", watched.name);
        if (watched.bean != null) {
            watched.bean.unregister();
        }
    }

    /** One factory's trouble, a log that fails or no memory, is not that of the others. */
    private static void survive(Runnable work) {
        try {
            work.run();
        } catch (Throwable failed) {
            try {
                LOG.warn("looking after a factory failed", failed);
            } catch (Throwable logFails) {
                // There is nobody left to tell.
            }
        }
    }

    /** Waits for a turn; false when there is no more to do. */
    private static boolean await() {
        synchronized (LOCK) {
            if (thread == Thread.currentThread()) {
                try {
                    LOCK.wait(TURN_MS);
                } catch (InterruptedException nobodyDoes) {
                    // It is a turn early.
                }
            }
            return thread == Thread.currentThread();
        }
    }

    private static Factory[] factories() {
        synchronized (LOCK) {
            return FACTORIES.stream().map(Watched::get).filter(it -> it != null).toArray(Factory[]::new);
        }
    }
}
