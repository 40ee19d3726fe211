package io.switchmaster.spring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.switchmaster.Factory;
import io.switchmaster.Outcome;
import io.switchmaster.PoolMXBean;
import io.switchmaster.micrometer.SwitchmasterMetrics;
import io.switchmaster.testing.Sandbox;
import java.io.IOException;
import java.io.StringWriter;
import java.lang.reflect.Method;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the page for users of Java says is so. */
final class ReadmeTest {
    private static final String IMPORTS = """
            import io.micrometer.core.instrument.MeterRegistry;
            import io.switchmaster.Credentials;
            import io.switchmaster.Factory;
            import io.switchmaster.Handle;
            import io.switchmaster.Outcome;
            import io.switchmaster.SwitchmasterException;
            import io.switchmaster.jedis.SwitchmasterConnectionProvider;
            import io.switchmaster.jedis.SwitchmasterPool;
            import io.switchmaster.micrometer.SwitchmasterMetrics;
            import io.switchmaster.spring.SwitchmasterBuilderCustomizer;
            import java.nio.file.Files;
            import java.nio.file.Path;
            import java.time.Duration;
            import java.util.List;
            import java.util.Set;
            import org.springframework.context.annotation.Bean;
            import org.springframework.context.annotation.Configuration;
            import redis.clients.jedis.Jedis;
            import redis.clients.jedis.RedisClient;
            """;

    private static String page() throws IOException {
        return Files.readString(Path.of("../README.md"));
    }

    private static List<String> blocks(String language) throws IOException {
        return Pattern.compile("```" + language + "\n(.*?)```", Pattern.DOTALL).matcher(page())
                .results().map(block -> block.group(1)).toList();
    }

    /** What is between ticks in the first column of the table behind a heading. */
    private static Set<String> table(String heading) throws IOException {
        String page = page();
        int from = page.indexOf("\n## " + heading + "\n");
        assertTrue(from > 0, heading);
        int to = page.indexOf("\n## ", from + 1);
        String rows = Pattern.compile("^\\| (`[^|]*) \\|", Pattern.MULTILINE)
                .matcher(page.substring(from, to))
                .results().map(row -> row.group(1)).collect(Collectors.joining(" "));
        return Pattern.compile("`([^`]+)`").matcher(rows).results().map(name -> name.group(1))
                .collect(Collectors.toCollection(TreeSet::new));
    }

    /** A source in memory. */
    private static final class Source extends SimpleJavaFileObject {
        private final String code;

        private Source(String name, String code) {
            super(URI.create("string:///" + name + ".java"), Kind.SOURCE);
            this.code = code;
        }

        @Override
        public CharSequence getCharContent(boolean ignored) {
            return code;
        }
    }

    /** Names that an example takes from the one before it are parameters, unless it declares them itself. */
    private static String method(String block) {
        List<String> parameters = new ArrayList<>();
        for (String parameter : List.of("Factory factory", "Handle handle", "MeterRegistry registry")) {
            if (!block.contains(parameter + " ")) {
                parameters.add(parameter);
            }
        }
        return "void example(" + String.join(", ", parameters) + ") throws Exception {\n" + block + "}\n";
    }

    @Test
    void the_examples_compile(@TempDir Path classes) throws IOException {
        List<JavaFileObject> sources = new ArrayList<>();
        for (String block : blocks("java")) {
            String name = "Example" + sources.size();
            String body = block.contains("class ") ? block : method(block);
            sources.add(new Source(name, IMPORTS + "class " + name + " {\n" + body + "}\n"));
        }
        assertTrue(sources.size() >= 6, "examples were not found");
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        String path = System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
        StringWriter said = new StringWriter();
        boolean compiled = compiler.getTask(said, null, null,
                List.of("-cp", path, "-d", classes.toString(), "-proc:none"), null, sources).call();
        assertTrue(compiled, said.toString());
    }

    @Test
    void the_properties_are_properties() throws IOException {
        Set<String> known = Arrays.stream(SwitchmasterProperties.class.getRecordComponents())
                .map(property -> property.getName().replaceAll("([A-Z])", "-$1").toLowerCase())
                .collect(Collectors.toSet());
        List<String> lines = String.join("", blocks("properties")).lines().toList();
        assertTrue(lines.size() >= 4, lines.toString());
        for (String line : lines) {
            String name = line.substring("switchmaster.".length(), line.indexOf('='));
            assertTrue(known.contains(name), line);
        }
    }

    @Test
    void the_table_of_jmx_has_every_attribute() throws IOException {
        Set<String> attributes = new TreeSet<>();
        for (Method method : PoolMXBean.class.getMethods()) {
            if (method.getName().startsWith("get")) {
                attributes.add(method.getName().substring(3));
            }
        }
        assertEquals(attributes, table("JMX"));
    }

    @Test
    void the_table_of_meters_has_every_meter() throws IOException {
        try (Sandbox sandbox = Sandbox.start(); Factory factory = Factory.open(sandbox.url())) {
            SimpleMeterRegistry registry = new SimpleMeterRegistry();
            new SwitchmasterMetrics(factory).bindTo(registry);
            Set<String> meters = registry.getMeters().stream().map(Meter::getId).map(Meter.Id::getName)
                    .collect(Collectors.toCollection(TreeSet::new));
            assertEquals(meters, table("Metrics"));
        }
    }

    @Test
    void the_table_of_outcomes_has_every_outcome() throws IOException {
        Set<String> outcomes = Arrays.stream(Outcome.values()).map(Outcome::name)
                .collect(Collectors.toCollection(TreeSet::new));
        assertEquals(outcomes, table("Failures"));
    }
}
