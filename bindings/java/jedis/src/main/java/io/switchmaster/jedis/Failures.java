package io.switchmaster.jedis;

import io.switchmaster.ErrorKind;
import io.switchmaster.Outcome;
import io.switchmaster.SwitchmasterException;
import java.io.IOException;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import redis.clients.jedis.exceptions.JedisAccessControlException;
import redis.clients.jedis.exceptions.JedisConnectionException;
import redis.clients.jedis.exceptions.JedisException;

/** The core's exceptions as those that users of Jedis expect, with the core's as their cause. */
final class Failures {
    private Failures() {}

    /** What a socket throws. Jedis wraps it into a JedisConnectionException. */
    static IOException ofSocket(SwitchmasterException failure) {
        IOException shown = failure.kind() == ErrorKind.COMMAND_TIMEOUT
                ? new SocketTimeoutException(failure.getMessage())
                : new SocketException(failure.getMessage());
        shown.initCause(failure);
        return shown;
    }

    /** What a pool throws when it has nothing to give out, or cannot be opened. */
    static RuntimeException ofPool(String what, SwitchmasterException failure) {
        String message = what + ": " + failure.getMessage();
        switch (failure.kind()) {
            case ARGUMENT:
            case INVALID_CONFIG:
            case INVALID_URL:
                return new IllegalArgumentException(message, failure);
            case AUTHENTICATION:
            case PERMISSION:
                return new JedisAccessControlException(message, failure);
            case POOL_TIMEOUT:
            case CLOSED:
            case DEAD:
            case BUSY:
                return new JedisException(message, failure);
            default:
                return new JedisConnectionException(message, failure);
        }
    }

    /** It was given back, and somebody else may have it by now. */
    static JedisException givenBack() {
        String message = "this connection was given back to its pool; take another one";
        return new JedisException(
                message, new SwitchmasterException(ErrorKind.DEAD, Outcome.NOT_SENT, message, null));
    }
}
