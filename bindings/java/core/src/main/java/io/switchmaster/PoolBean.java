package io.switchmaster;

import java.lang.management.ManagementFactory;
import java.lang.ref.WeakReference;
import java.util.function.Function;
import java.util.function.ToLongFunction;
import javax.management.InstanceAlreadyExistsException;
import javax.management.InstanceNotFoundException;
import javax.management.JMException;
import javax.management.MBeanServer;
import javax.management.ObjectName;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A factory's bean. The server of beans keeps it, so it has its factory weakly: one that nobody has any more
 * is to be found.
 */
final class PoolBean implements PoolMXBean {
    private static final Logger LOG = LoggerFactory.getLogger(Factory.class);

    private final WeakReference<Factory> factory;
    private final MBeanServer server;
    private ObjectName registered;

    private PoolBean(Factory factory, MBeanServer server) {
        this.factory = new WeakReference<>(factory);
        this.server = server;
    }

    /** A program runs without its bean, too: what goes wrong is logged. */
    static PoolBean register(Factory factory) {
        PoolBean bean = new PoolBean(factory, ManagementFactory.getPlatformMBeanServer());
        String name = "io.switchmaster:type=Pool,name=" + quoted(factory.name());
        try {
            bean.register(name);
        } catch (JMException failed) {
            LOG.warn("the bean {} cannot be registered", name, failed);
        }
        return bean;
    }

    /** Factories may have the same name, in two class loaders too: the server knows which names are free. */
    private void register(String name) throws JMException {
        for (int instance = 1; registered == null; instance++) {
            ObjectName free = new ObjectName(instance == 1 ? name : name + ",instance=" + instance);
            try {
                server.registerMBean(this, free);
                registered = free;
            } catch (InstanceAlreadyExistsException taken) {
                LOG.debug("there is a bean {} already", free);
            }
        }
    }

    /** As the name's value: quoted where it has letters that mean something there. */
    private static String quoted(String name) {
        String special = ",=:\"*?\n\\";
        boolean plain = !name.isEmpty() && name.chars().noneMatch(letter -> special.indexOf(letter) >= 0);
        return plain ? name : ObjectName.quote(name);
    }

    void unregister() {
        try {
            if (registered != null) {
                server.unregisterMBean(registered);
            }
        } catch (InstanceNotFoundException gone) {
            LOG.debug("somebody else has unregistered the bean {}", registered);
        } catch (JMException failed) {
            LOG.warn("the bean {} cannot be unregistered", registered, failed);
        }
    }

    /** A program that looks from outside need not have our exceptions. */
    private <T> T of(Function<Factory, T> attribute) {
        Factory alive = factory.get();
        if (alive == null) {
            throw new IllegalStateException("the factory is gone");
        }
        try {
            return attribute.apply(alive);
        } catch (SwitchmasterException failed) {
            throw new IllegalStateException(failed.getMessage());
        }
    }

    private long number(ToLongFunction<Stats> attribute) {
        return of(factory -> attribute.applyAsLong(factory.stats()));
    }

    @Override
    public long getIdleConnections() {
        return number(Stats::idle);
    }

    @Override
    public long getActiveConnections() {
        return number(Stats::inUse);
    }

    @Override
    public long getTotalConnections() {
        return number(Stats::total);
    }

    @Override
    public long getThreadsAwaitingConnection() {
        return number(Stats::waiting);
    }

    @Override
    public long getMaximumPoolSize() {
        return number(Stats::max);
    }

    @Override
    public long getMinimumIdle() {
        return number(Stats::min);
    }

    @Override
    public String getService() {
        return of(Factory::service);
    }

    @Override
    public String getMaster() {
        return of(factory -> factory.master().orElse(null));
    }

    @Override
    public long getGeneration() {
        return of(Factory::generation);
    }

    @Override
    public String getFence() {
        return of(factory -> factory.topology().fence());
    }

    @Override
    public String[] getTroubles() {
        return of(factory -> factory.topology().troubles().toArray(new String[0]));
    }

    @Override
    public long getAgreeingSentinels() {
        return of(factory -> factory.topology().agreeing());
    }

    @Override
    public long getKnownSentinels() {
        return of(factory -> factory.topology().known());
    }

    @Override
    public long getSwitches() {
        return number(Stats::switches);
    }

    @Override
    public long getCheckouts() {
        return number(Stats::checkouts);
    }

    @Override
    public long getWaits() {
        return number(Stats::waits);
    }

    @Override
    public long getTimeouts() {
        return number(Stats::timeouts);
    }

    @Override
    public long getLeaks() {
        return number(Stats::leaks);
    }

    @Override
    public long getConnectionsCreated() {
        return number(Stats::connectionsCreated);
    }

    @Override
    public long getConnectionsBroken() {
        return number(Stats::connectionsBroken);
    }

    @Override
    public long getCommandsMoved() {
        return number(Stats::moved);
    }

    @Override
    public long getErrorsNotSent() {
        return number(Stats::errorsNotSent);
    }

    @Override
    public long getErrorsUnknown() {
        return number(Stats::errorsUnknown);
    }

    @Override
    public long getFences() {
        return number(Stats::fences);
    }

    @Override
    public long getDoubtfulCommands() {
        return number(Stats::doubtfulCommands);
    }

    @Override
    public long getOverruledCommands() {
        return number(Stats::overruledCommands);
    }

    @Override
    public long getDroppedMessages() {
        return number(Stats::droppedMessages);
    }

    @Override
    public long getTotalReplicaConnections() {
        return number(Stats::replicaTotal);
    }

    @Override
    public long getIdleReplicaConnections() {
        return number(Stats::replicaIdle);
    }

    @Override
    public long getActiveReplicaConnections() {
        return number(Stats::replicaInUse);
    }

    @Override
    public void softEvictConnections() {
        of(factory -> {
            factory.shelf().returnIdle();
            factory.refresh();
            return null;
        });
    }
}
