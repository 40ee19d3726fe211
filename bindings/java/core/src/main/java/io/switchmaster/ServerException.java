package io.switchmaster;

/** The server replied with an error. The command's outcome is {@link Outcome#REPLIED}. */
public final class ServerException extends SwitchmasterException {
    private static final long serialVersionUID = 1L;

    /** The first word. */
    private final String code;

    ServerException(String message) {
        super(ErrorKind.SERVER, Outcome.REPLIED, message);
        int end = message.indexOf(' ');
        this.code = end < 0 ? message : message.substring(0, end);
    }

    /**
     * The first word of the error, such as {@code WRONGTYPE} or {@code ERR}.
     *
     * @return the code
     */
    public String code() {
        return code;
    }
}
