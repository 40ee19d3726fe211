package io.switchmaster;

import java.util.ArrayList;
import java.util.List;

/**
 * Commands that are sent together, in one write, and whose replies are read together. They go to one
 * connection, so to one master; a failure is that of all of them. One thread at a time.
 */
public final class Pipeline {
    /** So much memory is kept for the next use. */
    private static final int KEPT = 64 << 10;

    private final Handle handle;
    private final RespWriter commands = new RespWriter(512);
    private int count;

    Pipeline(Handle handle) {
        this.handle = handle;
    }

    /**
     * Adds a command of text (UTF-8). Nothing is sent.
     *
     * @param words the command's name and its arguments
     * @return this pipeline
     */
    public Pipeline command(String... words) {
        commands.write(words);
        count++;
        return this;
    }

    /**
     * Adds a command of bytes. Nothing is sent.
     *
     * @param words the command's name and its arguments
     * @return this pipeline
     */
    public Pipeline command(byte[]... words) {
        commands.write(words);
        count++;
        return this;
    }

    /**
     * How many commands are to be sent.
     *
     * @return the number
     */
    public int size() {
        return count;
    }

    /**
     * Sends what was added, and waits for all replies. Afterwards the pipeline is empty, however it ended.
     * Blocks as {@link Handle#command(String...)} does, for all commands together.
     *
     * @return the replies, in the order of the commands; errors of the server are among them, see
     *     {@link Reply#isError()}
     * @throws SwitchmasterException when it fails; the outcome is that of all commands
     */
    public List<Reply> execute() {
        int sent = count;
        count = 0;
        try {
            return sent == 0 ? new ArrayList<>() : handle.execute(commands, sent);
        } finally {
            commands.reset(KEPT);
        }
    }
}
