package io.switchmaster.spring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.micrometer.core.instrument.MeterRegistry;
import io.switchmaster.ErrorKind;
import io.switchmaster.Factory;
import io.switchmaster.Handle;
import io.switchmaster.SwitchmasterException;
import io.switchmaster.jedis.SwitchmasterPool;
import io.switchmaster.testing.Sandbox;
import java.io.IOException;
import java.io.InputStream;
import java.lang.management.ManagementFactory;
import java.lang.reflect.RecordComponent;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.management.JMException;
import javax.management.ObjectName;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.AutoConfigurations;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.boot.test.context.runner.ApplicationContextRunner;
import org.springframework.context.ApplicationContext;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.test.util.ReflectionTestUtils;
import redis.clients.jedis.Jedis;

/** Applications with the starter, on the line of Boot that is on the class path. */
final class StarterTest {
    private static Sandbox sandbox;

    @BeforeAll
    static void start() {
        sandbox = Sandbox.start();
    }

    @AfterAll
    static void end() {
        sandbox.close();
    }

    /** An application with everything that Boot configures by itself. */
    @Configuration(proxyBeanMethods = false)
    @EnableAutoConfiguration
    static class Application {}

    private static ConfigurableApplicationContext run(String... properties) {
        SpringApplication application = new SpringApplication(Application.class);
        application.setRegisterShutdownHook(false);
        String[] arguments = Arrays.stream(properties).map(it -> "--" + it).toArray(String[]::new);
        return application.run(arguments);
    }

    /** Only what the starter configures, and nothing of Boot's. */
    private static ApplicationContextRunner runner(String... properties) {
        return new ApplicationContextRunner()
                .withConfiguration(AutoConfigurations.of(
                        SwitchmasterAutoConfiguration.class, SwitchmasterJedisAutoConfiguration.class,
                        SwitchmasterMetricsAutoConfiguration.class))
                .withPropertyValues(properties);
    }

    private static String[] sentinels(String... more) {
        Stream<String> where = Stream.of("switchmaster.sentinels=" + String.join(",", sandbox.sentinels()),
                "switchmaster.service=" + sandbox.service());
        return Stream.concat(where, Stream.of(more)).toArray(String[]::new);
    }

    @Test
    void an_application_has_a_factory_and_a_pool_of_jedis() {
        AtomicReference<Factory> made = new AtomicReference<>();
        try (ConfigurableApplicationContext context = run(sentinels())) {
            made.set(context.getBean(Factory.class));
            try (Jedis jedis = context.getBean(SwitchmasterPool.class).getResource()) {
                assertEquals("OK", jedis.set("spring", "boot"));
            }
            try (Handle redis = made.get().get()) {
                assertEquals("boot", redis.command("GET", "spring").asString());
            }
        }
        assertTrue(made.get().isClosed());
    }

    @Test
    void properties_are_settings_of_the_factory() throws JMException {
        try (ConfigurableApplicationContext context = run(sentinels(
                "switchmaster.name=orders", "switchmaster.db=3", "switchmaster.protocol=3",
                "switchmaster.max-size=2", "switchmaster.min-idle=0", "switchmaster.get-timeout=70ms",
                "switchmaster.command-timeout=1s", "switchmaster.connect-timeout=4s",
                "switchmaster.dial-timeout=400ms", "switchmaster.switch-on=confirmation",
                "switchmaster.confirm-within=1s", "switchmaster.fence=true", "switchmaster.fence-timeout=2s",
                "switchmaster.max-lifetime=1h", "switchmaster.leak-after=0", "switchmaster.max-lag=0",
                "switchmaster.on-lost-majority=fence:2s", "switchmaster.client-name=orders",
                "switchmaster.address-map[192.0.2.1:6379]=127.0.0.1:6379", "switchmaster.register-mbean=true",
                "switchmaster.options.max_size=1"))) {
            Factory factory = context.getBean(Factory.class);
            assertEquals("orders", factory.name());
            assertEquals(3, factory.database());
            assertEquals(3, factory.protocol());
            assertEquals(0, factory.stats().min());
            assertEquals(1, factory.stats().max());
            try (Handle redis = factory.get()) {
                assertEquals("orders", redis.command("CLIENT", "GETNAME").asString());
                SwitchmasterException none = assertThrows(SwitchmasterException.class, factory::get);
                assertEquals(ErrorKind.POOL_TIMEOUT, none.kind());
                assertTrue(none.getMessage().contains(" 70 ms"), none.getMessage());
            }
            ObjectName bean = new ObjectName("io.switchmaster:type=Pool,name=orders");
            assertTrue(ManagementFactory.getPlatformMBeanServer().isRegistered(bean));
        }
    }

