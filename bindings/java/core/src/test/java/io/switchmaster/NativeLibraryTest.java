package io.switchmaster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.switchmaster.testing.Child;
import io.switchmaster.testing.Loaders;
import io.switchmaster.testing.Sandbox;
import io.switchmaster.testing.Visitor;
import io.switchmaster.testing.Workers;
import java.io.IOException;
import java.lang.ref.WeakReference;
import java.lang.reflect.Method;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.slf4j.LoggerFactory;

/** Where the native library is found, what is said when it is not, and that it goes with its class loader. */
final class NativeLibraryTest {
    @TempDir
    Path folder;

    /** Loads the library, and says how that went. */
    static final class Loads {
        private Loads() {}

        public static void main(String[] systems) {
            for (String system : systems) {
                System.setProperty("os.name", system);
                System.out.println(NativeLibrary.platform());
            }
            if (systems.length > 0) {
                return;
            }
            try {
                System.out.println("loaded: " + new String(Native.version(), StandardCharsets.UTF_8));
            } catch (UnsatisfiedLinkError refused) {
                System.out.println("refused: " + refused.getMessage());
            }
        }
    }

    private static String load(String... options) {
        try (Child child = Child.start(List.of(options), Loads.class)) {
            return child.end();
        }
    }

    private static void assertLoaded(String said) {
        assertTrue(said.contains("loaded: 0."), said);
    }

    private static void assertRefused(String said, String... with) {
        assertTrue(said.contains("refused: "), said);
        for (String words : with) {
            assertTrue(said.contains(words), words + " is not in: " + said);
        }
    }

    /** The library that the build has put beside the classes. */
    private static Path library() {
        return Loaders.of(Native.class).resolve(
                "io/switchmaster/native/" + NativeLibrary.platform() + "/" + name());
    }

    private static String name() {
        return System.mapLibraryName("switchmaster_jni");
    }

    private Path compiled(String source) throws IOException, InterruptedException {
        Path code = Files.writeString(folder.resolve("stub.c"), source);
        Path library = folder.resolve(name());
        int status = new ProcessBuilder("cc", "-shared", "-fPIC", "-o", library.toString(), code.toString())
                .inheritIO().start().waitFor();
        assertEquals(0, status, "cc, which make setup installs");
        return library;
    }

