package io.switchmaster;

import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Reads replies (RESP2 and RESP3) from a direct buffer that has them whole. The native library has checked
 * them on their way: lengths, nesting, line ends.
 *
 * <p>They are read by way of an array, a window at a time, for a look into an array costs a third of one into
 * a direct buffer; strings that are longer than the window go straight to their place.
 */
final class RespReader {
    /** How much is copied at once. */
    static final int WINDOW = 16 << 10;

    private final byte[] window;
    private ByteBuffer in;

    /** What of the window is to be read. */
    private int at;

    private int end;

    RespReader() {
        window = new byte[WINDOW];
    }

    /** Begins with another buffer. */
    RespReader of(ByteBuffer replies) {
        in = replies;
        at = 0;
        end = 0;
        return this;
    }

    /** The next byte. */
    private byte take() {
        if (at == end) {
            fill();
        }
        return window[at++];
    }

    /** Copies the next window. */
    private void fill() {
        at = 0;
        end = Math.min(in.remaining(), WINDOW);
        if (end == 0) {
            throw new SwitchmasterException(
                    ErrorKind.PROTOCOL, Outcome.REPLIED, "a reply ends in its midst, which was whole before");
        }
        in.get(window, 0, end);
    }

    /** The next reply. Attributes are passed over, and so is what the server sent unasked. */
    Reply next() {
        while (true) {
            byte kind = take();
            switch (kind) {
                case '$':
                    return string();
                case '+':
                    return status();
                case ':':
                    return new Reply(Reply.Type.INTEGER, number());
                case '-':
                    return new Reply(Reply.Type.ERROR, line());
                case '*':
                    return several(Reply.Type.ARRAY, 1);
                case '_':
                    line();
                    return Reply.NULL;
                case '%':
                    return several(Reply.Type.MAP, 2);
                case '~':
                    return several(Reply.Type.SET, 1);
                case ',':
                    return new Reply(Reply.Type.DOUBLE, toDouble(text(line())));
                case '#':
                    return new Reply(Reply.Type.BOOLEAN, "t".equals(text(line())));
                case '(':
                    return new Reply(Reply.Type.BIG_NUMBER, new BigInteger(text(line())));
                case '!':
                    return new Reply(Reply.Type.ERROR, bytes((int) number()));
                case '=':
                    // Its format comes first, three letters and a colon.
                    byte[] verbatim = bytes((int) number());
                    return new Reply(Reply.Type.STRING, Arrays.copyOfRange(verbatim, 4, verbatim.length));
                case '|':
                    several(Reply.Type.MAP, 2);
                    break;
                case '>':
                    several(Reply.Type.ARRAY, 1);
                    break;
                default:
                    throw new SwitchmasterException(ErrorKind.PROTOCOL, Outcome.REPLIED,
                            "a reply begins with the byte " + kind + ", which no type of RESP does");
            }
        }
    }

    /** Short strings that the window has whole, as most are, without a look at its end for each byte. */
    private Reply string() {
        byte[] from = window;
        int place = at;
        if (end - place > 4) {
            int length = from[place] - '0';
            int next = from[place + 1] - '0';
            if (next >= 0 && next <= 9) {
                length = length * 10 + next;
                place++;
            }
            if (length >= 0 && from[place + 1] == '\r' && end - place >= length + 5) {
                int begin = place + 3;
                at = begin + length + 2;
                return new Reply(Reply.Type.STRING, Arrays.copyOfRange(from, begin, begin + length));
            }
        }
        long length = number();
        return length < 0 ? Reply.NULL : new Reply(Reply.Type.STRING, bytes((int) length));
    }

    private Reply status() {
        if (end - at >= 4 && window[at] == 'O' && window[at + 1] == 'K' && window[at + 2] == '\r') {
            at += 4;
            return Reply.OK;
        }
        return new Reply(Reply.Type.STATUS, line());
    }

    private Reply several(Reply.Type type, int each) {
        long count = number();
        if (count < 0) {
            return Reply.NULL;
        }
        int replies = Math.toIntExact(count * each);
        // No reply is shorter than three bytes, whatever the server says of their number.
        List<Reply> list = new ArrayList<>(Math.min(replies, (end - at + in.remaining()) / 3 + 1));
        for (int at = 0; at < replies; at++) {
            list.add(next());
        }
        return new Reply(type, java.util.Collections.unmodifiableList(list));
    }

