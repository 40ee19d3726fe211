package io.switchmaster;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** Writes commands (RESP) into the memory of a lease. */
final class RespWriter {
    /** A number of 32 bits, with what stands around it. */
    private static final int FRAMING = 16;

    private final Lease lease;
    private ByteBuffer out;

    RespWriter(Lease lease) {
        this.lease = lease;
        this.out = lease.memory();
    }

    /** How long what was written is. */
    int length() {
        return out.position();
    }

    void write(String[] words) {
        begin(words.length);
        for (String word : words) {
            write(word);
        }
    }

    void write(byte[][] words) {
        begin(words.length);
        for (byte[] word : words) {
            if (word == null) {
                throw SwitchmasterException.argument("a word of a command is null");
            }
            write(word);
        }
    }

    private void begin(int words) {
        if (words == 0) {
            throw SwitchmasterException.argument("a command has at least its name, and this one has no word");
        }
        reserve(FRAMING);
        head('*', words);
    }

    private void write(byte[] word) {
        reserve(word.length + 2 * FRAMING);
        head('$', word.length);
        out.put(word).put((byte) '\r').put((byte) '\n');
    }

    /** Text of ASCII goes straight to its place. */
    private void write(String word) {
        if (word == null) {
            throw SwitchmasterException.argument("a word of a command is null");
        }
        int length = word.length();
        reserve(length + 2 * FRAMING);
        int before = out.position();
        head('$', length);
        ByteBuffer to = out;
        int at = to.position();
        for (int index = 0; index < length; index++) {
            char letter = word.charAt(index);
            if (letter >= 0x80) {
                to.position(before);
                write(word.getBytes(StandardCharsets.UTF_8));
                return;
            }
            to.put(at + index, (byte) letter);
        }
        to.position(at + length);
        to.put((byte) '\r').put((byte) '\n');
    }

    private void head(char kind, int number) {
        ByteBuffer to = out;
        to.put((byte) kind);
        if (number < 10) {
            to.put((byte) ('0' + number));
        } else {
            decimal(to, number);
        }
        to.put((byte) '\r').put((byte) '\n');
    }

    private static void decimal(ByteBuffer to, int number) {
        int digits = 1;
        for (int rest = number; rest >= 10; rest /= 10) {
            digits++;
        }
        int at = to.position() + digits;
        to.position(at);
        for (int rest = number; digits > 0; digits--) {
            to.put(--at, (byte) ('0' + rest % 10));
            rest /= 10;
        }
    }

    private void reserve(int bytes) {
        if (out.remaining() < bytes) {
            long wanted = (long) out.position() + bytes;
            if (wanted < 0 || wanted > Integer.MAX_VALUE - 8) {
                throw SwitchmasterException.argument(
                        "commands of " + wanted + " bytes are longer than a buffer of Java can be");
            }
            out = lease.grow((int) wanted);
        }
    }
}
