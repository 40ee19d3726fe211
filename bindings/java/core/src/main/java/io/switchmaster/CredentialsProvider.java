package io.switchmaster;

/**
 * Supplies the credentials for new connections: for {@link Builder#credentials} and
 * {@link Builder#sentinelCredentials}.
 *
 * <pre>{@code
 * Factory.builder(url).credentials(() -> new Credentials("app", vault.read("redis/app"))).build();
 * }</pre>
 *
 * <p><b>Calls.</b> Once for each connection that is made, and after {@link Factory#refresh()}. Connections that are
 * made at the same time share one call.
 *
 * <p><b>Threads.</b> Each call has a daemon thread of its own, {@code switchmaster-credentials}, whose context class
 * loader is that of the provider's class. Calls for one factory never overlap; those for its nodes and those for its
 * sentinels may. A call may block, and may use any factory, also close this one.
 *
 * <p><b>Time.</b> It counts towards {@code dial_timeout} (500 ms unless set) of the connections that wait for the
 * call; a slower call fails only those. A switch to a new master waits for it, too, so a
 * provider that asks a remote vault does best to answer from memory and to renew in time. A call that never returns
 * keeps its thread, and neither {@link Factory#close()} nor the end of the virtual machine waits for it; connections
 * that are made later fail at once once it has taken 5 s.
 */
@FunctionalInterface
public interface CredentialsProvider {
    /**
     * Returns the credentials that are valid now.
     *
     * @return them, not null
     * @throws Exception when there are none. Its message is quoted in the error of the call that waits for the
     *     connection, and in logs, so it must not contain the password
     */
    Credentials credentials() throws Exception;
}
