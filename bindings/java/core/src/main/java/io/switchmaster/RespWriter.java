package io.switchmaster;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Writes commands (RESP), one behind the other. */
final class RespWriter {
    /** A number of 32 bits, with what stands around it. */
    private static final int FRAMING = 16;

    private byte[] out;
    private int at;

    RespWriter(int size) {
        out = new byte[size];
    }

    /** Begins anew, and keeps memory up to so many bytes. */
    void reset(int kept) {
        at = 0;
        if (out.length > kept) {
            out = new byte[kept];
        }
    }

    /** What was written, up to {@link #length}. */
    byte[] bytes() {
        return out;
    }

    int length() {
        return at;
    }

    /** Writes a command; nothing of it when it cannot be written. */
    void write(String[] words) {
        int before = at;
        try {
            begin(words.length);
            for (String word : words) {
                write(word);
            }
        } catch (SwitchmasterException refused) {
            at = before;
            throw refused;
        }
    }

    /** Writes a command; nothing of it when it cannot be written. */
    void write(byte[][] words) {
        int before = at;
        try {
            begin(words.length);
            for (byte[] word : words) {
                write(word);
            }
        } catch (SwitchmasterException refused) {
            at = before;
            throw refused;
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
        if (word == null) {
            throw SwitchmasterException.argument("a word of a command is null");
        }
        reserve(word.length + 2L * FRAMING);
        head('$', word.length);
        System.arraycopy(word, 0, out, at, word.length);
        at += word.length;
        lineEnd();
    }

    /** Text of ASCII goes straight to its place. */
    private void write(String word) {
        if (word == null) {
            throw SwitchmasterException.argument("a word of a command is null");
        }
        int length = word.length();
        reserve(length + 2L * FRAMING);
        int before = at;
        head('$', length);
        byte[] to = out;
        int place = at;
        for (int index = 0; index < length; index++) {
            char letter = word.charAt(index);
            if (letter >= 0x80) {
                at = before;
                write(word.getBytes(StandardCharsets.UTF_8));
                return;
            }
            to[place++] = (byte) letter;
        }
        at = place;
        lineEnd();
    }

    private void head(char kind, int number) {
        out[at++] = (byte) kind;
        if (number < 10) {
            out[at++] = (byte) ('0' + number);
        } else {
            decimal(number);
        }
        lineEnd();
    }

    private void decimal(int number) {
        int digits = 1;
        for (int rest = number; rest >= 10; rest /= 10) {
            digits++;
        }
        at += digits;
        int place = at;
        for (int rest = number; digits > 0; digits--) {
            out[--place] = (byte) ('0' + rest % 10);
            rest /= 10;
        }
    }

    private void lineEnd() {
        out[at++] = '\r';
        out[at++] = '\n';
    }

    private void reserve(long bytes) {
        if (out.length - at < bytes) {
            long wanted = at + bytes;
            if (wanted > Integer.MAX_VALUE - 8) {
                throw SwitchmasterException.argument(
                        "commands of " + wanted + " bytes are longer than a buffer of Java can be");
            }
            out = Arrays.copyOf(out, (int) Math.max(wanted, Math.min(2L * out.length, Integer.MAX_VALUE - 8)));
        }
    }
}
