package io.switchmaster.demo;

import io.switchmaster.jedis.SwitchmasterPool;
import io.switchmaster.testing.Sandbox;
import java.util.HashSet;
import java.util.Set;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisSentinelPool;
import redis.clients.jedis.util.Pool;

/**
 * The same service twice, on the same cluster: once on JedisSentinelPool, once on SwitchmasterPool, which is
 * one line of difference. The master is killed, then replaced by plan, and a timeline of both is printed.
 */
public final class Demo {
    private static final int BEFORE = 3;
    private static final int WIDTH = 30;

    private Demo() {}

    /**
     * Runs it.
     *
     * @param arguments none
     */
    @SuppressWarnings("deprecation") // It is what many services have.
    public static void main(String[] arguments) {
        System.out.println("Starting a master, two replicas and three sentinels on loopback.");
        try (Sandbox sandbox = Sandbox.start()) {
            Set<String> sentinels = new HashSet<>(sandbox.sentinels());
            long begun = System.nanoTime();
            try (Pool<Jedis> oldPool = new JedisSentinelPool(sandbox.service(), sentinels);
                    Pool<Jedis> newPool = new SwitchmasterPool(sandbox.service(), sentinels);
                    Service before = new Service(oldPool, "JedisSentinelPool", begun);
                    Service after = new Service(newPool, "SwitchmasterPool", begun)) {
                pause(1_500);
                sandbox.settle();

                int killed = slot(begun);
                sandbox.kill(sandbox.firstMaster());
                awaitWrites(before, after);
                print("kill -9 of the master", before, after, killed, slot(begun));

                sandbox.settle(1);
                String master = sandbox.master();
                int planned = slot(begun);
                sandbox.failover();
                Sandbox.await("the sentinels name another master", () -> !master.equals(sandbox.master()));
                awaitWrites(before, after);
                print("SENTINEL FAILOVER, as before an upgrade", before, after, planned, slot(begun));

                before.stop();
                after.stop();
                System.out.printf("%nAcknowledged increments that the server does not have:"
                        + " JedisSentinelPool %d, SwitchmasterPool %d%n",
                        before.acknowledged() - Math.min(before.acknowledged(), before.counted()),
                        after.acknowledged() - Math.min(after.acknowledged(), after.counted()));
            }
        }
    }

    private static int slot(long begun) {
        return (int) ((System.nanoTime() - begun) / 1_000_000 / Service.SLOT_MS);
    }

    private static void awaitWrites(Service before, Service after) {
        // The thread that asks for each is stuck no longer than the slower of the two.
        pause(500);
        long one = before.acknowledged();
        long other = after.acknowledged();
        Sandbox.await("both write again",
                () -> before.acknowledged() > one + 2_000 && after.acknowledged() > other + 2_000);
    }

    private static void print(String fault, Service before, Service after, int from, int to) {
        long most = 1;
        for (int at = from - BEFORE; at < to; at++) {
            most = Math.max(most, Math.max(before.writes(at), after.writes(at)));
        }
        System.out.printf("%n%s%n%8s  %-" + WIDTH + "s %15s  %-" + WIDTH + "s%n", fault, "ms",
                "JedisSentinelPool", "", "SwitchmasterPool");
        for (int at = from - BEFORE; at < to; at++) {
            System.out.printf("%8d  %s  %s%n", (at - from) * Service.SLOT_MS, bar(before, at, most),
                    bar(after, at, most));
        }
        System.out.printf("%8s  %-" + (WIDTH + 16) + "s  %s%n", "", summary(before, from, to),
                summary(after, from, to));
    }

    private static String bar(Service service, int slot, long most) {
        long writes = service.writes(slot);
        int length = (int) (writes * WIDTH / most);
        String bar = "#".repeat(length) + (writes > 0 && length == 0 ? "." : "");
        long failures = service.failures(slot);
        return String.format("%-" + WIDTH + "s %6d %8s", bar, writes, failures == 0 ? "" : failures + " err");
    }

    private static String summary(Service service, int from, int to) {
        int longest = 0;
        int silent = 0;
        long failures = 0;
        for (int at = from; at < to; at++) {
            silent = service.writes(at) == 0 ? silent + 1 : 0;
            longest = Math.max(longest, silent);
            failures += service.failures(at);
        }
        return (longest == 0 ? "never silent for " + Service.SLOT_MS + " ms" : "silent for "
                + longest * Service.SLOT_MS + " ms") + ", " + failures + " failures";
    }

    private static void pause(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException interrupted) {
            throw new IllegalStateException(interrupted);
        }
    }
}
