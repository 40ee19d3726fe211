package io.switchmaster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.switchmaster.testing.Child;
import io.switchmaster.testing.Sandbox;
import io.switchmaster.testing.Workers;
import java.io.IOException;
import java.lang.ref.WeakReference;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Credentials that a provider supplies, and that change while a factory is open. */
final class CredentialsTest {
    private Sandbox sandbox;

    @BeforeEach
    void start() {
        sandbox = Sandbox.start();
    }

    @AfterEach
    void end() {
        sandbox.close();
    }

    private List<String> nodes() {
        List<String> nodes = new ArrayList<>(sandbox.replicas());
        nodes.add(sandbox.firstMaster());
        return nodes;
    }

    /** The user exists on these servers, and has this password alone. */
    private void grant(List<String> servers, String user, String password) {
        for (String server : servers) {
            assertEquals("+OK\r\n", sandbox.ask(server, "ACL", "SETUSER", user, "reset", "on", ">" + password,
                    "allkeys", "allchannels", "+@all"));
        }
    }

    private void endConnections() {
        for (String node : nodes()) {
            sandbox.endConnections(node, "normal");
        }
    }

    private Factory open(CredentialsProvider provider) {
        return Factory.builder(sandbox.url()).credentials(provider).build();
    }

    private static boolean writes(Factory factory) {
        try {
            return factory.run(redis -> redis.command("SET", "key", "value")).asString().equals("OK");
        } catch (SwitchmasterException failed) {
            return false;
        }
    }

    private static String user(Factory factory) {
        return factory.run(redis -> redis.command("ACL", "WHOAMI")).asString();
    }

    @Test
    void a_changed_password_is_used_for_new_connections_and_after_a_failover() {
        grant(nodes(), "app", "one");
        AtomicReference<Credentials> vault = new AtomicReference<>(new Credentials("app", "one"));
        AtomicInteger calls = new AtomicInteger();
        try (Factory factory = open(() -> {
            calls.incrementAndGet();
            return vault.get();
        })) {
            assertEquals("app", user(factory));
            grant(nodes(), "app", "two");
            endConnections();
            Sandbox.await("the old password is refused", () -> {
                try (Handle redis = factory.get(Duration.ofMillis(500))) {
                    return redis.command("PING") == null;
                } catch (SwitchmasterException failed) {
                    assertFalse(failed.getMessage().contains("one"), failed.getMessage());
                    return failed.getMessage().contains("refused the credentials");
                }
            });
            vault.set(new Credentials("app", "two"));
            int before = calls.get();
            Sandbox.await("the new one is used", () -> writes(factory));
            assertTrue(calls.get() > before, "it is called at each dial");
            sandbox.settle();
            sandbox.failover();
            assertTrue(factory.waitForGeneration(1, Duration.ofSeconds(30)).isPresent());
            Sandbox.await("the new master is written to", () -> writes(factory));
            assertEquals("app", user(factory));
        }
    }

    @Test
    void connections_that_stand_idle_log_in_again() {
        grant(nodes(), "earlier", "one");
        grant(nodes(), "later", "two");
        AtomicReference<Credentials> vault = new AtomicReference<>(new Credentials("earlier", "one"));
        try (Factory factory = open(vault::get)) {
            assertEquals("earlier", user(factory));
            assertEquals(1, factory.shelf().count(Lease.IDLE));
            vault.set(new Credentials("later", "two"));
            factory.refresh();
            Sandbox.await("it is the later one", () -> user(factory).equals("later"));
        }
    }

    @Test
    void the_sentinels_have_a_provider_of_their_own() {
        grant(sandbox.sentinels(), "watcher", "one");
        AtomicReference<Credentials> vault = new AtomicReference<>(new Credentials("watcher", "one"));
        CredentialsProvider provider = () -> {
            Credentials content = vault.get();
            if (content == null) {
                throw new IOException("the vault is sealed");
            }
            return content;
        };
        try (Factory factory = Factory.builder(sandbox.url()).sentinelCredentials(provider).build()) {
            Sandbox.await("all name the master", () -> factory.topology().agreeing() == 3);
            vault.set(null);
            for (String sentinel : sandbox.sentinels()) {
                assertEquals(":1\r\n", sandbox.ask(sentinel, "ACL", "DELUSER", "watcher"));
            }
            Sandbox.await("the reason is told",
                    () -> factory.topology().json().contains("failed: the vault is sealed"));
            grant(sandbox.sentinels(), "watcher", "two");
            vault.set(new Credentials("watcher", "two"));
            Sandbox.await("they are listened to again",
                    () -> !factory.topology().json().contains("the vault is sealed")
                            && factory.topology().agreeing() == 3);
            assertTrue(writes(factory));
        }
    }

