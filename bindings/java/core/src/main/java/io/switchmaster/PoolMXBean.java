package io.switchmaster;

/**
 * A factory's pool as JMX shows it: see {@link Builder#registerMBean}. The first four attributes and the
 * operation have HikariCP's names and meaning, so that what watches a pool of that watches this one. No
 * attribute blocks longer than some microseconds. There is no suspend and no resume: the fence does that,
 * when the master is being replaced.
 */
public interface PoolMXBean {
    /**
     * Connections that nobody uses.
     *
     * @return how many
     */
    long getIdleConnections();

    /**
     * Connections in use.
     *
     * @return how many
     */
    long getActiveConnections();

    /**
     * Connections to the current master, idle and in use.
     *
     * @return how many
     */
    long getTotalConnections();

    /**
     * Threads that wait for a handle.
     *
     * @return how many
     */
    long getThreadsAwaitingConnection();

    /**
     * Connections that there may be at most.
     *
     * @return {@code max_size}
     */
    long getMaximumPoolSize();

    /**
     * Connections that are to lie idle.
     *
     * @return {@code min_idle}
     */
    long getMinimumIdle();

    /**
     * The name that the sentinels monitor the master under.
     *
     * @return the service
     */
    String getService();

    /**
     * The current master.
     *
     * @return {@code host:port}; null when none is known
     */
    String getMaster();

    /**
     * How many masters were served so far, the current one included.
     *
     * @return the generation
     */
    long getGeneration();

    /**
     * Why commands wait at the moment.
     *
     * @return the reason; null when they do not wait
     */
    String getFence();

    /**
     * What is wrong with the service, as {@code switchmaster topology} tells it.
     *
     * @return a line each; none when all is well
     */
    String[] getTroubles();

    /**
     * Sentinels that name the master.
     *
     * @return how many
     */
    long getAgreeingSentinels();

    /**
     * Sentinels that are known.
     *
     * @return how many
     */
    long getKnownSentinels();

    /**
     * Switches to another master, the first master included.
     *
     * @return how many
     */
    long getSwitches();

    /**
     * Handles given out.
     *
     * @return how many
     */
    long getCheckouts();

    /**
     * Handles given out after a wait.
     *
     * @return how many
     */
    long getWaits();

    /**
     * Waits for a handle that ended at their deadline in vain.
     *
     * @return how many
     */
    long getTimeouts();

    /**
     * Handles that were out for longer than {@code leak_after}.
     *
     * @return how many
     */
    long getLeaks();

    /**
     * Connections made and verified.
     *
     * @return how many
     */
    long getConnectionsCreated();

    /**
     * Connections that broke while a command used them.
     *
     * @return how many
     */
    long getConnectionsBroken();

    /**
     * Commands that moved to a new connection before anything was sent.
     *
     * @return how many
     */
    long getCommandsMoved();

    /**
     * Commands that failed with {@link Outcome#NOT_SENT}.
     *
     * @return how many
     */
    long getErrorsNotSent();

    /**
     * Commands that failed with {@link Outcome#UNKNOWN}.
     *
     * @return how many
     */
    long getErrorsUnknown();

    /**
     * Commands that waited behind the fence.
     *
     * @return how many
     */
    long getFences();

    /**
     * Commands that ran on a master while it was open whether it is the master.
     *
     * @return how many
     */
    long getDoubtfulCommands();

    /**
     * Those of them whose master had been replaced: writes among them may be lost.
     *
     * @return how many
     */
    long getOverruledCommands();

    /**
     * Messages that came on handles between whole commands and were dropped.
     *
     * @return how many
     */
    long getDroppedMessages();

    /**
     * Connections to the replicas that are read from, idle and in use.
     *
     * @return how many
     */
    long getTotalReplicaConnections();

    /**
     * Idle connections to the replicas that are read from.
     *
     * @return how many
     */
    long getIdleReplicaConnections();

    /**
     * Connections to the replicas that are read from that are in use.
     *
     * @return how many
     */
    long getActiveReplicaConnections();

    /**
     * Gives the connections that stand idle in Java back to the native pool, which looks at each before it
     * hands it out again, and has the sentinels asked now. Handles that are out keep theirs. It need not be
     * called: connections of a master that was replaced are gone at the switch by themselves.
     */
    void softEvictConnections();
}
