package io.switchmaster;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * What a factory did since it was opened, and the state of its pool. Gauges mean what HikariCP's mean.
 *
 * @param total connections of the current generation, idle and in use
 * @param idle connections that nobody uses
 * @param inUse handles that are out
 * @param waiting threads that wait for a handle now
 * @param max connections that there may be at most
 * @param min connections that are to lie idle
 * @param checkouts checkouts of handles, to the master and to replicas
 * @param waits handles given out after a wait
 * @param waitMicros microseconds that threads waited for handles, all together
 * @param timeouts calls that waited until their deadline in vain
 * @param leaks handles that were out for longer than {@code leak_after}
 * @param connectionsCreated connections made and verified
 * @param connectionsBroken connections that broke while a command used them
 * @param dialFailures dials of a node that failed
 * @param switches switches to another master, the first master included
 * @param moved commands that moved to a new connection before anything was sent
 * @param errorsNotSent commands that failed with {@link Outcome#NOT_SENT}
 * @param errorsUnknown commands that failed with {@link Outcome#UNKNOWN}
 * @param fences how often commands were made to wait behind the fence
 * @param doubtfulCommands commands that ran on a master while it was open whether it is the master
 * @param overruledCommands those of them whose master had been replaced: writes among them may be lost
 * @param watchFaults faults inside the watch that were survived
 * @param malformedMessages messages of sentinels that could not be read
 * @param droppedMessages messages that came on handles between whole commands and were dropped: a {@link Lease} reads
 *     them
 * @param replicaTotal connections to the replicas that are read from, idle and in use
 * @param replicaIdle idle connections to the replicas that are read from
 * @param replicaInUse handles to the replicas that are read from
 */
public record Stats(
        long total,
        long idle,
        long inUse,
        long waiting,
        long max,
        long min,
        long checkouts,
        long waits,
        long waitMicros,
        long timeouts,
        long leaks,
        long connectionsCreated,
        long connectionsBroken,
        long dialFailures,
        long switches,
        long moved,
        long errorsNotSent,
        long errorsUnknown,
        long fences,
        long doubtfulCommands,
        long overruledCommands,
        long watchFaults,
        long malformedMessages,
        long droppedMessages,
        long replicaTotal,
        long replicaIdle,
        long replicaInUse) {

    /** The fields of {@code swm_stats} behind its size, in their order. */
    private static final int FIELDS = 27;

    /** What the native library counts; its pool's part is completed by the shelf above it. */
    static Stats read(Factory factory, Shelf shelf) {
        ByteBuffer memory = ByteBuffer.allocateDirect((1 + FIELDS) * Long.BYTES).order(ByteOrder.nativeOrder());
        memory.putLong(0, memory.capacity());
        Fault fault = new Fault();
        if (Native.factoryStats(factory.number(), Native.address(memory), fault.address()) != 0) {
            throw fault.exception();
        }
        long[] of = new long[FIELDS];
        for (int at = 0; at < FIELDS; at++) {
            of[at] = memory.getLong((1 + at) * Long.BYTES);
        }
        // What stands on the shelf is out to the native pool, and idle to everybody else.
        // What belongs to a master that was replaced is out to nobody.
        long standing = Math.min(shelf.count(Lease.IDLE), of[2]);
        long[] waited = shelf.counters().read();
        return new Stats(
                of[0], of[1] + standing, Math.max(0, of[2] - standing), of[3] + shelf.waiting(), of[4], of[5],
                shelf.uses() + waited[4], of[7] + waited[0], of[8] + waited[1] / 1_000, of[9] + waited[2], waited[3],
                of[11], of[12], of[13], of[14], of[15], of[16], of[17], of[18], of[19], of[20], of[21], of[22],
                of[23], of[24], of[25], of[26]);
    }
}
