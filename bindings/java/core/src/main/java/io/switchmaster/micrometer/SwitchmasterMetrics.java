package io.switchmaster.micrometer;

import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.FunctionTimer;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tag;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.binder.MeterBinder;
import io.switchmaster.Factory;
import io.switchmaster.Stats;
import io.switchmaster.SwitchmasterException;
import java.util.Collections;
import java.util.Objects;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.ToDoubleFunction;
import java.util.function.ToLongFunction;

/**
 * Shows a factory's numbers to Micrometer, with the tag {@code pool}, its name.
 *
 * <pre>{@code
 * new SwitchmasterMetrics(factory).bindTo(registry);
 * }</pre>
 *
 * <table>
 * <caption>The meters</caption>
 * <tr><th>name</th><th>what</th></tr>
 * <tr><td>{@code switchmaster.connections}</td><td>connections to the master</td></tr>
 * <tr><td>{@code switchmaster.connections.active}</td><td>those in use</td></tr>
 * <tr><td>{@code switchmaster.connections.idle}</td><td>those that nobody uses</td></tr>
 * <tr><td>{@code switchmaster.connections.pending}</td><td>threads that wait for one</td></tr>
 * <tr><td>{@code switchmaster.connections.max}</td><td>{@code max_size}</td></tr>
 * <tr><td>{@code switchmaster.connections.min}</td><td>{@code min_idle}</td></tr>
 * <tr><td>{@code switchmaster.connections.replica}</td><td>connections to the replicas that are read
 *     from</td></tr>
 * <tr><td>{@code switchmaster.connections.replica.active}</td><td>those in use</td></tr>
 * <tr><td>{@code switchmaster.connections.replica.idle}</td><td>those that are idle</td></tr>
 * <tr><td>{@code switchmaster.connections.acquire}</td><td>timer: calls for a handle, and how long they
 *     waited</td></tr>
 * <tr><td>{@code switchmaster.connections.timeout}</td><td>calls that waited in vain</td></tr>
 * <tr><td>{@code switchmaster.connections.created}</td><td>connections made</td></tr>
 * <tr><td>{@code switchmaster.connections.broken}</td><td>connections that broke in use</td></tr>
 * <tr><td>{@code switchmaster.connections.leaked}</td><td>handles out for longer than
 *     {@code leak_after}</td></tr>
 * <tr><td>{@code switchmaster.dial.failures}</td><td>dials of a node that failed</td></tr>
 * <tr><td>{@code switchmaster.generation}</td><td>how many masters were served</td></tr>
 * <tr><td>{@code switchmaster.failovers}</td><td>switches from a master to another</td></tr>
 * <tr><td>{@code switchmaster.commands.moved}</td><td>commands that moved to a new connection,
 * unsent</td></tr>
 * <tr><td>{@code switchmaster.commands.errors}</td><td>commands that failed; tag {@code outcome}:
 *     {@code not_sent} or {@code unknown}</td></tr>
 * <tr><td>{@code switchmaster.commands.fenced}</td><td>commands that waited behind the fence</td></tr>
 * <tr><td>{@code switchmaster.commands.doubtful}</td><td>commands that ran while it was open who is
 *     master</td></tr>
 * <tr><td>{@code switchmaster.commands.overruled}</td><td>those whose master had been replaced</td></tr>
 * <tr><td>{@code switchmaster.watch.faults}</td><td>faults inside the watch that were survived</td></tr>
 * <tr><td>{@code switchmaster.watch.malformed}</td><td>messages of sentinels that could not be read</td></tr>
 * <tr><td>{@code switchmaster.messages.dropped}</td><td>messages that came on handles between whole commands and
 *     were dropped</td></tr>
 * </table>
 *
 * <p>The meters read the factory when they are looked at; that blocks never. Of a closed factory the counters
 * stay, and the gauges are NaN. The meters keep no factory alive. Any thread may use this class.
 */
public final class SwitchmasterMetrics implements MeterBinder, AutoCloseable {
    private final Factory factory;
    private final Tags tags;
    private final ConcurrentLinkedQueue<Bound> bound = new ConcurrentLinkedQueue<>();

    /** A meter, and where it is registered. */
    private record Bound(MeterRegistry registry, Meter meter) {}

    /**
     * Of a factory.
     *
     * @param factory it
     */
    public SwitchmasterMetrics(Factory factory) {
        this(factory, Collections.emptyList());
    }

    /**
     * Of a factory, with more tags.
     *
     * @param factory it
     * @param tags that all meters get, beside {@code pool}
     */
    public SwitchmasterMetrics(Factory factory, Iterable<Tag> tags) {
        this.factory = Objects.requireNonNull(factory, "factory");
        this.tags = Tags.of("pool", factory.name()).and(tags);
    }

