package io.switchmaster;

/** Looks for leases that were taken and not given back. */
final class Leaks {
    private final Shelf shelf;
    private final long afterMs;

    /** How often each lease had been taken when it was first seen out, and when that was. */
    private final long[] uses;
    private final long[] since;

    Leaks(Shelf shelf, long afterMs) {
        this.shelf = shelf;
        this.afterMs = afterMs;
        this.uses = new long[shelf.leases().length];
        this.since = new long[shelf.leases().length];
    }

    /** What is done with one. */
    interface Report {
        void leaked(Throwable place, long millis);
    }

    void look(Report report) {
        long now = System.nanoTime();
        Lease[] leases = shelf.leases();
        for (int at = 0; at < leases.length; at++) {
            Lease lease = leases[at];
            if (lease.state() != Lease.TAKEN || lease.uses() != Math.abs(uses[at])) {
                uses[at] = lease.uses();
                since[at] = now;
                continue;
            }
            long millis = (now - since[at]) / 1_000_000;
            if (uses[at] > 0 && millis >= afterMs) {
                // Negative: it was told.
                uses[at] = -uses[at];
                shelf.counters().leaked();
                report.leaked(lease.place(), millis);
            }
        }
    }
}
