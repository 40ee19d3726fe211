package io.switchmaster;

/** Why something failed. Later versions may add some. */
public enum ErrorKind {
    /** An argument cannot be meant. */
    ARGUMENT(-2),
    /** It was closed before. */
    DEAD(-3),
    /** Another thread is using it. */
    BUSY(-4),
    /** This process was forked from one that had a factory open. */
    FORKED(-5),
    /** A fault inside the library, which was contained. Please report it. */
    PANIC(-6),
    /** Nothing came within the time given, or there is nothing to be had. */
    NOTHING(-7),
    /** The URL cannot be read. The message quotes the part that is wrong, never a password. */
    INVALID_URL(-20),
    /** An option's value is not allowed, or a command is such that it cannot be sent. */
    INVALID_CONFIG(-21),
    /** No sentinel could be reached. */
    NO_SENTINEL(-22),
    /** The sentinels answer, and none of them monitors a service of this name. */
    UNKNOWN_SERVICE(-23),
    /** The server refused the password, or wants one. */
    AUTHENTICATION(-24),
    /** The server's ACL does not let this user do what is needed. */
    PERMISSION(-25),
    /** There is no master to talk to. */
    NO_MASTER(-26),
    /** There is no replica that may be read from. */
    NO_REPLICA(-27),
    /** No handle came free in time. */
    POOL_TIMEOUT(-28),
    /** No reply came in time. */
    COMMAND_TIMEOUT(-29),
    /** The master was replaced while the command was on its way, or before and the handle held state. */
    SWITCHED(-30),
    /** The master is being replaced, and the command waited until its deadline. */
    FENCED(-31),
    /** The connection broke, or could not be made. */
    DISCONNECTED(-32),
    /** The server sent what is no RESP. */
    PROTOCOL(-33),
    /** The server is not what it should be: a replica where a master was promised. */
    WRONG_ROLE(-34),
    /** The handle's connection broke earlier, while it held state. Close it and take another. */
    POISONED(-35),
    /** The factory is closed. */
    CLOSED(-36),
    /** Something that should not be possible. Please report it. */
    INTERNAL(-37),
    /** The server replied with an error: see {@link ServerException}. */
    SERVER(0);

    private static final ErrorKind[] ALL = values();

    /** The number of the status in C; 0 where there is none. */
    private final int status;

    ErrorKind(int status) {
        this.status = status;
    }

    static ErrorKind of(int status) {
        for (ErrorKind kind : ALL) {
            if (kind.status == status && status != 0) {
                return kind;
            }
        }
        return status == -1 ? ARGUMENT : INTERNAL;
    }
}
