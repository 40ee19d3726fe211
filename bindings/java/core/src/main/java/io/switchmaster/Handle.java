package io.switchmaster;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.List;

/**
 * One connection to the master, or to a replica, that was taken from a {@link Factory}. Close it to give it
 * back.
 *
 * <p>When the master is replaced, the next command goes to the new one, without an error, unless the handle
 * held state that is lost: an open MULTI, a WATCH, another database, and the like. A command that was on its
 * way fails with {@link ErrorKind#SWITCHED} and {@link Outcome#UNKNOWN}, within milliseconds. While the
 * master is being replaced, commands wait before they are sent.
 *
 * <p><b>Blocking.</b> A command blocks at most for {@code command_timeout} (2 s unless set), the wait behind
 * the fence included; a blocking command such as BLPOP for its own timeout on top of that, and without end
 * where that is 0, or until the switch. When the handle has to move to another connection, it may wait for
 * that one for {@code get_timeout} first. {@link Thread#interrupt()} ends no wait. A virtual thread does not
 * hold its carrier while it waits.
 *
 * <p><b>Threads.</b> One at a time. A call of a second thread at the same time, a call after the close, and a
 * second close are a {@link SwitchmasterException} of kind {@link ErrorKind#BUSY} or {@link ErrorKind#DEAD},
 * and do no harm.
 */
public final class Handle implements AutoCloseable {
    private static final int FREE = 0;
    private static final int IN_USE = 1;
    private static final int CLOSED = 2;

    private static final VarHandle STATE;

    static {
        try {
            STATE = MethodHandles.lookup().findVarHandle(Handle.class, "state", int.class);
        } catch (ReflectiveOperationException impossible) {
            throw new ExceptionInInitializerError(impossible);
        }
    }

    private final Lease lease;

    @SuppressWarnings("unused") // By its VarHandle.
    private volatile int state;

    Handle(Lease lease) {
        this.lease = lease;
    }

    /**
     * Sends a command of text (UTF-8), and waits for its reply.
     *
     * @param words the command's name and its arguments
     * @return the reply
     * @throws ServerException when the server replies with an error
     * @throws SwitchmasterException when it fails otherwise; its outcome says whether it may have run
     */
    public Reply command(String... words) {
        begin();
        try {
            RespWriter writer = lease.writer();
            writer.write(words);
            return single(writer);
        } finally {
            end();
        }
    }

    /**
     * Sends a command of bytes, and waits for its reply.
     *
     * @param words the command's name and its arguments
     * @return the reply
     * @throws ServerException when the server replies with an error
     * @throws SwitchmasterException when it fails otherwise; its outcome says whether it may have run
     */
    public Reply command(byte[]... words) {
        begin();
        try {
            RespWriter writer = lease.writer();
            writer.write(words);
            return single(writer);
        } finally {
            end();
        }
    }

    private Reply single(RespWriter commands) {
        Reply reply = lease.exchange(commands, 1).next();
        if (reply.isError()) {
            throw reply.error();
        }
        return reply;
    }

    /**
     * Collects commands that are to be sent together.
     *
     * @return a new pipeline on this handle
     */
    public Pipeline pipeline() {
        return new Pipeline(this);
    }

    List<Reply> execute(RespWriter commands, int count) {
        begin();
        try {
            RespReader reader = lease.exchange(commands, count);
            List<Reply> replies = new ArrayList<>(count);
            for (int at = 0; at < count; at++) {
                replies.add(reader.next());
            }
            return replies;
        } finally {
            lease.giveSpare(commands);
            end();
        }
    }

    /** For the commands of a pipeline. A handle that cannot be used says so when they are to be sent. */
    RespWriter spareWriter() {
        if (!STATE.compareAndSet(this, FREE, IN_USE)) {
            return new RespWriter(Lease.FIRST);
        }
        try {
            return lease.takeSpare();
        } finally {
            end();
        }
    }

    /**
     * The generation that this handle's connection belongs to: it grows at each switch. Of a connection to a
     * replica, a number of its own.
     *
     * @return the generation; 0 when there is no connection at the moment
     */
    public long generation() {
        begin();
        try {
            return lease.generation();
        } finally {
            end();
        }
    }

    /**
     * Gives the connection back. Blocks never.
     *
     * @throws SwitchmasterException when another thread is using it (it stays open then), or it was closed
     */
    @Override
    public void close() {
        if (!STATE.compareAndSet(this, FREE, CLOSED)) {
            throw unusable();
        }
        lease.release();
    }

    private void begin() {
        if (!STATE.compareAndSet(this, FREE, IN_USE)) {
            throw unusable();
        }
    }

    private void end() {
        STATE.setRelease(this, FREE);
    }

    private SwitchmasterException unusable() {
        boolean closed = (int) STATE.getVolatile(this) == CLOSED;
        return closed
                ? new SwitchmasterException(ErrorKind.DEAD, Outcome.NOT_SENT, "this handle was closed before")
                : new SwitchmasterException(ErrorKind.BUSY, Outcome.NOT_SENT,
                        "this handle is in use by another thread; one thread at a time may use it");
    }

    /** For logs. Blocks never. */
    @Override
    public String toString() {
        String name = "Handle{" + lease.factory.name();
        // As its user for a moment: to look on while another one uses it would be in that one's way.
        if (STATE.compareAndSet(this, FREE, IN_USE)) {
            try {
                return name + ", generation " + lease.generation() + "}";
            } finally {
                end();
            }
        }
        return name + ((int) STATE.getVolatile(this) == CLOSED ? ", closed}" : ", in use}");
    }
}