    @Test
    void the_file_of_the_property_is_loaded_and_nothing_is_written() throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "no directory");
        Path renamed = Files.copy(library(), folder.resolve("anything.so"));
        assertLoaded(load("-Dswitchmaster.native.path=" + renamed, "-Dswitchmaster.native.tmpdir=" + file));
    }

    @Test
    void a_file_that_is_no_library_or_is_missing_is_named() throws IOException {
        Path text = Files.writeString(folder.resolve("text.so"), "not a library");
        assertRefused(load("-Dswitchmaster.native.path=" + text),
                "-Dswitchmaster.native.path", text.toString(), NativeLibrary.platform());
        Path missing = folder.resolve("missing.so");
        assertRefused(load("-Dswitchmaster.native.path=" + missing),
                "-Dswitchmaster.native.path", missing.toString());
    }

    @Test
    void the_library_of_the_system_is_loaded_when_that_is_wanted() {
        String wanted = "-Dswitchmaster.native.systemlib=true";
        assertLoaded(load(wanted, "-Djava.library.path=" + library().getParent()));
        assertRefused(load(wanted, "-Djava.library.path=" + folder),
                name(), "java.library.path", folder.toString());
    }

    @Test
    void the_copy_of_the_library_is_gone_once_it_is_loaded() throws IOException {
        Path below = folder.resolve("made/for/it");
        assertLoaded(load("-Dswitchmaster.native.tmpdir=" + below));
        try (Stream<Path> left = Files.list(below)) {
            assertEquals(List.of(), left.toList());
        }
    }

    @Test
    void a_directory_that_cannot_be_written_is_named_with_what_to_do() throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "no directory");
        for (String below : List.of(file.toString(), "/proc/switchmaster")) {
            assertRefused(load("-Dswitchmaster.native.tmpdir=" + below),
                    "cannot be written below " + below, "-Dswitchmaster.native.tmpdir=DIR",
                    "-Dswitchmaster.native.path=FILE");
        }
    }

    @Test
    void a_platform_without_a_library_is_named_with_what_to_do() {
        assertRefused(load("-Dos.arch=riscv64"),
                "no native library for ", "-riscv64", "-Dswitchmaster.native.path=FILE");
    }

    @Test
    void platforms_have_the_names_of_os_detectors() {
        assertEquals("x86_64", NativeLibrary.architecture("amd64"));
        assertEquals("x86_64", NativeLibrary.architecture("x86_64"));
        assertEquals("aarch_64", NativeLibrary.architecture("aarch64"));
        assertEquals("aarch_64", NativeLibrary.architecture("ARM64"));
        assertEquals("ppc64le", NativeLibrary.architecture("ppc64le"));
        try (Child child = Child.start(List.of("-Dos.arch=aarch64"), Loads.class,
                "Mac OS X", "Windows Server 2022", "FreeBSD")) {
            assertEquals(List.of("osx-aarch_64", "windows-aarch_64", "freebsd-aarch_64"),
                    child.end().lines().filter(line -> line.endsWith("-aarch_64")).toList());
        }
    }

    @Test
    void a_library_for_musl_is_looked_for_under_its_own_name() {
        assertEquals("linux-musl", NativeLibrary.system("Linux", true));
        assertEquals("linux", NativeLibrary.system("Linux", false));
        assertEquals("osx", NativeLibrary.system("Mac OS X", false));
    }

    private static final String MAPS = "7f16a000-7f16b000 r-xp 00000000 fe:00 1   ";

    @Test
    void a_system_with_glibc_that_has_musl_as_well_is_no_musl() throws IOException {
        Path glibc = Files.writeString(folder.resolve("glibc"), MAPS + "/usr/lib/jvm/bin/java\n"
                + MAPS + "/usr/lib/x86_64-linux-gnu/libc.so.6\n" + MAPS + "[heap]\n"
                + MAPS + "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2\n");
        assertFalse(NativeLibrary.isMusl(glibc));
        Path musl = Files.writeString(folder.resolve("musl"), MAPS + "/usr/lib/jvm/bin/java\n"
                + MAPS + "/lib/ld-musl-x86_64.so.1\n" + MAPS + "[stack]\n");
        assertTrue(NativeLibrary.isMusl(musl));
        assertFalse(NativeLibrary.isMusl(folder.resolve("missing")));
        assertFalse(NativeLibrary.isMusl(folder));
    }

    @Test
    void a_library_of_another_version_is_refused() throws IOException, InterruptedException {
        Path old = compiled("int Java_io_switchmaster_Native_abiVersion(void *env, void *c) { return 0; }\n"
                + "int Java_io_switchmaster_Native_errorSize(void *env, void *c) { return 288; }\n");
        assertRefused(load("-Dswitchmaster.native.path=" + old),
                "interface is number 0", "need " + Native.ABI, "from the same build");
    }

    @Test
    void a_library_without_our_natives_is_refused() throws IOException, InterruptedException {
        Path other = compiled("int nothing_of_ours(void) { return 0; }\n");
        assertRefused(load("-Dswitchmaster.native.path=" + other), "none of switchmaster's natives");
    }

    /** One with a library of its own; without Micrometer, too. */
    private static URLClassLoader loader() {
        return Loaders.of(Factory.class, Visitor.class, LoggerFactory.class);
    }

    @Test
    void two_class_loaders_load_it_at_once() throws Exception {
        try (URLClassLoader one = loader();
                URLClassLoader other = loader();
                Workers workers = new Workers()) {
            CountDownLatch together = new CountDownLatch(2);
            List<Class<?>> natives = new ArrayList<>();
            for (URLClassLoader loader : List.of(one, other)) {
                workers.start(() -> {
                    together.countDown();
                    Class<?> loaded = loaded(loader, together);
                    synchronized (natives) {
                        natives.add(loaded);
                    }
                });
            }
            workers.stop();
            assertNotSame(natives.get(0), natives.get(1));
            for (Class<?> loaded : natives) {
                Method version = loaded.getDeclaredMethod("version");
                version.setAccessible(true);
                String text = new String((byte[]) version.invoke(null), StandardCharsets.UTF_8);
                assertEquals(new String(Native.version(), StandardCharsets.UTF_8), text);
            }
        }
    }

    private static Class<?> loaded(ClassLoader loader, CountDownLatch together) {
        try {
            together.await();
            return Class.forName("io.switchmaster.Native", true, loader);
        } catch (ClassNotFoundException | InterruptedException failed) {
            throw new IllegalStateException(failed);
        }
    }

    @Test
    void the_core_needs_no_micrometer() throws Exception {
        Path classes = Loaders.of(Factory.class);
        try (URLClassLoader loader = loader();
                Stream<Path> files = Files.list(classes.resolve("io/switchmaster"))) {
            List<String> names = files.map(file -> file.getFileName().toString())
                    .filter(name -> name.endsWith(".class")).map(name -> name.replace(".class", "")).toList();
            assertTrue(names.contains("Factory"), names.toString());
            for (String name : names) {
                Class.forName("io.switchmaster." + name, true, loader).getMethods();
            }
            assertThrows(NoClassDefFoundError.class,
                    () -> loader.loadClass("io.switchmaster.micrometer.SwitchmasterMetrics"));
        }
    }

    @Test
    void a_class_loader_is_collected_with_all_that_its_factory_had() throws Exception {
        try (Sandbox sandbox = Sandbox.start()) {
            List<WeakReference<ClassLoader>> loaders = new ArrayList<>();
            for (int at = 0; at < 3; at++) {
                loaders.add(visited(sandbox.url()));
            }
            assertTrue(Thread.getAllStackTraces().keySet().stream()
                    .noneMatch(thread -> thread.getName().equals("switchmaster-events-visitor")));
            Sandbox.await("no thread of ours is left", () -> Thread.getAllStackTraces().keySet().stream()
                    .noneMatch(thread -> thread.getName().startsWith("switchmaster-")));
            Sandbox.await("they are collected", () -> {
                System.gc();
                return loaders.stream().allMatch(loader -> loader.get() == null);
            });
        }
    }

    private static WeakReference<ClassLoader> visited(String url) throws Exception {
        try (URLClassLoader loader = loader()) {
            Class<?> visitor = loader.loadClass(Visitor.class.getName());
            assertFalse(visitor == Visitor.class);
            @SuppressWarnings("unchecked")
            Function<String, String> visit =
                    (Function<String, String>) visitor.getConstructor().newInstance();
            assertEquals("PONG", visit.apply(url));
            return new WeakReference<>(loader);
        }
    }
}
