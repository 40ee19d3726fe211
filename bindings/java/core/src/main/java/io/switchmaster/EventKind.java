package io.switchmaster;

/** What happened. Later versions may add some. */
public enum EventKind {
    /** One that these classes do not know; its name and text do. */
    OTHER,
    /** Handles lead to another master from now on. */
    SWITCHED,
    /** A sentinel chose this replica as the next master. */
    CHOSEN,
    /** A replica says that it is a master now. */
    PROMOTED,
    /** The same, and the sentinels' answers do not prove that it is the one to follow. */
    NOT_PROVEN,
    /** Commands wait from now on. */
    FENCE_RAISED,
    /** Commands no longer wait. */
    FENCE_LIFTED,
    /** The sentinels named the master that was switched to at its promotion. */
    CONFIRMED,
    /** Commands ran on a master that may have been replaced already. */
    OVERRULED,
    /** Fewer than a majority of the sentinels can be heard. */
    MAJORITY_LOST,
    /** A majority can be heard again. */
    MAJORITY_REGAINED,
    /** The link to a sentinel is up. */
    SENTINEL_UP,
    /** The link to a sentinel ended. */
    SENTINEL_DOWN,
    /** A sentinel that was not configured became known. */
    SENTINEL_FOUND,
    /** A sentinel that had been found is no longer listed. */
    SENTINEL_FORGOTTEN,
    /** Most sentinels cannot reach a node. */
    NODE_DOWN,
    /** A node is reached again. */
    NODE_UP,
    /** A node came back as another process. */
    NODE_RESTARTED,
    /** A replica is read from, from now on. */
    REPLICA_JOINED,
    /** A replica is no longer read from. */
    REPLICA_LEFT,
    /** A sentinel began to replace the master. */
    FAILOVER_STARTED,
    /** The sentinels gave a failover up. */
    FAILOVER_ABORTED,
    /** No sentinel monitors the service any longer. */
    SERVICE_REMOVED,
    /** One does again. */
    SERVICE_MONITORED,
    /** Sentinels name different masters. */
    DISAGREEMENT,
    /** The master that is named does not say that it is one. */
    NOT_VERIFIED,
    /** A sentinel published something that cannot be read. */
    MALFORMED,
    /** A handle has been out for longer than {@code leak_after}. */
    LEAKED,
    /** Events were lost, because nobody took them. */
    MISSED;

    private static final EventKind[] BY_NUMBER = values();

    static EventKind of(int number) {
        return number > 0 && number < BY_NUMBER.length ? BY_NUMBER[number] : OTHER;
    }
}
