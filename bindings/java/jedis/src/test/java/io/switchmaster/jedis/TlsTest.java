package io.switchmaster.jedis;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.switchmaster.testing.Child;
import io.switchmaster.testing.Sandbox;
import java.io.IOException;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLContext;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.Jedis;

/** With ssl(true), a pool trusts whom the virtual machine trusts, and shows what it shows. */
@Tag("long")
@SuppressWarnings("deprecation") // ssl(true), which every version of Jedis has.
final class TlsTest {
    private static final String PASSWORD = "changeit";

    @TempDir
    static Path folder;

    private static final List<Process> SERVERS = new ArrayList<>();
    private static int sentinel;

    @BeforeAll
    static void start() throws Exception {
        makeAuthority("ours");
        makeAuthority("theirs");
        makeKey("server", "ours");
        makeKey("client", "ours");
        makeKey("client-rsa", "ours");
        writePem();
        int master = free();
        sentinel = free();
        String tls = String.join("\n",
                "bind 127.0.0.1", "save \"\"", "dir " + folder, "tls-cert-file " + folder.resolve("server.pem"),
                "tls-key-file " + folder.resolve("server.key"), "tls-ca-cert-file " + folder.resolve("ours.pem"),
                "tls-replication yes", "port 0", "");
        run("redis-server", tls + "tls-auth-clients yes\ntls-port " + master + "\n", "master.conf");
        run("redis-sentinel", tls.replace("save \"\"\n", "") + "tls-auth-clients optional\ntls-port " + sentinel
                + "\nsentinel monitor mymaster 127.0.0.1 " + master + " 1\n", "sentinel.conf");
        Sandbox.await("the servers listen", () -> listens(master) && listens(sentinel));
    }

    @AfterAll
    static void end() throws InterruptedException {
        for (Process server : SERVERS) {
            server.destroyForcibly().waitFor();
        }
    }

    private static boolean listens(int port) {
        try {
            new java.net.Socket("127.0.0.1", port).close();
            return true;
        } catch (IOException notYet) {
            return false;
        }
    }

    private static int free() throws IOException {
        try (ServerSocket socket = new ServerSocket(0)) {
            return socket.getLocalPort();
        }
    }

    private static void run(String program, String settings, String file) throws IOException {
        Path path = folder.resolve(file);
        Files.writeString(path, settings);
        String named = System.getenv("SWITCHMASTER_" + program.toUpperCase(java.util.Locale.ROOT).replace('-', '_'));
        SERVERS.add(new ProcessBuilder(Optional.ofNullable(named).orElse(program), path.toString())
                .redirectErrorStream(true).redirectOutput(folder.resolve(file + ".log").toFile()).start());
    }