    @Test
    void a_url_says_it_all() {
        runner("switchmaster.url=" + sandbox.url() + "/5?max_size=3").run(context -> {
            Factory factory = context.getBean(Factory.class);
            assertEquals(3, factory.stats().max());
            assertEquals(5, factory.database());
        });
    }

    @Test
    void every_option_of_the_library_is_a_property() throws IOException {
        Set<String> properties = Arrays.stream(SwitchmasterProperties.class.getRecordComponents())
                .map(RecordComponent::getName).collect(Collectors.toSet());
        List<String> options = Pattern
                .compile("(?:row!\\(|Row \\{\\s+name: \"|^ +name: \")(\\w+)", Pattern.MULTILINE)
                .matcher(Files.readString(Path.of("../../../src/options.rs")))
                .results().map(option -> option.group(1))
                .filter(option -> !option.equals("sentinel") && !option.equals("name")).toList();
        List<String> some = List.of("sentinels", "address_map", "max_size", "max_lag");
        assertTrue(options.containsAll(some), options.toString());
        for (String option : options) {
            assertTrue(properties.contains(camel(option)), option);
        }
    }

    private static String camel(String option) {
        StringBuilder name = new StringBuilder();
        for (String word : option.split("_")) {
            name.append(name.length() == 0 ? word : word.substring(0, 1).toUpperCase() + word.substring(1));
        }
        return name.toString();
    }

    @Test
    void properties_are_described_for_editors() throws IOException {
        String file = "/META-INF/spring-configuration-metadata.json";
        try (InputStream in = SwitchmasterProperties.class.getResourceAsStream(file)) {
            String metadata = new String(in.readAllBytes(), StandardCharsets.UTF_8);
            for (RecordComponent property : SwitchmasterProperties.class.getRecordComponents()) {
                String name = property.getName().replaceAll("([A-Z])", "-$1").toLowerCase();
                int at = metadata.indexOf("\"switchmaster." + name + "\"");
                assertTrue(at >= 0, name);
                String entry = metadata.substring(at, metadata.indexOf('}', at));
                assertTrue(entry.contains("\"description\""), name);
            }
        }
    }

    @Test
    void without_an_address_the_failure_names_the_properties() {
        runner("switchmaster.service=mymaster").run(context -> {
            String message = causes(context.getStartupFailure());
            assertTrue(message.contains("switchmaster.url"), message);
            assertTrue(message.contains("switchmaster.sentinels"), message);
        });
    }

    private static String causes(Throwable failure) {
        assertNotNull(failure, "it started");
        StringBuilder messages = new StringBuilder();
        for (Throwable at = failure; at != null; at = at.getCause()) {
            messages.append(at.getMessage()).append('\n');
        }
        return messages.toString();
    }

    @Test
    void a_value_that_is_not_allowed_fails_the_start_and_no_password_is_told() {
        runner(sentinels("switchmaster.max-size=0", "switchmaster.password=secret")).run(context -> {
            String message = causes(context.getStartupFailure());
            assertTrue(message.contains("max_size"), message);
            assertFalse(message.contains("secret"), message);
        });
    }

    @Test
    void it_can_be_switched_off() {
        runner("switchmaster.enabled=false").run(context -> {
            assertNull(context.getStartupFailure());
            assertEquals(0, context.getBeanNamesForType(Factory.class).length);
            assertEquals(0, context.getBeanNamesForType(SwitchmasterPool.class).length);
        });
    }

