package io.switchmaster;

import java.util.ArrayList;
import java.util.List;

/**
 * Commands that are sent together, in one write, and whose replies are read together. They go to one
 * connection, so to one master; a failure is that of all of them. One thread at a time.
 */
public final class Pipeline {
    private final Handle handle;

    /** While there are commands; null otherwise. */
    private RespWriter commands;

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
        writer().write(words);
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
        writer().write(words);
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
        if (sent == 0) {
            return new ArrayList<>();
        }
        RespWriter written = commands;
        commands = null;
        count = 0;
        return handle.execute(written, sent);
    }

    private RespWriter writer() {
        if (commands == null) {
            commands = handle.spareWriter();
        }
        return commands;
    }
}
