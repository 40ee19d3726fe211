package io.switchmaster.bench;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;

/** The contender in Rust as a sentinel that names a server on its own as the master. */
final class FakeSentinel implements AutoCloseable {
    static final String SERVICE = "steady";

    private final Process process;
    private final String address;

    private FakeSentinel(Process process, String address) {
        this.process = process;
        this.address = address;
    }

    /** Starts one: {@code program sentinel PORT} says where it listens, and ends with its input. */
    static FakeSentinel start(String program, int port) throws IOException {
        Process process = new ProcessBuilder(program, "sentinel", Integer.toString(port))
                .redirectError(ProcessBuilder.Redirect.INHERIT).start();
        BufferedReader said = new BufferedReader(
                new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
        String address = said.readLine();
        if (address == null) {
            throw new IOException(program + " does not start as a sentinel");
        }
        return new FakeSentinel(process, address.trim());
    }

    String address() {
        return address;
    }

    @Override
    public void close() {
        process.destroy();
    }
}