    private void isRefused(CredentialsProvider provider, String reason) {
        Builder builder = Factory.builder(sandbox.url()).credentials(provider).connectTimeout(Duration.ofSeconds(2));
        SwitchmasterException failed = assertThrows(SwitchmasterException.class, builder::build);
        String said = failed.toString();
        assertTrue(said.contains("the credentials provider failed") && said.contains(reason), reason + ": " + said);
        assertFalse(said.contains("hunter2"), said);
    }

    private static final class Mute extends Exception {
        private static final long serialVersionUID = 1L;

        @Override
        public String getMessage() {
            throw new IllegalStateException("an exception that fails");
        }
    }

    @Test
    void a_provider_that_fails_is_reported_and_shows_no_password() {
        isRefused(() -> {
            throw new IOException("the vault\nis \u0000sealed");
        }, "the vault is sealed");
        isRefused(() -> {
            throw new StackOverflowError();
        }, "java.lang.StackOverflowError");
        isRefused(() -> {
            throw new OutOfMemoryError("on purpose");
        }, "on purpose");
        isRefused(() -> {
            throw new Mute();
        }, Mute.class.getName());
        isRefused(() -> null, "it returned null");
        isRefused(() -> new Credentials("", "hunter2"), "empty user name");
        isRefused(() -> new Credentials(""), "empty password");
        isRefused(() -> new Credentials("app", "hunter2".repeat(5_000)), "35000 bytes");
        isRefused(() -> new Credentials("app", "hunter2\u0000"), "the password has a NUL in it");
        Builder both = Factory.builder(sandbox.url()).password("hunter2").credentials(() -> null);
        SwitchmasterException failed = assertThrows(SwitchmasterException.class, both::build);
        assertEquals(ErrorKind.INVALID_CONFIG, failed.kind());
        assertTrue(failed.getMessage().contains("set together with password"), failed.getMessage());
        assertThrows(NullPointerException.class, () -> both.credentials(null));
        assertThrows(NullPointerException.class, () -> both.sentinelCredentials(null));
        String shown = new Credentials("app", "hunter2").toString();
        assertTrue(shown.contains("app") && !shown.contains("hunter2"), shown);
    }

    @Test
    void passwords_are_utf_8() {
        grant(nodes(), "büro", "geheim ☃ 😀");
        try (Factory factory = open(() -> new Credentials("büro", "geheim ☃ 😀"))) {
            assertEquals("büro", user(factory));
        }
    }

    @Test
    void a_provider_is_called_on_a_daemon_thread_with_the_class_loader_of_its_class() {
        grant(nodes(), "app", "one");
        AtomicReference<String> seen = new AtomicReference<>();
        try (Factory factory = open(new CredentialsProvider() {
            @Override
            public Credentials credentials() {
                Thread thread = Thread.currentThread();
                boolean own = thread.getContextClassLoader() == getClass().getClassLoader();
                seen.set(thread.getName() + " " + thread.isDaemon() + " " + own);
                return new Credentials("app", "one");
            }
        })) {
            assertEquals("switchmaster-credentials true true", seen.get());
            assertTrue(writes(factory));
        }
    }

    @Test
    void a_provider_may_use_and_close_its_own_factory() {
        grant(nodes(), "app", "one");
        AtomicReference<Factory> factory = new AtomicReference<>();
        AtomicReference<String> master = new AtomicReference<>();
        CountDownLatch closed = new CountDownLatch(1);
        factory.set(open(() -> {
            Factory own = factory.get();
            if (own != null) {
                master.set(own.master().orElse("none"));
                own.close();
                closed.countDown();
            }
            return new Credentials("app", "one");
        }));
        // The calls made while it was opened may all have come before the reference was set: a dial
        // that follows now calls it once more.
        endConnections();
        Sandbox.await("it closes it", () -> {
            writes(factory.get());
            return closed.getCount() == 0;
        });
        assertEquals(sandbox.firstMaster(), master.get());
        assertEquals(ErrorKind.CLOSED,
                assertThrows(SwitchmasterException.class, () -> factory.get().get()).kind());
        Sandbox.await("no thread is left", () -> names().isEmpty());
    }

