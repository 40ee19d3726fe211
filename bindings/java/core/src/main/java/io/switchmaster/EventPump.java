package io.switchmaster;

import java.lang.ref.Reference;
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
            // From here on events are kept.
            Fault fault = new Fault();
            Native.factoryNextEvent(factory, 0, fault.address());
            Reference.reachabilityFence(fault);
            thread = Daemon.start("switchmaster-events-" + name, this::run);
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

    private void run() {
        Fault fault = new Fault();
        while (true) {
            byte[] event = Native.factoryNextEvent(factory, TURN_MS, fault.address());
            if (event != null) {
                tell(event);
            } else if (fault.kind() == ErrorKind.CLOSED || fault.kind() == ErrorKind.DEAD) {
                return;
            } else if (fault.kind() != ErrorKind.NOTHING) {
                LOG.warn("the events of {} cannot be fetched", name, fault.exception());
                LockSupport.parkNanos(TimeUnit.SECONDS.toNanos(1));
            }
        }
    }

    private void tell(byte[] bytes) {
        try {
            tell(Event.read(bytes));
        } catch (RuntimeException unreadable) {
            LOG.warn("an event of {} cannot be read", name, unreadable);
        }
    }

    private void tell(Event event) {
        for (EventListener listener : listeners) {
            try {
                listener.onEvent(event);
            } catch (RuntimeException | AssertionError | LinkageError failed) {
                LOG.warn("a listener failed at the event {}", event, failed);
            }
        }
    }
}
