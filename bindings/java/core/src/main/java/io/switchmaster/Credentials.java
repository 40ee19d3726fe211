package io.switchmaster;

import java.util.Objects;

/**
 * User and password for a server, supplied by a {@link CredentialsProvider}. {@code toString()} hides the password.
 *
 * @param user an ACL user (Redis 6 and later); null for the server's {@code default} user
 * @param password its password
 */
public record Credentials(String user, String password) {
    /**
     * Credentials of a user.
     *
     * @param user the name of the user; {@code null} stands for the server's {@code default} user
     * @param password the password of that user
     * @throws NullPointerException when the password is null
     * @throws SwitchmasterException of kind {@link ErrorKind#ARGUMENT} when one of them has a NUL in it
     */
    public Credentials {
        Objects.requireNonNull(password, "password");
        refuseNul("the user name", user);
        refuseNul("the password", password);
    }

    /**
     * The password of the server's {@code default} user, or that of {@code requirepass}.
     *
     * @param password it
     */
    public Credentials(String password) {
        this(null, password);
    }

    private static void refuseNul(String what, String text) {
        if (text != null && text.indexOf('\0') >= 0) {
            throw SwitchmasterException.argument(what + " has a NUL in it");
        }
    }

    /** For logs: the user, never the password. */
    @Override
    public String toString() {
        return "Credentials[user=" + user + ", password=***]";
    }
}