    private static void keytool(String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString()));
        command.addAll(List.of(arguments));
        command.addAll(List.of("-storepass", PASSWORD, "-storetype", "PKCS12"));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertTrue(process.waitFor(60, TimeUnit.SECONDS) && process.exitValue() == 0, command + ": " + said);
    }

    private static String file(String name) {
        return folder.resolve(name).toString();
    }

    /** An authority, and a trust store that has it and nothing else. */
    private static void makeAuthority(String name) throws Exception {
        keytool("-genkeypair", "-alias", name, "-keyalg", "EC", "-dname", "CN=" + name, "-ext", "bc:c",
                "-keystore", file(name + ".p12"));
        keytool("-exportcert", "-alias", name, "-rfc", "-file", file(name + ".pem"), "-keystore", file(name + ".p12"));
        keytool("-importcert", "-alias", name, "-noprompt", "-file", file(name + ".pem"),
                "-keystore", file(name + "-trust.p12"));
    }

    /** A key with a certificate of an authority. */
    private static void makeKey(String name, String authority) throws Exception {
        String store = file(name + ".p12");
        keytool("-genkeypair", "-alias", name, "-keyalg", name.endsWith("-rsa") ? "RSA" : "EC", "-dname", "CN=" + name,
                "-keystore", store);
        keytool("-certreq", "-alias", name, "-file", file(name + ".csr"), "-keystore", store);
        keytool("-gencert", "-alias", authority, "-infile", file(name + ".csr"), "-outfile", file(name + ".crt"),
                "-ext", "san=ip:127.0.0.1", "-keystore", file(authority + ".p12"));
        keytool("-importcert", "-alias", authority, "-noprompt", "-file", file(authority + ".pem"), "-keystore", store);
        keytool("-importcert", "-alias", name, "-noprompt", "-file", file(name + ".crt"), "-keystore", store);
        keytool("-delete", "-alias", authority, "-keystore", store);
    }

    /** The server's, as its own program reads it. */
    private static void writePem() throws Exception {
        KeyStore store = KeyStore.getInstance(folder.resolve("server.p12").toFile(), PASSWORD.toCharArray());
        StringBuilder chain = new StringBuilder();
        for (Certificate certificate : store.getCertificateChain("server")) {
            chain.append(pem("CERTIFICATE", certificate.getEncoded()));
        }
        Files.writeString(folder.resolve("server.pem"), chain);
        Files.writeString(folder.resolve("server.key"),
                pem("PRIVATE KEY", store.getKey("server", PASSWORD.toCharArray()).getEncoded()));
    }

    private static String pem(String what, byte[] content) {
        return "-----BEGIN " + what + "-----\n" + Base64.getMimeEncoder().encodeToString(content) + "\n-----END " + what
                + "-----\n";
    }

    private static List<String> trusting(String store) {
        return List.of("-Djavax.net.ssl.trustStore=" + file(store), "-Djavax.net.ssl.trustStorePassword=" + PASSWORD);
    }

    private static List<String> with(List<String> some, String... more) {
        List<String> all = new ArrayList<>(some);
        all.addAll(List.of(more));
        return all;
    }

    private static List<String> showing(String store) {
        return List.of("-Djavax.net.ssl.keyStore=" + file(store), "-Djavax.net.ssl.keyStorePassword=" + PASSWORD);
    }

    /** Returns the output of a program that opens a pool with ssl(true) in a virtual machine with these options. */
    private static String say(List<String> options, String... arguments) {
        try (Child child = Child.start(options, Opener.class,
                with(List.of(String.valueOf(sentinel)), arguments).toArray(new String[0]))) {
            return child.end();
        }
    }

    @Test
    void the_trust_store_and_the_key_store_of_the_virtual_machine_are_used() {
        for (String key : List.of("client.p12", "client-rsa.p12")) {
            String said = say(with(trusting("ours-trust.p12"), showing(key).toArray(new String[0])));
            assertTrue(said.contains("pool: PONG"), said);
        }
        // The nodes demand a certificate.
        String said = say(trusting("ours-trust.p12"));
        assertTrue(said.contains("pool: refused"), said);
    }

    @Test
    void a_server_of_another_authority_is_not_trusted() {
        String said = say(with(trusting("theirs-trust.p12"), showing("client.p12").toArray(new String[0])));
        assertTrue(said.contains("pool: refused"), said);
        assertTrue(said.contains("certificate"), said);
        // Nor by Java's own.
        said = say(showing("client.p12"));
        assertTrue(said.contains("pool: refused"), said);
    }

    @Test
    void the_trust_store_that_java_brings_can_be_read() {
        JvmCertificates found = JvmCertificates.read();
        assertTrue(found.authorities.split("BEGIN CERTIFICATE").length > 50, "few authorities");
        assertEquals(null, found.key);
        // All of them are understood: what is wrong is the server, which is none.
        String said = say(List.of(), "nowhere");
        assertTrue(said.contains("refused") && !said.contains("tls_ca"), said);
    }

    @Test
    void what_cannot_be_read_is_refused_by_its_name() {
        // A file that is not there is no fault to Java, which takes its own instead.
        String said = say(List.of("-Djavax.net.ssl.trustStore=NONE"));
        assertTrue(said.contains("no certificate in the trust store NONE"), said);
        assertTrue(said.contains("tls_ca"), said);
        said = say(with(trusting("ours-trust.p12"), "-Djavax.net.ssl.keyStore=NONE"));
        assertTrue(said.contains("javax.net.ssl.keyStore"), said);
        said = say(with(trusting("ours-trust.p12"), "-Djavax.net.ssl.keyStore=" + file("none.p12")));
        assertTrue(said.contains("none.p12"), said);
        said = say(trusting("ours-trust.p12"), "context");
        assertTrue(said.contains("SSLContext.setDefault"), said);
    }

    /** A program that opens a pool with what the virtual machine has. */
    static final class Opener {
        private Opener() {}

        /** Runs it. */
        public static void main(String[] arguments) throws Exception {
            List<String> how = List.of(arguments);
            if (how.contains("context")) {
                SSLContext other = SSLContext.getInstance("TLS");
                other.init(null, null, null);
                SSLContext.setDefault(other);
            }
            int port = how.contains("nowhere") ? 1 : Integer.parseInt(arguments[0]);
            DefaultJedisClientConfig tls = DefaultJedisClientConfig.builder().ssl(true).build();
            try (SwitchmasterPool pool = new SwitchmasterPool(
                            "mymaster", Set.of(new HostAndPort("127.0.0.1", port)), tls, tls);
                    Jedis jedis = pool.getResource()) {
                System.out.println("pool: " + jedis.ping());
            } catch (RuntimeException refused) {
                System.out.println("pool: refused: " + refused);
            }
        }
    }
}
