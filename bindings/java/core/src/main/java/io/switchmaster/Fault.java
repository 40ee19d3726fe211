package io.switchmaster;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** Where a native writes why it failed: a {@code swm_error} in memory of our own. */
final class Fault {
    /** The size of {@code swm_error}, and where its fields lie. */
    static final int SIZE = 4 + 4 + 24 + 256;

    private static final int OUTCOME_AT = 4;
    private static final int MESSAGE_AT = 4 + 4 + 24;

    private final ByteBuffer memory;
    private final long address;

    Fault() {
        this(ByteBuffer.allocateDirect(SIZE));
    }

    private Fault(ByteBuffer memory) {
        this.memory = memory.order(ByteOrder.nativeOrder());
        this.address = Native.address(memory);
    }

    long address() {
        return address;
    }

    /** The exception for what was written last. */
    SwitchmasterException exception() {
        ErrorKind kind = ErrorKind.of(memory.getInt(0));
        return new SwitchmasterException(kind, Outcome.of(memory.getInt(OUTCOME_AT)), message());
    }

    ErrorKind kind() {
        return ErrorKind.of(memory.getInt(0));
    }

    private String message() {
        byte[] text = new byte[SIZE - MESSAGE_AT];
        memory.get(MESSAGE_AT, text);
        int end = 0;
        while (end < text.length && text[end] != 0) {
            end++;
        }
        return new String(text, 0, end, StandardCharsets.UTF_8);
    }
}
