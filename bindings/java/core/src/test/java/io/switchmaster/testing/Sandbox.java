package io.switchmaster.testing;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A master, two replicas and three sentinels on loopback, for one test: the command {@code switchmaster
 * sandbox}, which ends them when its input ends, so also when the test's process dies.
 */
public final class Sandbox implements AutoCloseable {
    private static final Duration PATIENCE = Duration.ofSeconds(30);
    private static final Pattern CLIENT = Pattern.compile("\\bid=(\\d+) .*?\\bname=(\\S*)");

    private final Process process;
    private final String line;
    private final Map<String, Long> pids = new LinkedHashMap<>();

    private Sandbox(Process process, String line) {
        this.process = process;
        this.line = line;
        List<String> addresses = new ArrayList<>();
        addresses.add(text("master"));
        addresses.addAll(texts("replicas"));
        addresses.addAll(texts("sentinels"));
        List<String> numbers = texts("pids");
        for (int at = 0; at < addresses.size(); at++) {
            pids.put(addresses.get(at), Long.valueOf(numbers.get(at)));
        }
    }

    /**
     * Starts one.
     *
     * @param options of the command
     * @return it, once a failover would succeed
     */
    public static Sandbox start(String... options) {
        List<String> command = new ArrayList<>(List.of(command(), "sandbox"));
        command.addAll(List.of(options));
        try {
            Process process =
                    new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
            BufferedReader output = new BufferedReader(
                    new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
            String line = output.readLine();
            if (line == null) {
                throw new IllegalStateException("the sandbox did not start: see above");
            }
            return new Sandbox(process, line);
        } catch (IOException error) {
            throw new UncheckedIOException("make test builds " + command.get(0), error);
        }
    }

    /** The command under test, from the same sources. */
    private static String command() {
        String given = System.getProperty("switchmaster.command", "");
        if (!given.isEmpty() && !given.startsWith("$")) {
            return given;
        }
        for (Path at = Paths.get("").toAbsolutePath(); at != null; at = at.getParent()) {
            Path found = at.resolve("target/debug/switchmaster");
            if (Files.isExecutable(found)) {
                return found.toString();
            }
        }
        throw new IllegalStateException("target/debug/switchmaster is missing: cargo build --features cli");
    }

    /**
     * The URL of its service.
     *
     * @return it, without options
     */
    public String url() {
        return text("url");
    }

    /**
     * The name of its service.
     *
     * @return it
     */
    public String service() {
        return text("service");
    }

    /**
     * The master that it began with.
     *
     * @return {@code host:port}
     */
    public String firstMaster() {
        return text("master");
    }

    /**
     * The master that the first sentinel names now.
     *
     * @return {@code host:port}
     */
    public String master() {
        String reply = ask(sentinels().get(0), "SENTINEL", "GET-MASTER-ADDR-BY-NAME", service());
        String[] words = reply.split("\r\n");
        return words[2] + ":" + words[4];
    }

    /**
     * The sentinels.
     *
     * @return {@code host:port} each
     */
    public List<String> sentinels() {
        return texts("sentinels");
    }

    /**
     * The replicas that it began with.
     *
     * @return {@code host:port} each
     */
    public List<String> replicas() {
        return texts("replicas");
    }

    /**
     * Ends a server at once: SIGKILL.
     *
     * @param address whose
     */
    public void kill(String address) {
        signal(address, "KILL");
    }

    /**
     * Stops a server without ending its connections: SIGSTOP.
     *
     * @param address whose
     */
    public void freeze(String address) {
        signal(address, "STOP");
    }

    /**
     * Lets a server go on: SIGCONT.
     *
     * @param address whose
     */
    public void thaw(String address) {
        signal(address, "CONT");
    }

    /**
     * Asks the first sentinel for a planned failover; again while it refuses, as it does soon after another.
     */
    public void failover() {
        await("a sentinel agrees to a failover",
                () -> ask(sentinels().get(0), "SENTINEL", "FAILOVER", service()).startsWith("+OK"));
    }

    /** As {@link #settle(int)}, for two replicas. */
    public void settle() {
        settle(2);
    }

    /**
     * Waits until the master sends its replicas all that is written: right after their first synchronisation
     * it holds the stream back until they have said that they are ready, up to a second, and a failover loses
     * what it holds.
     *
     * @param replicas how many there are
     */
    public void settle(int replicas) {
        await("the replicas get what is written", () -> {
            String master = master();
            ask(master, "SET", "settled", "1");
            String said = ask(master, "INFO", "replication");
            Matcher offset = Pattern.compile("master_repl_offset:(\\d+)").matcher(said);
            Matcher online = Pattern.compile("state=online,offset=(\\d+)").matcher(said);
            int good = 0;
            while (online.find()) {
                good += Long.parseLong(online.group(1)) > 0 ? 1 : 0;
            }
            return offset.find() && good == replicas;
        });
    }

    private void signal(String address, String signal) {
        try {
            int status = new ProcessBuilder("kill", "-" + signal, String.valueOf(pids.get(address)))
                    .inheritIO().start().waitFor();
            if (status != 0) {
                throw new IllegalStateException("kill -" + signal + " failed for " + address);
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        } catch (InterruptedException interrupted) {
            throw new IllegalStateException(interrupted);
        }
    }

    /**
     * Sends a command to a server, past every client.
     *
     * @param address whose
     * @param words the command
     * @return what it replies, as RESP; empty when it cannot be asked
     */
    public String ask(String address, String... words) {
        int colon = address.lastIndexOf(':');
        try (Socket socket = new Socket()) {
            socket.setSoTimeout(1_000);
            socket.connect(new InetSocketAddress(
                    address.substring(0, colon), Integer.parseInt(address.substring(colon + 1))), 1_000);
            StringBuilder command = new StringBuilder("*" + words.length + "\r\n");
            for (String word : words) {
                command.append("$").append(word.getBytes(StandardCharsets.UTF_8).length).append("\r\n")
                        .append(word).append("\r\n");
            }
            OutputStream out = socket.getOutputStream();
            out.write(command.toString().getBytes(StandardCharsets.UTF_8));
            out.flush();
            StringBuilder reply = new StringBuilder();
            read(socket.getInputStream(), reply);
            return reply.toString();
        } catch (IOException unreachable) {
            return "";
        }
    }

    /**
     * Ends a node's connections, but for those of the sentinels: a sentinel that loses one holds the node
     * for down a second later, and the others with it, and then they fail over.
     *
     * @param address whose
     * @param type of clients, as {@code CLIENT LIST} names it: normal or pubsub
     */
    public void endConnections(String address, String type) {
        Matcher client = CLIENT.matcher(ask(address, "CLIENT", "LIST", "TYPE", type));
        while (client.find()) {
            if (!client.group(2).startsWith("sentinel-")) {
                ask(address, "CLIENT", "KILL", "ID", client.group(1));
            }
        }
    }

    /** One reply, with all that is in it. */
    private static void read(InputStream in, StringBuilder into) throws IOException {
        int begin = into.length();
        while (into.length() < begin + 2 || into.charAt(into.length() - 1) != '\n') {
            int next = in.read();
            if (next < 0) {
                throw new IOException("it ended");
            }
            into.append((char) next);
        }
        char kind = into.charAt(begin);
        if (kind == '$' || kind == '*') {
            int count = Integer.parseInt(into.substring(begin + 1, into.length() - 2));
            if (kind == '$' && count >= 0) {
                into.append(new String(in.readNBytes(count + 2), StandardCharsets.UTF_8));
            }
            for (int at = 0; kind == '*' && at < count; at++) {
                read(in, into);
            }
        }
    }

    /**
     * Waits for a condition; fails the test when it does not come true.
     *
     * @param what it is, in words
     * @param condition it
     */
    public static void await(String what, BooleanSupplier condition) {
        long end = System.nanoTime() + PATIENCE.toNanos();
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > end) {
                throw new AssertionError("not within " + PATIENCE.toSeconds() + " s: " + what);
            }
            try {
                TimeUnit.MILLISECONDS.sleep(5);
            } catch (InterruptedException interrupted) {
                throw new IllegalStateException(interrupted);
            }
        }
    }

    private String text(String name) {
        Matcher matcher = Pattern.compile("\"" + name + "\":\"([^\"]*)\"").matcher(line);
        if (!matcher.find()) {
            throw new IllegalStateException("no " + name + " in " + line);
        }
        return matcher.group(1);
    }

    private List<String> texts(String name) {
        Matcher matcher = Pattern.compile("\"" + name + "\":\\[([^\\]]*)\\]").matcher(line);
        if (!matcher.find()) {
            throw new IllegalStateException("no " + name + " in " + line);
        }
        List<String> texts = new ArrayList<>();
        for (String text : matcher.group(1).split(",")) {
            texts.add(text.replace("\"", ""));
        }
        return texts;
    }

    /** Ends all of it. */
    @Override
    public void close() {
        try {
            // It ends when its input does, and ends what it started first.
            process.getOutputStream().close();
            if (!process.waitFor(20, TimeUnit.SECONDS)) {
                process.destroyForcibly();
            }
        } catch (IOException ended) {
            process.destroyForcibly();
        } catch (InterruptedException interrupted) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
        }
    }
}
