package io.switchmaster.jedis;

import io.switchmaster.Lease;
import redis.clients.jedis.CommandArguments;
import redis.clients.jedis.Connection;
import redis.clients.jedis.Protocol;
import redis.clients.jedis.RedisProtocol;
import redis.clients.jedis.commands.ProtocolCommand;
import redis.clients.jedis.exceptions.JedisDataException;

/**
 * A Connection over a lease, and what stays with that between two uses: itself and its Jedis. The core has done
 * the handshake.
 */
final class LeasedConnection extends Connection {
    /** Later than the oldest Jedis; null where there is none, which no command is. */
    private static final ProtocolCommand SSUBSCRIBE = find("SSUBSCRIBE");

    private final Link link;

    /** Made with the first use as one. */
    private LeasedJedis jedis;

    private LeasedConnection(Link link) {
        super(link);
        this.link = link;
    }

    /** The connection of a lease that was taken just now; connected, as those of every pool of Jedis. */
    static LeasedConnection of(Lease lease) {
        Object attached = lease.attachment();
        LeasedConnection connection =
                attached instanceof LeasedConnection ? (LeasedConnection) attached : make(lease);
        connection.link.open();
        if (Versions.KNOW_PROTOCOLS) {
            connection.speak();
        }
        connection.connect();
        return connection;
    }

    private static LeasedConnection make(Lease lease) {
        LeasedConnection connection = new LeasedConnection(Link.of(lease));
        lease.attach(connection);
        return connection;
    }

    /** Linked only where it runs. */
    private void speak() {
        protocol = link.agree() == 3 ? RedisProtocol.RESP3 : RedisProtocol.RESP2;
    }

    /** The protocol that its replies are decoded as, 2 or 3. */
    int resp() {
        return link.agreed();
    }

    private static ProtocolCommand find(String name) {
        for (Protocol.Command command : Protocol.Command.values()) {
            if (command.name().equals(name)) {
                return command;
            }
        }
        return null;
    }

    LeasedJedis jedis() {
        if (jedis == null) {
            jedis = new LeasedJedis(this, link);
        }
        return jedis;
    }

    /** Begins with a new socket where the last one has failed. */
    @Override
    public void connect() {
        link.retireFailed();
        super.connect();
    }

    /** True also after a failure, until it is closed or disconnected, as of every Connection. */
    @Override
    public boolean isConnected() {
        return super.isConnected() && (link.isOpen() || !link.factory().isClosed());
    }

    /**
     * Ends its socket; the next command begins with another connection. What a socket has refused is not offered
     * to it again. Does nothing after the close.
     */
    @Override
    public void disconnect() {
        if (link.isOpen()) {
            link.retireFailed();
            super.disconnect();
        }
    }

    @Override
    public void sendCommand(CommandArguments arguments) {
        link.checkOpen();
        ProtocolCommand command = arguments.getCommand();
        if (command == Protocol.Command.SUBSCRIBE || command == Protocol.Command.PSUBSCRIBE
                || command == SSUBSCRIBE) {
            link.share();
        }
        // A new socket begins to count again. Before the command goes, as that may fail in its midst.
        connect();
        link.sent();
        super.sendCommand(arguments);
    }

    @Override
    protected Object readProtocolWithCheckingBroken() {
        link.checkOpen();
        Object reply;
        try {
            reply = super.readProtocolWithCheckingBroken();
        } catch (JedisDataException error) {
            link.read();
            throw error;
        }
        link.read();
        return reply;
    }

    /** Gives it back; a second time does nothing. */
    @Override
    public void close() {
        if (link.isOpen()) {
            link.giveBack(isBroken());
        }
    }
}
