package io.switchmaster;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URL;
import java.net.URLConnection;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Locale;
import java.util.stream.Stream;

/**
 * Finds and loads the native library.
 *
 * <ol>
 *   <li>With {@code -Dswitchmaster.native.path=FILE}: that file, and no other.
 *   <li>With {@code -Dswitchmaster.native.systemlib=true}: what {@code java.library.path} has.
 *   <li>Otherwise that of the jar for this platform, by way of a file in a private directory below
 *       {@code -Dswitchmaster.native.tmpdir=DIR} ({@code java.io.tmpdir} unless set). File and directory
 *       are removed at once, where the system allows it, and have new names each time, because two class
 *       loaders cannot load the same file.
 * </ol>
 */
final class NativeLibrary {
    static final String PATH = "switchmaster.native.path";
    static final String SYSTEM = "switchmaster.native.systemlib";
    static final String TEMPORARY = "switchmaster.native.tmpdir";

    private static final String NAME = "switchmaster_jni";

    private NativeLibrary() {}

    static void load() {
        String path = System.getProperty(PATH);
        if (path != null && !path.isEmpty()) {
            loadFile(Paths.get(path));
        } else if (Boolean.getBoolean(SYSTEM)) {
            loadSystem();
        } else {
            loadEmbedded();
        }
        check();
    }

    private static void loadFile(Path file) {
        try {
            System.load(file.toAbsolutePath().toString());
        } catch (UnsatisfiedLinkError error) {
            throw refused("the file that -D" + PATH + " names, " + file, error);
        }
    }

    private static void loadSystem() {
        try {
            System.loadLibrary(NAME);
        } catch (UnsatisfiedLinkError error) {
            String where = "a library called " + System.mapLibraryName(NAME) + " in java.library.path ("
                    + System.getProperty("java.library.path") + "), as -D" + SYSTEM + "=true wants";
            throw refused(where, error);
        }
    }

    private static void loadEmbedded() {
        String file = System.mapLibraryName(NAME);
        String resource = "native/" + platform() + "/" + file;
        URL found = NativeLibrary.class.getResource(resource);
        if (found == null) {
            throw new UnsatisfiedLinkError("switchmaster has no native library for " + platform()
                    + " in its jar (" + resource + "); build one with bindings/java/native/build, and name it"
                    + " by -D" + PATH + "=FILE");
        }
        String below = System.getProperty(TEMPORARY, System.getProperty("java.io.tmpdir"));
        Path directory = null;
        try {
            directory = Files.createTempDirectory(
                    Files.createDirectories(Paths.get(below)), "switchmaster-", ownersOnly());
            Path copy = directory.resolve(file);
            // Without the cache of jars, which another class loader may close under us.
            URLConnection connection = found.openConnection();
            connection.setUseCaches(false);
            try (InputStream bytes = connection.getInputStream()) {
                Files.copy(bytes, copy);
            }
            System.load(copy.toAbsolutePath().toString());
        } catch (IOException error) {
            UnsatisfiedLinkError refused = new UnsatisfiedLinkError("switchmaster's native library cannot be"
                    + " written below " + below + " (" + error + "); name a directory by -D" + TEMPORARY
                    + "=DIR, or the library itself by -D" + PATH + "=FILE");
            refused.initCause(error);
            throw refused;
        } catch (UnsatisfiedLinkError error) {
            throw refused("the library of the jar, copied below " + below + " (a directory that may be"
                    + " mounted noexec: name another by -D" + TEMPORARY + "=DIR)", error);
        } finally {
            remove(directory, file);
        }
    }

    private static FileAttribute<?>[] ownersOnly() {
        boolean posix = File.separatorChar == '/';
        return posix
                ? new FileAttribute<?>[] {
                    PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"))
                }
                : new FileAttribute<?>[0];
    }

    /** A library that is loaded needs its file no longer, except where files in use cannot be removed. */
    private static void remove(Path directory, String file) {
        if (directory == null) {
            return;
        }
        try {
            Files.deleteIfExists(directory.resolve(file));
            Files.deleteIfExists(directory);
        } catch (IOException inUse) {
            // The other way round: what is registered last is removed first.
            directory.toFile().deleteOnExit();
            directory.resolve(file).toFile().deleteOnExit();
        }
    }

    private static void check() {
        int abi;
        try {
            abi = Native.abiVersion();
        } catch (UnsatisfiedLinkError error) {
            throw refused("a library that has none of switchmaster's natives", error);
        }
        if (abi < Native.ABI || Native.errorSize() != Fault.SIZE) {
            throw new UnsatisfiedLinkError("the native library of switchmaster is for another version: its"
                    + " interface is number " + abi + ", and these classes need " + Native.ABI
                    + "; take both from the same build");
        }
    }

    private static UnsatisfiedLinkError refused(String what, UnsatisfiedLinkError cause) {
        UnsatisfiedLinkError error = new UnsatisfiedLinkError("switchmaster's native library cannot be"
                + " loaded on " + platform() + ": tried " + what + ": " + cause.getMessage());
        error.initCause(cause);
        return error;
    }

    /** As {@code os.detected.classifier} calls platforms, with musl told apart. */
    static String platform() {
        String name = System.getProperty("os.name", "unknown");
        return system(name, isMusl(Paths.get("/proc/self/maps"))) + "-"
                + architecture(System.getProperty("os.arch", "unknown"));
    }

    static String system(String given, boolean musl) {
        String name = given.toLowerCase(Locale.ROOT);
        if (name.startsWith("linux")) {
            return musl ? "linux-musl" : "linux";
        }
        if (name.startsWith("mac") || name.startsWith("darwin")) {
            return "osx";
        }
        return name.startsWith("windows") ? "windows" : name.replaceAll("[^a-z0-9]+", "");
    }

    /**
     * Returns true when this process runs on musl, as on Alpine. The mapped dynamic linker decides: a system with
     * glibc may have musl's installed as well, and the other way round.
     *
     * @param maps the process's mappings, as in proc(5); one that cannot be read, as on other systems, is none
     */
    static boolean isMusl(Path maps) {
        try (Stream<String> lines = Files.lines(maps, StandardCharsets.ISO_8859_1)) {
            return lines.map(line -> line.substring(line.lastIndexOf('/') + 1))
                    .anyMatch(file -> file.startsWith("ld-musl-") || file.startsWith("libc.musl-"));
        } catch (IOException | UncheckedIOException unknown) {
            return false;
        }
    }

    static String architecture(String name) {
        switch (name.toLowerCase(Locale.ROOT)) {
            case "amd64":
            case "x86_64":
            case "x64":
                return "x86_64";
            case "aarch64":
            case "arm64":
                return "aarch_64";
            default:
                return name.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9_]+", "");
        }
    }
}