    /** An application that has a factory of its own. */
    @Configuration(proxyBeanMethods = false)
    static class Own {
        @Bean
        Factory own() {
            return Factory.builder(sandbox.url()).name("own").build();
        }
    }

    @Test
    void the_factory_of_the_application_comes_first() {
        runner().withUserConfiguration(Own.class).run(context -> {
            assertEquals("own", context.getBean(Factory.class).name());
            assertSame(context.getBean("own"), context.getBean(Factory.class));
            assertEquals(1, context.getBeanNamesForType(SwitchmasterPool.class).length);
        });
    }

    /** An application that sets something by itself. */
    @Configuration(proxyBeanMethods = false)
    static class Customized {
        @Bean
        SwitchmasterBuilderCustomizer small() {
            return builder -> builder.maxSize(2);
        }
    }

    @Test
    void a_customizer_has_the_last_word() {
        runner(sentinels("switchmaster.max-size=4")).withUserConfiguration(Customized.class)
                .run(context -> assertEquals(2, context.getBean(Factory.class).stats().max()));
    }

    @Test
    void without_jedis_micrometer_and_actuator_there_is_a_factory() {
        List<String> all = Bare.runWithout("no such jar", sandbox.url());
        assertEquals(Set.of("switchmasterFactory", "switchmasterPool", "switchmasterMetrics",
                "switchmasterHealthIndicator"), Set.copyOf(all));
        String optional = "actuator|micrometer-core|boot-micrometer|boot-health|/jedis";
        assertEquals(List.of("switchmasterFactory"), Bare.runWithout(optional, sandbox.url()));
    }

    @Test
    void meters_are_in_the_registry_of_the_application() {
        try (ConfigurableApplicationContext context = run(sentinels("switchmaster.name=metered"))) {
            MeterRegistry registry = context.getBean(MeterRegistry.class);
            context.getBean(Factory.class).run(redis -> redis.command("PING"));
            double max = registry.get("switchmaster.connections.max").tag("pool", "metered").gauge().value();
            assertEquals(8, max);
            assertEquals(1, registry.get("switchmaster.connections.acquire").functionTimer().count());
        }
    }

    /** The status that the indicator tells, and its details. The lines of Boot have packages of their own. */
    private static String health(ApplicationContext context) {
        Object indicator = context.getBean("switchmasterHealthIndicator");
        Object health = ReflectionTestUtils.invokeMethod(indicator, "health");
        return health.toString();
    }

    @Test
    void health_tells_master_generation_agreement_and_fence() {
        try (ConfigurableApplicationContext context = run(sentinels())) {
            Sandbox.await("all sentinels agree",
                    () -> health(context).contains("agreement=3 of 3 sentinels"));
            String health = health(context);
            assertTrue(health.startsWith("UP "), health);
            assertTrue(health.contains("master=" + sandbox.firstMaster()), health);
            assertTrue(health.contains("generation=1"), health);
            assertTrue(health.contains("fence=none"), health);
            assertTrue(health.contains("service=" + sandbox.service()), health);
            context.getBean(Factory.class).close();
            assertTrue(health(context).startsWith("DOWN "), health(context));
        }
    }

    @Test
    void health_is_down_while_there_is_no_master_and_up_again_with_the_next_one() {
        try (Sandbox cluster = Sandbox.start();
                ConfigurableApplicationContext context = run("switchmaster.url=" + cluster.url())) {
            assertTrue(health(context).startsWith("UP "), health(context));
            cluster.replicas().forEach(cluster::freeze);
            cluster.kill(cluster.firstMaster());
            Sandbox.await("it is down", () -> health(context).startsWith("DOWN "));
            assertTrue(health(context).contains(cluster.firstMaster() + " (down)"), health(context));
            cluster.replicas().forEach(cluster::thaw);
            Sandbox.await("it is up", () -> health(context).startsWith("UP "));
            assertTrue(health(context).contains("generation=2"), health(context));
        }
    }

    @Test
    void health_can_be_switched_off() {
        try (ConfigurableApplicationContext context =
                run(sentinels("management.health.switchmaster.enabled=false"))) {
            assertFalse(context.containsBean("switchmasterHealthIndicator"));
        }
    }
}