    private byte[] bytes(int length) {
        byte[] bytes;
        if (end - at >= length) {
            bytes = Arrays.copyOfRange(window, at, at + length);
            at += length;
        } else {
            bytes = new byte[length];
            int first = end - at;
            System.arraycopy(window, at, bytes, 0, first);
            at = end;
            in.get(bytes, first, length - first);
        }
        if (end - at >= 2) {
            at += 2;
        } else {
            take();
            take();
        }
        return bytes;
    }

    private long number() {
        byte first = take();
        boolean negative = first == '-';
        // Towards the negative, which has room for one more.
        long number = negative || first == '+' ? 0 : -(first - '0');
        for (byte digit = take(); digit != '\r'; digit = take()) {
            number = number * 10 - (digit - '0');
        }
        take();
        return negative ? number : -number;
    }

    private byte[] line() {
        byte[] line = new byte[32];
        int length = 0;
        for (byte next = take(); next != '\r'; next = take()) {
            if (length == line.length) {
                line = Arrays.copyOf(line, 2 * length);
            }
            line[length++] = next;
        }
        take();
        return Arrays.copyOf(line, length);
    }

    private static String text(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }

    /** A number as servers write it. */
    static double toDouble(String text) {
        switch (text) {
            case "inf":
            case "+inf":
                return Double.POSITIVE_INFINITY;
            case "-inf":
                return Double.NEGATIVE_INFINITY;
            case "nan":
            case "-nan":
                return Double.NaN;
            default:
                return Double.parseDouble(text);
        }
    }

    /** Counts the replies in a buffer that is still being filled, from where it came to the last time. */
    static final class Frames {
        private int replies;

        /** Elements that are to come, for each reply that has any and is not complete. */
        private long[] left = new long[8];

        private int depth;
        private int at;

        /** Whether what is under way is no reply of its own: an attribute, or a push. */
        private boolean[] extra = new boolean[8];

        Frames(int replies) {
            this.replies = replies;
        }

        /** Whether so many replies lie before the buffer's position. */
        boolean areComplete(ByteBuffer buffer) {
            while (at < buffer.position() && step(buffer)) {
                // It has come a frame further.
            }
            // What was begun behind the last reply, unasked, is read to its end as well.
            return replies <= 0 && depth == 0 && at == buffer.position();
        }

        private boolean step(ByteBuffer buffer) {
            int end = buffer.position();
            int line = at;
            while (line < end && buffer.get(line) != '\n') {
                line++;
            }
            if (line >= end) {
                return false;
            }
            byte kind = buffer.get(at);
            boolean counted = kind == '$' || kind == '=' || kind == '!' || kind == '*' || kind == '%'
                    || kind == '~' || kind == '|' || kind == '>';
            long count = counted ? length(buffer, at + 1) : 0;
            if (kind == '$' || kind == '=' || kind == '!') {
                long next = count < 0 ? line + 1L : line + 1 + count + 2;
                if (next > end) {
                    return false;
                }
                at = (int) next;
                done(false);
                return true;
            }
            at = line + 1;
            boolean additional = kind == '|' || kind == '>';
            if (counted && count > 0) {
                push(kind == '%' || kind == '|' ? 2 * count : count, additional);
            } else {
                done(additional);
            }
            return true;
        }

        private void push(long elements, boolean additional) {
            if (depth == left.length) {
                left = Arrays.copyOf(left, 2 * depth);
                extra = Arrays.copyOf(extra, 2 * depth);
            }
            left[depth] = elements;
            extra[depth++] = additional;
        }

        /** One is complete, and with it perhaps those that it is in. */
        private void done(boolean additional) {
            boolean isExtra = additional;
            while (!isExtra) {
                if (depth == 0) {
                    replies--;
                    return;
                }
                if (--left[depth - 1] > 0) {
                    return;
                }
                isExtra = extra[--depth];
            }
        }

        private static long length(ByteBuffer buffer, int from) {
            long length = 0;
            int index = from;
            boolean negative = buffer.get(index) == '-';
            if (negative) {
                index++;
            }
            for (byte digit = buffer.get(index); digit != '\r'; digit = buffer.get(++index)) {
                length = length * 10 + (digit - '0');
            }
            return negative ? -length : length;
        }
    }
}