    @Override
    public void bindTo(MeterRegistry registry) {
        gauge(registry, "connections", "Connections to the master", Stats::total);
        gauge(registry, "connections.active", "Connections in use", Stats::inUse);
        gauge(registry, "connections.idle", "Connections that nobody uses", Stats::idle);
        gauge(registry, "connections.pending", "Threads that wait for a connection", Stats::waiting);
        gauge(registry, "connections.max", "Connections that there may be", Stats::max);
        gauge(registry, "connections.min", "Connections that are to lie idle", Stats::min);
        gauge(registry, "connections.replica", "Connections to the replicas that are read from", Stats::replicaTotal);
        gauge(registry, "connections.replica.active", "Connections to replicas in use", Stats::replicaInUse);
        gauge(registry, "connections.replica.idle", "Idle connections to replicas", Stats::replicaIdle);
        gauge(registry, "generation", "Masters that were served", Stats::switches);
        Last calls = new Last(stats -> stats.checkouts() + stats.timeouts());
        Last micros = new Last(Stats::waitMicros);
        keep(registry, FunctionTimer.builder("switchmaster.connections.acquire", factory,
                        it -> (long) calls.applyAsDouble(it), micros, TimeUnit.MICROSECONDS)
                .description("Calls for a connection, and how long they waited")
                .tags(tags).register(registry));
        counter(registry, "connections.timeout", "Calls that waited in vain", Stats::timeouts);
        counter(registry, "connections.created", "Connections made", Stats::connectionsCreated);
        counter(registry, "connections.broken", "Connections that broke in use", Stats::connectionsBroken);
        counter(registry, "connections.leaked", "Handles out for longer than leak_after", Stats::leaks);
        counter(registry, "dial.failures", "Dials of a node that failed", Stats::dialFailures);
        counter(registry, "failovers", "Switches from a master to another",
                stats -> Math.max(0, stats.switches() - 1));
        counter(registry, "commands.moved", "Commands that moved to a new connection, unsent", Stats::moved);
        String failed = "Commands that failed";
        counter(registry, "commands.errors", failed, Stats::errorsNotSent, "outcome", "not_sent");
        counter(registry, "commands.errors", failed, Stats::errorsUnknown, "outcome", "unknown");
        counter(registry, "commands.fenced", "Commands that waited behind the fence", Stats::fences);
        counter(registry, "commands.doubtful", "Commands that ran while it was open who is master",
                Stats::doubtfulCommands);
        counter(registry, "commands.overruled", "Doubtful commands whose master had been replaced",
                Stats::overruledCommands);
        counter(registry, "watch.faults", "Faults inside the watch that were survived", Stats::watchFaults);
        counter(registry, "watch.malformed", "Messages of sentinels that could not be read",
                Stats::malformedMessages);
        counter(registry, "messages.dropped", "Messages that came between whole commands and were dropped",
                Stats::droppedMessages);
    }

    private void gauge(MeterRegistry registry, String name, String what, ToLongFunction<Stats> of) {
        keep(registry, Gauge.builder("switchmaster." + name, factory, it -> now(it, of))
                .description(what).tags(tags).register(registry));
    }

    private void counter(
            MeterRegistry registry, String name, String what, ToLongFunction<Stats> of, String... more) {
        keep(registry, FunctionCounter.builder("switchmaster." + name, factory, new Last(of))
                .description(what).tags(tags.and(more)).register(registry));
    }

    private void keep(MeterRegistry registry, Meter meter) {
        bound.add(new Bound(registry, meter));
    }

    private static double now(Factory factory, ToLongFunction<Stats> of) {
        try {
            return of.applyAsLong(factory.stats());
        } catch (SwitchmasterException closed) {
            return Double.NaN;
        }
    }

    /** What a counter stands at: of a closed factory, what it stood at when it was looked at last. */
    private static final class Last implements ToDoubleFunction<Factory> {
        private final ToLongFunction<Stats> of;
        private volatile double last;

        private Last(ToLongFunction<Stats> of) {
            this.of = of;
        }

        @Override
        public double applyAsDouble(Factory factory) {
            double now = now(factory, of);
            if (!Double.isNaN(now)) {
                last = now;
            }
            return last;
        }
    }

    /** Removes the meters from their registries. They may be bound again afterwards. */
    @Override
    public void close() {
        for (Bound one = bound.poll(); one != null; one = bound.poll()) {
            one.registry().remove(one.meter());
        }
    }
}
