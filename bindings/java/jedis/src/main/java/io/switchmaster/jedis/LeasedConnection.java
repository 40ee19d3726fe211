package io.switchmaster.jedis;

import io.switchmaster.Factory;
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
    private final int database;
    private final int resp;

    /** Made with the first use as one. */
    private LeasedJedis jedis;

    private LeasedConnection(Link link, Lease lease) {
        super(link);
        this.link = link;
        this.database = lease.factory().database();
        this.resp = lease.factory().protocol();
        if (Versions.KNOW_PROTOCOLS) {
            speak();
        }
    }

    /** The connection of a lease that was taken just now. */
    static LeasedConnection of(Lease lease) {
        Object attached = lease.attachment();
        LeasedConnection connection =
                attached instanceof LeasedConnection ? (LeasedConnection) attached : make(lease);
        connection.link.open();
        return connection;
    }

    private static LeasedConnection make(Lease lease) {
        LeasedConnection connection = new LeasedConnection(new Link(lease), lease);
        lease.attach(connection);
        return connection;
    }

    /** Linked only where it runs. */
    private void speak() {
        protocol = resp == 3 ? RedisProtocol.RESP3 : RedisProtocol.RESP2;
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
            jedis = new LeasedJedis(this, database, resp);
        }
        return jedis;
    }

    boolean isOpen() {
        return link.isOpen();
    }

    boolean isOf(Factory factory) {
        return link.factory() == factory;
    }

    @Override
    public void sendCommand(CommandArguments arguments) {
        link.checkOpen();
        ProtocolCommand command = arguments.getCommand();
        if (command == Protocol.Command.SUBSCRIBE || command == Protocol.Command.PSUBSCRIBE
                || command == SSUBSCRIBE) {
            link.share();
        }
        // A new socket begins to count anew. Before the command goes, as that may fail in its midst.
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
