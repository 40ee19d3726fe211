package io.switchmaster;

import java.nio.charset.StandardCharsets;

/** A provider as the native library calls it: nothing is thrown, and the answer is bytes. */
final class CredentialsCall {
    private static final String ERROR = "\u0000";
    private static final String PASSWORD = "\u0001";
    private static final String USER_AND_PASSWORD = "\u0002";

    private final CredentialsProvider provider;

    CredentialsCall(CredentialsProvider provider) {
        this.provider = provider;
    }

    /**
     * Called by the native library, on a thread that ends afterwards: the kind of the answer, and then the reason why
     * there are no credentials, or the password, or the user, a NUL and the password.
     */
    byte[] supply() {
        return answer().getBytes(StandardCharsets.UTF_8);
    }

    private String answer() {
        try {
            Thread.currentThread().setContextClassLoader(provider.getClass().getClassLoader());
            Credentials supplied = provider.credentials();
            if (supplied == null) {
                return ERROR + "it returned null";
            }
            return supplied.user() == null
                    ? PASSWORD + supplied.password()
                    : USER_AND_PASSWORD + supplied.user() + '\0' + supplied.password();
        } catch (Throwable failed) {
            return ERROR + reason(failed);
        }
    }

    private static String reason(Throwable failed) {
        String message = null;
        try {
            message = failed.getMessage();
        } catch (RuntimeException | Error itself) {
            // The class names an exception without a message.
        }
        boolean empty = message == null || message.isBlank();
        return empty ? failed.getClass().getName() : message.replace('\0', ' ');
    }
}
