package io.switchmaster;

/**
 * A failure of this library. {@link #outcome()} says whether the command may have run, which decides what
 * to do next; {@link #kind()} says why it failed. The message is one line for people.
 */
public class SwitchmasterException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** Causes are followed so far, for there are exceptions that cause themselves. */
    private static final int DEEP = 32;

    /** Why it failed. */
    private final ErrorKind kind;

    /** Whether the command may have run. */
    private final Outcome outcome;

    SwitchmasterException(ErrorKind kind, Outcome outcome, String message) {
        this(kind, outcome, message, null);
    }

    /**
     * For adapters, which have failures of their own.
     *
     * @param kind why it failed
     * @param outcome whether the command may have run
     * @param message one line for people
     * @param cause what led to it, or null
     */
    public SwitchmasterException(ErrorKind kind, Outcome outcome, String message, Throwable cause) {
        super(message, cause);
        this.kind = kind;
        this.outcome = outcome;
    }

    /**
     * Why it failed.
     *
     * @return the kind, never null
     */
    public ErrorKind kind() {
        return kind;
    }

    /**
     * Whether the command may have run.
     *
     * @return the outcome, never null
     */
    public Outcome outcome() {
        return outcome;
    }

    /**
     * This library's exception in one that another library made from it.
     *
     * @param failure what a call threw
     * @return the exception itself or the first of its causes that is one; null when none is
     */
    public static SwitchmasterException in(Throwable failure) {
        Throwable found = failure;
        for (int depth = 0; found != null && depth < DEEP; depth++) {
            if (found instanceof SwitchmasterException) {
                return (SwitchmasterException) found;
            }
            found = found.getCause();
        }
        return null;
    }

    /** One that says what an argument is to be. */
    static SwitchmasterException argument(String message) {
        return new SwitchmasterException(ErrorKind.ARGUMENT, Outcome.NOT_SENT, message);
    }
}
