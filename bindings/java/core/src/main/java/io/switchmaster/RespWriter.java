package io.switchmaster;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Writes commands (RESP), one behind the other. */
final class RespWriter {
    /** A number of 32 bits, with what stands around it. */
    private static final int FRAMING = 16;

    private static final String SUBSCRIBE = "SUBSCRIBE";

    // Several bytes at once, which a pipeline of short commands is written with in half of the time.
    private static final VarHandle LONGS = view(long[].class);
    private static final VarHandle INTS = view(int[].class);
    private static final VarHandle SHORTS = view(short[].class);

    /** A line's end. */
    private static final short LINE_END = '\n' << 8 | '\r';

    /** The line of a number below 10, but for the number and what stands in front of it. */
    private static final int SHORT_HEAD = (LINE_END << 8 | '0') << 8;

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
    void write(byte[][] words) {
        if (words.length == 0) {
            throw noWord();
        }
        if (words[0] != null && words[0].length >= SUBSCRIBE.length()) {
            checkName(new String(words[0], StandardCharsets.ISO_8859_1));
        }
        long size = FRAMING;
        for (byte[] word : words) {
            if (word == null) {
                throw nullWord();
            }
            size += word.length + FRAMING;
        }
        reserve(size);
        byte[] to = out;
        int place = head(to, at, '*', words.length);
        for (byte[] word : words) {
            place = head(to, place, '$', word.length);
            copy(word, to, place);
            place = lineEnd(to, place + word.length);
        }
        at = place;
    }

    /** Short words without a call, in two pieces that may overlap. */
    private static void copy(byte[] word, byte[] to, int place) {
        int length = word.length;
        if (length > 16) {
            System.arraycopy(word, 0, to, place, length);
        } else if (length >= 8) {
            LONGS.set(to, place, (long) LONGS.get(word, 0));
            LONGS.set(to, place + length - 8, (long) LONGS.get(word, length - 8));
        } else if (length >= 4) {
            INTS.set(to, place, (int) INTS.get(word, 0));
            INTS.set(to, place + length - 4, (int) INTS.get(word, length - 4));
        } else {
            for (int index = 0; index < length; index++) {
                to[place + index] = word[index];
            }
        }
    }

    private static VarHandle view(Class<?> kind) {
        return MethodHandles.byteArrayViewVarHandle(kind, ByteOrder.LITTLE_ENDIAN);
    }

    /** Writes a command; nothing of it when it cannot be written. */
    void write(String[] words) {
        if (words.length == 0) {
            throw noWord();
        }
        if (words[0] != null && words[0].length() >= SUBSCRIBE.length()) {
            checkName(words[0]);
        }
        long size = FRAMING;
        for (String word : words) {
            if (word == null) {
                throw nullWord();
            }
            size += word.length() + FRAMING;
        }
        reserve(size);
        byte[] to = out;
        int place = head(to, at, '*', words.length);
        for (String word : words) {
            int length = word.length();
            place = head(to, place, '$', length);
            // Text of ASCII goes straight to its place.
            for (int index = 0; index < length; index++) {
                char letter = word.charAt(index);
                if (letter >= 0x80) {
                    write(encoded(words));
                    return;
                }
                to[place++] = (byte) letter;
            }
            place = lineEnd(to, place);
        }
        at = place;
    }

    /** All six commands of subscriptions end so. What answers them is no reply. */
    private static void checkName(String name) {
        int before = name.length() - SUBSCRIBE.length();
        if (before <= 3 && name.regionMatches(true, before, SUBSCRIBE, 0, SUBSCRIBE.length())) {
            throw SwitchmasterException.argument(
                    name + " is not for a handle, whose commands have one reply each; subscribe by way of Jedis");
        }
    }

    private static byte[][] encoded(String[] words) {
        byte[][] encoded = new byte[words.length][];
        for (int word = 0; word < words.length; word++) {
            encoded[word] = words[word].getBytes(StandardCharsets.UTF_8);
        }
        return encoded;
    }

    private static SwitchmasterException noWord() {
        return SwitchmasterException.argument("a command has at least its name, and this one has no word");
    }

    private static SwitchmasterException nullWord() {
        return SwitchmasterException.argument("a word of a command is null");
    }

    private static int head(byte[] to, int from, char kind, int number) {
        if (number < 10) {
            INTS.set(to, from, SHORT_HEAD + (number << 8) + kind);
            return from + 4;
        }
        to[from] = (byte) kind;
        return lineEnd(to, decimal(to, from + 1, number));
    }

    private static int decimal(byte[] to, int from, int number) {
        int end = from;
        for (int rest = number; rest > 0; rest /= 10) {
            end++;
        }
        int place = end;
        for (int rest = number; rest > 0; rest /= 10) {
            to[--place] = (byte) ('0' + rest % 10);
        }
        return end;
    }

    private static int lineEnd(byte[] to, int place) {
        SHORTS.set(to, place, LINE_END);
        return place + 2;
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
