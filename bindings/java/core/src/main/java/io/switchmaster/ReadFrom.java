package io.switchmaster;

/** Where a handle reads from. */
public enum ReadFrom {
    /** The master. */
    MASTER,
    /** A replica; an error when none may be read from. */
    REPLICA,
    /** A replica, or the master when none may be read from. */
    PREFER_REPLICA,
    /** The node that answers fastest, the master included. */
    LOWEST_LATENCY
}
