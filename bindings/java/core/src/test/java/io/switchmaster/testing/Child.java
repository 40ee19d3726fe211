package io.switchmaster.testing;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A virtual machine of its own, for what a test cannot do in its own: options, signals, a crash. */
public final class Child implements AutoCloseable {
    private final Process process;
    private final Path output;

    private Child(Process process, Path output) {
        this.process = process;
        this.output = output;
    }

    /**
     * Starts one, with the class path of the test and {@code -Xcheck:jni}.
     *
     * @param options of the virtual machine
     * @param main the class whose main method runs
     * @param arguments its arguments
     * @return it
     */
    public static Child start(List<String> options, Class<?> main, String... arguments) {
        List<String> command = new ArrayList<>();
        command.add(ProcessHandle.current().info().command().orElse("java"));
        command.add("-Xcheck:jni");
        command.addAll(options);
        command.add("-cp");
        command.add(System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")));
        command.add(main.getName());
        command.addAll(List.of(arguments));
        try {
            Path output = Files.createTempFile("switchmaster-child-", ".txt");
            Process process = new ProcessBuilder(command)
                    .redirectErrorStream(true).redirectOutput(output.toFile()).start();
            // It ends with its parent, which holds the other end of its input.
            return new Child(process, output);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /**
     * What it has printed.
     *
     * @return all of it
     */
    public String output() {
        try {
            return Files.readString(output, StandardCharsets.UTF_8);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /**
     * Sends it a signal.
     *
     * @param name such as {@code QUIT}
     */
    public void signal(String name) {
        try {
            new ProcessBuilder("kill", "-" + name, String.valueOf(process.pid())).inheritIO().start().waitFor();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        } catch (InterruptedException interrupted) {
            throw new IllegalStateException(interrupted);
        }
    }

    /**
     * Tells it to go on: a line on its input.
     */
    public void proceed() {
        try {
            process.getOutputStream().write('\n');
            process.getOutputStream().flush();
        } catch (IOException error) {
            throw new UncheckedIOException(output(), error);
        }
    }

    /**
     * Waits for its end, and fails the test unless it ended well and the checks of JNI found nothing.
     *
     * @return what it printed
     */
    public String end() {
        try {
            if (!process.waitFor(120, TimeUnit.SECONDS)) {
                throw new AssertionError("it does not end:\n" + output());
            }
        } catch (InterruptedException interrupted) {
            throw new IllegalStateException(interrupted);
        }
        String printed = output();
        if (process.exitValue() != 0 || printed.contains("in native method")) {
            throw new AssertionError("exit status " + process.exitValue() + ":\n" + printed);
        }
        return printed;
    }

    @Override
    public void close() {
        process.destroyForcibly();
        try {
            Files.deleteIfExists(output);
        } catch (IOException left) {
            output.toFile().deleteOnExit();
        }
    }
}
