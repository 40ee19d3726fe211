package io.switchmaster.spring;

import io.switchmaster.Factory;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.regex.Pattern;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.annotation.Configuration;

/** An application in a class loader of its own, which lacks some of the jars of the test. */
public final class Bare implements Function<String, List<String>> {
    /** Begins with nothing. */
    public Bare() {}

    /** What Boot configures by itself. */
    @Configuration(proxyBeanMethods = false)
    @EnableAutoConfiguration
    static class Application {}

    /** Runs it, and gives the names of its beans of ours. */
    @Override
    public List<String> apply(String url) {
        SpringApplication application = new SpringApplication(Application.class);
        application.setRegisterShutdownHook(false);
        try (ConfigurableApplicationContext context = application.run("--switchmaster.url=" + url)) {
            context.getBean(Factory.class).run(redis -> redis.command("PING"));
            return Arrays.stream(context.getBeanDefinitionNames())
                    .filter(name -> name.startsWith("switchmaster") && !name.contains("."))
                    .filter(name -> !name.startsWith("switchmaster-")).toList();
        }
    }

    /** As {@link #apply}, without the jars in whose names the pattern is found. */
    static List<String> runWithout(String jars, String url) {
        Pattern without = Pattern.compile(jars);
        String all = System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
        URL[] places = Arrays.stream(all.split(File.pathSeparator)).map(Path::of)
                .filter(path -> !without.matcher(path.toString()).find()).map(Bare::url).toArray(URL[]::new);
        Thread thread = Thread.currentThread();
        ClassLoader before = thread.getContextClassLoader();
        try (URLClassLoader loader = new URLClassLoader(places, ClassLoader.getPlatformClassLoader())) {
            thread.setContextClassLoader(loader);
            @SuppressWarnings("unchecked")
            Function<String, List<String>> run = (Function<String, List<String>>)
                    loader.loadClass(Bare.class.getName()).getConstructor().newInstance();
            return run.apply(url);
        } catch (ReflectiveOperationException wrong) {
            throw new IllegalStateException(wrong);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        } finally {
            thread.setContextClassLoader(before);
        }
    }

    private static URL url(Path path) {
        try {
            return path.toUri().toURL();
        } catch (MalformedURLException impossible) {
            throw new UncheckedIOException(impossible);
        }
    }
}
