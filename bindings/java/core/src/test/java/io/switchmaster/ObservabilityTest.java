package io.switchmaster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.AppenderBase;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.switchmaster.micrometer.SwitchmasterMetrics;
import io.switchmaster.testing.Sandbox;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import javax.management.JMException;
import javax.management.MBeanServer;
import javax.management.ObjectName;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.slf4j.LoggerFactory;

/** What is seen of a factory from outside: JMX, Micrometer, the log. */
final class ObservabilityTest {
    private static final MBeanServer BEANS = ManagementFactory.getPlatformMBeanServer();
    private static final Logger LOG = (Logger) LoggerFactory.getLogger(Factory.class);

    private static Sandbox sandbox;

    @BeforeAll
    static void start() {
        sandbox = Sandbox.start();
    }

    @AfterAll
    static void end() {
        sandbox.close();
    }

    private static Factory beaned(String name) {
        return Factory.builder(sandbox.url() + "?max_size=3").name(name).registerMBean(true).build();
    }

    private static Object attribute(ObjectName bean, String name) {
        try {
            return BEANS.getAttribute(bean, name);
        } catch (JMException failed) {
            throw new AssertionError(name, failed);
        }
    }

    @Test
    void jmx_shows_a_pool_by_the_names_of_hikaricp() throws JMException {
        ObjectName bean = new ObjectName("io.switchmaster:type=Pool,name=seen");
        try (Factory factory = beaned("seen"); Handle redis = factory.get()) {
            redis.command("PING");
            assertEquals(1L, attribute(bean, "ActiveConnections"));
            assertEquals(0L, attribute(bean, "ThreadsAwaitingConnection"));
            assertEquals(attribute(bean, "TotalConnections"), 1L + (Long) attribute(bean, "IdleConnections"));
            assertEquals(3L, attribute(bean, "MaximumPoolSize"));
            assertEquals(1L, attribute(bean, "Generation"));
            assertEquals(1L, attribute(bean, "Switches"));
            assertEquals(sandbox.firstMaster(), attribute(bean, "Master"));
            assertEquals(sandbox.service(), attribute(bean, "Service"));
            assertNull(attribute(bean, "Fence"));
            assertEquals(3L, attribute(bean, "KnownSentinels"));
            for (var each : BEANS.getMBeanInfo(bean).getAttributes()) {
                attribute(bean, each.getName());
            }
        }
        assertFalse(BEANS.isRegistered(bean));
    }

    @Test
    void soft_eviction_takes_what_is_idle_and_nothing_that_is_used() throws JMException {
        ObjectName bean = new ObjectName("io.switchmaster:type=Pool,name=evicted");
        try (Factory factory = beaned("evicted"); Handle kept = factory.get()) {
            assertEquals("PONG", factory.run(redis -> redis.command("PING")).asString());
            assertEquals(1, factory.shelf().count(Lease.IDLE));
            BEANS.invoke(bean, "softEvictConnections", null, null);
            assertEquals(0, factory.shelf().count(Lease.IDLE));
            assertEquals(1L, attribute(bean, "ActiveConnections"));
            assertEquals("PONG", kept.command("PING").asString());
        }
    }

    @Test
    void factories_of_one_name_have_a_bean_each() throws JMException {
        ObjectName first = new ObjectName("io.switchmaster:type=Pool,name=twin");
        ObjectName second = new ObjectName("io.switchmaster:type=Pool,name=twin,instance=2");
        try (Factory one = beaned("twin")) {
            try (Factory other = beaned("twin")) {
                one.run(redis -> redis.command("PING"));
                assertEquals(1L, attribute(first, "Checkouts"));
                assertEquals(other.stats().checkouts(), attribute(second, "Checkouts"));
            }
            assertTrue(BEANS.isRegistered(first));
            assertFalse(BEANS.isRegistered(second));
        }
        assertFalse(BEANS.isRegistered(first));
    }

    @Test
    void a_bean_is_there_when_it_is_wanted_and_its_name_is_quoted_where_jmx_has_to() throws JMException {
        try (Factory odd = beaned("a=b,c"); Factory unseen = Factory.open(sandbox.url())) {
            ObjectName bean = new ObjectName("io.switchmaster:type=Pool,name=" + ObjectName.quote("a=b,c"));
            assertEquals(odd.generation(), attribute(bean, "Generation"));
            String name = "io.switchmaster:type=Pool,name=" + unseen.name() + ",*";
            assertEquals(0, BEANS.queryNames(new ObjectName(name), null).size());
        }
    }

