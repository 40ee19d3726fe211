package io.switchmaster;

import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A reply of the server (RESP2 or RESP3). It is immutable but for its bytes, which are the caller's own.
 *
 * <p>The accessors convert where that loses nothing: a number that came as text is a number, text that came
 * as a number is text. What cannot be converted is a {@link SwitchmasterException} of kind
 * {@link ErrorKind#ARGUMENT} that names the type.
 */
public final class Reply {
    /** What a reply is. */
    public enum Type {
        /** No value. */
        NULL,
        /** A status such as {@code OK}. */
        STATUS,
        /** Bytes. */
        STRING,
        /** A whole number of 64 bits. */
        INTEGER,
        /** A floating-point number (RESP3). */
        DOUBLE,
        /** True or false (RESP3). */
        BOOLEAN,
        /** A whole number of any size (RESP3). */
        BIG_NUMBER,
        /** An error, inside of another reply or of a pipeline. */
        ERROR,
        /** Replies in an order. */
        ARRAY,
        /** Keys and values (RESP3), one behind the other. */
        MAP,
        /** Replies of which none is there twice (RESP3). */
        SET
    }

    static final Reply NULL = new Reply(Type.NULL, null);
    static final Reply OK = new Reply(Type.STATUS, new byte[] {'O', 'K'});

    private final Type type;
    private final Object value;

    Reply(Type type, Object value) {
        this.type = type;
        this.value = value;
    }

    /**
     * What it is.
     *
     * @return the type, never null
     */
    public Type type() {
        return type;
    }

    /**
     * Whether it is no value: the key does not exist, the time is over.
     *
     * @return true for {@link Type#NULL}
     */
    public boolean isNull() {
        return type == Type.NULL;
    }

    /**
     * Whether it is an error.
     *
     * @return true for {@link Type#ERROR}
     */
    public boolean isError() {
        return type == Type.ERROR;
    }

    /**
     * The error, as an exception.
     *
     * @return it; null when this is none
     */
    public ServerException error() {
        return type == Type.ERROR ? new ServerException(text((byte[]) value)) : null;
    }

    /**
     * As bytes.
     *
     * @return the bytes of a string or status, not copied; a number as its digits; null for no value
     */
    public byte[] asBytes() {
        switch (type) {
            case NULL:
                return null;
            case STRING:
            case STATUS:
                return (byte[]) value;
            default:
                return asString().getBytes(StandardCharsets.UTF_8);
        }
    }

    /**
     * As text.
     *
     * @return UTF-8 of a string or status; a number as its digits; null for no value
     */
    public String asString() {
        switch (type) {
            case NULL:
                return null;
            case STRING:
            case STATUS:
                return text((byte[]) value);
            case INTEGER:
            case DOUBLE:
            case BOOLEAN:
            case BIG_NUMBER:
                return value.toString();
            default:
                throw other("text");
        }
    }

    /**
     * As a whole number.
     *
     * @return the number; 1 or 0 for true and false
     */
    public long asLong() {
        switch (type) {
            case INTEGER:
                return (Long) value;
            case BOOLEAN:
                return (Boolean) value ? 1 : 0;
            case STRING:
            case STATUS:
            case BIG_NUMBER:
                try {
                    return Long.parseLong(asString());
                } catch (NumberFormatException no) {
                    throw other("a whole number of 64 bits");
                }
            default:
                throw other("a whole number");
        }
    }

    /**
     * As a floating-point number.
     *
     * @return the number
     */
    public double asDouble() {
        switch (type) {
            case DOUBLE:
                return (Double) value;
            case INTEGER:
                return (Long) value;
            case STRING:
            case STATUS:
            case BIG_NUMBER:
                try {
                    return RespReader.toDouble(asString());
                } catch (NumberFormatException no) {
                    throw other("a number");
                }
            default:
                throw other("a number");
        }
    }

    /**
     * As true or false.
     *
     * @return a boolean as it is; of a number whether it is not 0; true for the status OK; false for no value
     */
    public boolean asBoolean() {
        switch (type) {
            case NULL:
                return false;
            case BOOLEAN:
                return (Boolean) value;
            case STATUS:
                return "OK".equals(asString());
            default:
                return asLong() != 0;
        }
    }

    /**
     * As a number of any size.
     *
     * @return the number
     */
    public BigInteger asBigInteger() {
        try {
            return value instanceof BigInteger ? (BigInteger) value : new BigInteger(asString());
        } catch (NumberFormatException | NullPointerException no) {
            throw other("a whole number");
        }
    }

    /**
     * As a list.
     *
     * @return the elements of an array or a set; keys and values of a map in turn; none for no value
     */
    @SuppressWarnings("unchecked")
    public List<Reply> asList() {
        switch (type) {
            case NULL:
                return Collections.emptyList();
            case ARRAY:
            case SET:
            case MAP:
                return (List<Reply>) value;
            default:
                throw other("a list");
        }
    }

    /**
     * As texts.
     *
     * @return the elements of {@link #asList()} as text, null for those that are no value
     */
    public List<String> asStrings() {
        List<Reply> replies = asList();
        List<String> texts = new ArrayList<>(replies.size());
        for (Reply reply : replies) {
            texts.add(reply.asString());
        }
        return texts;
    }

    /**
     * As keys and values.
     *
     * @return a map in the order in which they came, also of an array whose elements are keys and values in
     *     turn, as RESP2 has it
     */
    public Map<String, Reply> asMap() {
        List<Reply> replies = asList();
        if (replies.size() % 2 != 0) {
            throw other("keys and values");
        }
        Map<String, Reply> map = new LinkedHashMap<>();
        for (int at = 0; at < replies.size(); at += 2) {
            map.put(replies.get(at).asString(), replies.get(at + 1));
        }
        return map;
    }

    private static String text(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }

    private SwitchmasterException other(String wanted) {
        String what = type.toString().toLowerCase(java.util.Locale.ROOT);
        return new SwitchmasterException(
                ErrorKind.ARGUMENT, Outcome.REPLIED, "a reply of type " + what + " is not " + wanted);
    }

    /** As it would be printed, for logs. */
    @Override
    public String toString() {
        switch (type) {
            case NULL:
                return "(null)";
            case ERROR:
                return "(error) " + text((byte[]) value);
            case ARRAY:
            case MAP:
            case SET:
                return asList().toString();
            default:
                return asString();
        }
    }
}
