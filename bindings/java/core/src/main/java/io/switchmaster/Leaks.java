package io.switchmaster;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** Looks for leases that were taken and not returned: those of the shelf, and those beside it. */
final class Leaks {
    private final Shelf shelf;
    private final long afterMs;

    /** Handles to replicas, and to the next master beside the shelf, that are in use. */
    private final Set<Lease> loose = ConcurrentHashMap.newKeySet();

    Leaks(Shelf shelf, long afterMs) {
        this.shelf = shelf;
        this.afterMs = afterMs;
    }

    /** What is done with one. */
    interface Report {
        void leaked(Throwable place, long millis);
    }

    /** Watches it from now on, until it is returned. */
    void add(Lease lease) {
        loose.add(lease);
    }

    void remove(Lease lease) {
        loose.remove(lease);
    }

    /** Reports each lease once for each use. The housekeeper calls this once a second. */
    synchronized void look(Report report) {
        long now = System.nanoTime();
        shelf.forEach(lease -> look(lease, now, report));
        loose.forEach(lease -> look(lease, now, report));
    }

    private void look(Lease lease, long now, Report report) {
        long use = lease.uses();
        if (lease.state() != Lease.TAKEN || use != lease.seenUse) {
            lease.seenUse = use;
            lease.seenSince = now;
            lease.reported = false;
            return;
        }
        long millis = (now - lease.seenSince) / 1_000_000;
        if (use > 0 && millis >= afterMs && !lease.reported) {
            lease.reported = true;
            shelf.counters().leaked();
            report.leaked(lease.whereTaken(), millis);
        }
    }
}