    @Test
    void the_bean_of_a_factory_that_nobody_has_any_more_goes_with_it() throws JMException {
        ObjectName bean = new ObjectName("io.switchmaster:type=Pool,name=lost");
        assertEquals("lost", beaned("lost").name());
        Sandbox.await("it is gone", () -> {
            System.gc();
            return !BEANS.isRegistered(bean);
        });
    }

    private static double counted(MeterRegistry registry, String name, String... tags) {
        return registry.get(name).tags(tags).functionCounter().count();
    }

    private static double gauged(MeterRegistry registry, String name, String... tags) {
        return registry.get(name).tags(tags).gauge().value();
    }

    @Test
    void micrometer_reads_what_the_factory_counts() {
        MeterRegistry registry = new SimpleMeterRegistry();
        String url = sandbox.url() + "?max_size=1&get_timeout=50ms";
        Factory factory = Factory.builder(url).name("measured").build();
        try (factory; SwitchmasterMetrics metrics = new SwitchmasterMetrics(factory, Tags.of("zone", "a"))) {
            metrics.bindTo(registry);
            try (Handle redis = factory.get()) {
                redis.command("PING");
                assertTrue(factory.tryGet().isEmpty());
                assertEquals(1, gauged(registry, "switchmaster.connections.active", "pool", "measured"));
                assertEquals(1, gauged(registry, "switchmaster.connections.max", "zone", "a"));
                assertEquals(1, counted(registry, "switchmaster.connections.timeout"));
            }
            assertEquals(0, gauged(registry, "switchmaster.connections.active"));
            assertEquals(0, gauged(registry, "switchmaster.connections.pending"));
            assertEquals(0, counted(registry, "switchmaster.failovers"));
            assertEquals(0, counted(registry, "switchmaster.commands.errors", "outcome", "unknown"));
            assertEquals(0, counted(registry, "switchmaster.commands.moved"));
            var acquire = registry.get("switchmaster.connections.acquire").functionTimer();
            assertEquals(2, acquire.count());
            assertTrue(acquire.totalTime(TimeUnit.MICROSECONDS) >= 0);
            factory.close();
            assertTrue(Double.isNaN(gauged(registry, "switchmaster.connections.active")));
            assertEquals(1, counted(registry, "switchmaster.connections.timeout"));
            FunctionCounter other = registry.get("switchmaster.commands.errors").tag("outcome", "not_sent")
                    .functionCounter();
            assertEquals("measured", other.getId().getTag("pool"));
        }
        assertEquals(List.of(), registry.getMeters());
    }

    @Test
    void dropped_messages_and_connections_to_replicas_are_counted() throws JMException {
        MeterRegistry registry = new SimpleMeterRegistry();
        ObjectName bean = new ObjectName("io.switchmaster:type=Pool,name=replicas");
        String url = sandbox.url() + "?protocol=3";
        try (Factory factory = Factory.builder(url).name("replicas").registerMBean(true).build();
                SwitchmasterMetrics metrics = new SwitchmasterMetrics(factory)) {
            metrics.bindTo(registry);
            assertEquals(0, factory.stats().replicaTotal());
            assertEquals(0, factory.stats().droppedMessages());
            Handle[] replica = new Handle[1];
            Sandbox.await("a replica may be read from", () -> {
                try {
                    replica[0] = factory.replica();
                    return true;
                } catch (SwitchmasterException notYet) {
                    return false;
                }
            });
            replica[0].command("PING");
            assertEquals(1, factory.stats().replicaInUse());
            assertEquals(1L, attribute(bean, "ActiveReplicaConnections"));
            assertEquals(1, gauged(registry, "switchmaster.connections.replica.active"));
            Sandbox.await("the pools of the replicas are full, and all show the same", () -> {
                Stats stats = factory.stats();
                return stats.replicaTotal() == stats.replicaIdle() + 1
                        && attribute(bean, "TotalReplicaConnections").equals(stats.replicaTotal())
                        && gauged(registry, "switchmaster.connections.replica") == stats.replicaTotal();
            });
            replica[0].close();
            Sandbox.await("it is idle", () -> factory.stats().replicaInUse() == 0);
            assertTrue((Long) attribute(bean, "IdleReplicaConnections") >= 1);
            assertTrue(gauged(registry, "switchmaster.connections.replica.idle") >= 1);

            try (Handle told = factory.get(); Handle writes = factory.get()) {
                told.command("CLIENT", "TRACKING", "ON", "BCAST");
                Sandbox.await("one is dropped", () -> {
                    writes.command("SET", "tracked", "1");
                    told.command("PING");
                    return factory.stats().droppedMessages() > 0;
                });
                Sandbox.await("all show the same, once the last has come", () -> {
                    long dropped = factory.stats().droppedMessages();
                    return attribute(bean, "DroppedMessages").equals(dropped)
                            && counted(registry, "switchmaster.messages.dropped") == dropped;
                });
            }
        }
    }

