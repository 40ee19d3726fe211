package io.switchmaster;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The thread that fetches a factory's events and tells its listeners: there is one once there are any. */
final class EventPump {
    private static final Logger LOG = LoggerFactory.getLogger(Factory.class);

    /** Closing the factory ends the wait at once; this is for a clock that jumps. */
    private static final int TURN_MS = 10_000;

    private static final long END_MS = 1_000;

    private final long factory;
    private final List<EventListener> listeners = new CopyOnWriteArrayList<>();
    private final String name;
    private Thread thread;

    /** It knows its factory by number alone, so that a factory that nobody has any more can be found. */
    EventPump(long factory, String name) {
        this.factory = factory;
        this.name = name;
    }

    synchronized void add(EventListener listener) {
        listeners.add(listener);
        if (thread == null) {
            // From here on events are kept; a factory that is closed has none.
            Fault fault = new Fault();
            boolean over = Native.factoryNextEvent(factory, 0, fault.address()) == null && isOver(fault);
            if (!over) {
                thread = Daemon.start("switchmaster-events-" + name, this::run);
            }
        }
    }

    boolean remove(EventListener listener) {
        return listeners.remove(listener);
    }

    /**
     * Waits for the end of the thread, once the factory is closed: its class loader may go next. A listener
     * that takes long is not waited for to the end, nor one that closes the factory itself.
     */
    void end() {
        Thread ending;
        synchronized (this) {
            ending = thread;
        }
        if (ending == null || ending == Thread.currentThread()) {
            return;
        }
        try {
            ending.join(END_MS);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private static boolean isOver(Fault fault) {
        return fault.kind() == ErrorKind.CLOSED || fault.kind() == ErrorKind.DEAD;
    }

    /** Ends only when the factory is closed. */
    private void run() {
        Fault fault = new Fault();
        boolean over = false;
        while (!over) {
            try {
                byte[] event = Native.factoryNextEvent(factory, TURN_MS, fault.address());
                if (event != null) {
                    tell(Event.read(event));
                } else if (isOver(fault)) {
                    over = true;
                } else if (fault.kind() != ErrorKind.NOTHING) {
                    throw fault.exception();
                }
            } catch (Throwable failed) {
                warn("an event of the factory " + name + " is lost", failed);
                // A failure without an event, as for lack of memory, would repeat at once.
                LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(100));
            }
        }
    }

    /** A listener may throw anything, a checked exception too: Kotlin and Groovy know no difference. */
    private void tell(Event event) {
        for (EventListener listener : listeners) {
            try {
                listener.onEvent(event);
            } catch (Throwable failed) {
                warn("a listener failed at the event " + event, failed);
            }
        }
    }

    /** Writes to the log, which may fail as well. */
    private static void warn(String message, Throwable failed) {
        try {
            LOG.warn(message, failed);
        } catch (Throwable logFails) {
            // No logger is left that could report it.
        }
    }
}