    @Test
    void a_provider_that_never_returns_delays_neither_close_nor_another_factory() throws InterruptedException {
        grant(nodes(), "app", "one");
        CountDownLatch release = new CountDownLatch(1);
        CountDownLatch blocked = new CountDownLatch(1);
        AtomicReference<Boolean> hangs = new AtomicReference<>(false);
        Factory factory = open(() -> {
            if (hangs.get()) {
                blocked.countDown();
                release.await();
            }
            return new Credentials("app", "one");
        });
        try (Factory beside = Factory.open(sandbox.url()); Workers workers = new Workers()) {
            hangs.set(true);
            factory.refresh();
            endConnections();
            Sandbox.await("it is called", () -> blocked.getCount() == 0);
            Sandbox.await("a dial is given up", () -> {
                SwitchmasterException failed = assertThrows(SwitchmasterException.class, () -> {
                    try (Handle redis = factory.get(Duration.ofMillis(300))) {
                        redis.command("PING");
                    }
                });
                return failed.getMessage().contains("provider failed: no answer within");
            });
            Sandbox.await("another factory works", () -> writes(beside));
            CountDownLatch closed = new CountDownLatch(1);
            workers.start(() -> {
                factory.close();
                closed.countDown();
            });
            Sandbox.await("it is closed", () -> closed.getCount() == 0);
            assertEquals(1, release.getCount(), "while the call is under way");
        } finally {
            release.countDown();
            factory.close();
        }
        Sandbox.await("no thread is left", () -> names().isEmpty());
    }

    private static List<String> names() {
        return Thread.getAllStackTraces().keySet().stream()
                .map(Thread::getName).filter(it -> it.startsWith("switchmaster-")).toList();
    }

    /** It refers to its factory, as one may that is a bean of the same application. */
    private static final class Entangled implements CredentialsProvider {
        private Factory factory;
        private final byte[] size = new byte[1 << 20];

        @Override
        public Credentials credentials() {
            return new Credentials("app", size.length == 0 ? "" : "one");
        }
    }

    private WeakReference<Entangled> entangled(boolean closed) {
        Entangled provider = new Entangled();
        provider.factory = open(provider);
        assertTrue(writes(provider.factory));
        if (closed) {
            provider.factory.close();
        }
        return new WeakReference<>(provider);
    }

    @Test
    void providers_are_collected_when_their_factories_are_closed_or_lost() {
        grant(nodes(), "app", "one");
        List<WeakReference<Entangled>> providers = new ArrayList<>();
        for (int round = 0; round < 200; round++) {
            providers.add(entangled(round % 20 != 0));
        }
        Sandbox.await("all are collected", () -> {
            System.gc();
            return providers.stream().allMatch(it -> it.get() == null);
        });
        Sandbox.await("no thread is left", () -> names().isEmpty());
    }

    /** The checks of JNI print what a call does wrong; the end of the virtual machine waits for no provider. */
    @Test
    void a_virtual_machine_ends_while_a_provider_is_called_and_its_checks_find_nothing() {
        grant(nodes(), "app", "one");
        try (Child child = Child.start(List.of(), Blocked.class, sandbox.url())) {
            assertTrue(child.end().contains("the last line"), child.output());
        }
    }

    static final class Blocked {
        private Blocked() {}

        public static void main(String[] arguments) throws InterruptedException {
            AtomicInteger calls = new AtomicInteger();
            CountDownLatch blocked = new CountDownLatch(1);
            CredentialsProvider provider = () -> {
                switch (calls.incrementAndGet()) {
                    case 1:
                        return new Credentials("app", "one");
                    case 2:
                        throw new IOException("on purpose");
                    default:
                        blocked.countDown();
                        Thread.sleep(Long.MAX_VALUE);
                        return null;
                }
            };
            Factory factory = Factory.builder(arguments[0]).credentials(provider).build();
            while (blocked.getCount() > 0) {
                factory.refresh();
                Thread.sleep(10);
            }
            System.out.println("the last line");
        }
    }
}