    /** What is logged meanwhile. */
    private static final class Lines extends AppenderBase<ILoggingEvent> implements AutoCloseable {
        private final List<String> lines = new CopyOnWriteArrayList<>();
        private final Level before = LOG.getLevel();

        private Lines(Level level) {
            LOG.setLevel(level);
            LOG.addAppender(this);
            start();
        }

        @Override
        protected void append(ILoggingEvent event) {
            lines.add(event.getLevel() + " " + event.getFormattedMessage());
        }

        private boolean has(String level, String... words) {
            return lines.stream().anyMatch(line -> line.startsWith(level)
                    && List.of(words).stream().allMatch(line::contains));
        }

        @Override
        public String toString() {
            return lines.toString();
        }

        @Override
        public void close() {
            stop();
            LOG.detachAppender(this);
            LOG.setLevel(before);
        }
    }

    private static boolean hasEventsThread(String name) {
        return Thread.getAllStackTraces().keySet().stream()
                .anyMatch(thread -> thread.getName().equals("switchmaster-events-" + name));
    }

    @Test
    void the_log_tells_of_switches_fences_and_sentinels() {
        try (Lines log = new Lines(Level.INFO); Sandbox cluster = Sandbox.start()) {
            String before = cluster.firstMaster();
            try (Factory factory = Factory.builder(cluster.url()).name("logged").build()) {
                assertTrue(log.has("INFO", "logged", "is open", before, "generation 1"), log.toString());
                cluster.failover();
                assertTrue(factory.waitForGeneration(1, Duration.ofSeconds(30)).isPresent());
                String after = factory.master().orElseThrow();
                assertNotEquals(before, after);
                Sandbox.await("the switch is logged", () -> log.has("INFO logged: ", before, after));
                Sandbox.await("the end of the fence is logged", () -> log.has("INFO logged: ", "fence"));
                String said = factory.toString();
                assertTrue(said.contains("master " + after + ", generation 2"), said);
                try (Handle redis = factory.get()) {
                    assertEquals("Handle{logged, generation 2}", redis.toString());
                }
                String sentinel = cluster.sentinels().get(2);
                cluster.kill(sentinel);
                Sandbox.await("a lost sentinel is a warning", () -> log.has("WARN logged: ", sentinel));
            }
            assertTrue(log.has("INFO", "logged", "closed"), log.toString());
        }
    }

    @Test
    void a_handle_that_is_kept_is_a_warning() {
        try (Lines log = new Lines(Level.WARN);
                Factory factory = Factory.builder(sandbox.url() + "?leak_after=50ms").name("leaking").build();
                Handle kept = factory.get()) {
            assertTrue(hasEventsThread("leaking"));
            Sandbox.await("it is told", () -> log.has("WARN leaking: ", "leak_after is 50 ms"));
            assertEquals("PONG", kept.command("PING").asString());
        }
    }

    @Test
    void a_factory_that_may_not_warn_has_no_thread_for_the_log() {
        try (Lines log = new Lines(Level.ERROR);
                Factory factory = Factory.builder(sandbox.url()).name("silent").build()) {
            assertFalse(hasEventsThread("silent"));
            factory.addListener(event -> {});
            assertTrue(hasEventsThread("silent"));
            assertEquals(List.of(), log.lines);
        }
    }
}
