package io.switchmaster;

/** What a failure says about the command: whether it may have run. */
public enum Outcome {
    /** It was certainly not sent, so it may be sent again. */
    NOT_SENT,
    /** It may have run. Look before sending it again, unless it may run twice. */
    UNKNOWN,
    /** The server replied, with an error or with something that could not be used. */
    REPLIED;

    private static final Outcome[] BY_NUMBER = values();

    /**
     * What Jedis throws for an error reply, which has no cause. By its name, for the core is used without
     * Jedis, too.
     */
    private static final String JEDIS_REPLY = "redis.clients.jedis.exceptions.JedisDataException";

    /**
     * The outcome that an exception of this library tells, or one that another library made from it: its
     * causes are looked through. What Jedis throws for an error reply (JedisDataException) is
     * {@link #REPLIED}.
     *
     * @param failure what a call threw
     * @return the outcome; {@link #UNKNOWN} when nothing in it tells
     */
    public static Outcome of(Throwable failure) {
        SwitchmasterException found = SwitchmasterException.in(failure);
        if (found != null) {
            return found.outcome();
        }
        return isReplyOfJedis(failure) ? REPLIED : UNKNOWN;
    }

    private static boolean isReplyOfJedis(Throwable failure) {
        Class<?> type = failure == null ? Object.class : failure.getClass();
        while (type != null && !type.getName().equals(JEDIS_REPLY)) {
            type = type.getSuperclass();
        }
        return type != null;
    }

    static Outcome of(int number) {
        return number >= 0 && number < BY_NUMBER.length ? BY_NUMBER[number] : UNKNOWN;
    }
}
