package io.switchmaster.spring;

import io.switchmaster.SwitchOn;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.springframework.boot.context.properties.ConfigurationProperties;

/**
 * What {@code switchmaster.*} may say: where the sentinels are, and every setting of
 * {@link io.switchmaster.Builder}, which tells the defaults. What is not set is null.
 *
 * @param url URL of the service, redis+sentinel://host,host/service, with options behind it if need be. What
 *     else is set is set on top of it.
 * @param sentinels Sentinels, host or host:port each.
 * @param service Name that the sentinels monitor the master under.
 * @param name Name for logs, threads, metrics and JMX; the service unless set.
 * @param registerMbean Whether JMX shows the pool; false unless set.
 * @param username User on the nodes.
 * @param password Password on the nodes.
 * @param db Database that connections select; 0 unless set.
 * @param clientName Name of connections in CLIENT LIST.
 * @param protocol Version of the protocol with the nodes, 2 or 3; 2 unless set.
 * @param sentinelUsername User on the sentinels.
 * @param sentinelPassword Password on the sentinels.
 * @param tls Whether the nodes are spoken to through TLS.
 * @param tlsCa Certificates to trust, a PEM file or PEM text; the platform's unless set.
 * @param tlsCert Certificate of this client, a PEM file or PEM text.
 * @param tlsKey Key of this client, a PEM file or PEM text.
 * @param tlsServerName Name that is looked for in the nodes' certificates, instead of their address.
 * @param sentinelTls Whether the sentinels are spoken to through TLS.
 * @param sentinelTlsCa As tls-ca, for sentinels.
 * @param sentinelTlsCert As tls-cert, for sentinels.
 * @param sentinelTlsKey As tls-key, for sentinels.
 * @param sentinelTlsServerName As tls-server-name, for sentinels.
 * @param addressMap Addresses to dial instead of the announced ones, host:port each, for NAT.
 * @param maxSize Connections that there may be to the master; 8 unless set.
 * @param minIdle Connections that are to lie idle; 1 unless set.
 * @param maxLifetime How long a connection is used; 0 for as long as it works.
 * @param leakAfter After how long a handle that was not given back is logged as a leak; 0 for never.
 * @param connectTimeout From the start to the first master that was verified; 5 s unless set.
 * @param dialTimeout For one connection to be made; 500 ms unless set.
 * @param getTimeout How long a call waits for a handle; 5 s unless set.
 * @param commandTimeout How long a command waits for its reply; 2 s unless set.
 * @param switchOn At what evidence handles are led to another master; promotion unless set.
 * @param confirmWithin How long the sentinels may take to name a master after its promotion; 1.5 s unless
 *     set.
 * @param fence Whether commands wait while the master is being replaced; true unless set.
 * @param fenceTimeout How long they wait at most; 3 s unless set.
 * @param onLostMajority What is done when most sentinels are lost: serve, or fence:1s with the time to wait
 *     first.
 * @param maxLag How far behind the master a replica may be that is read from; 0 for any distance.
 * @param options Any other option by its name in a URL.
 */
@ConfigurationProperties("switchmaster")
public record SwitchmasterProperties(
        String url,
        List<String> sentinels,
        String service,
        String name,
        Boolean registerMbean,
        String username,
        String password,
        Integer db,
        String clientName,
        Integer protocol,
        String sentinelUsername,
        String sentinelPassword,
        Boolean tls,
        String tlsCa,
        String tlsCert,
        String tlsKey,
        String tlsServerName,
        Boolean sentinelTls,
        String sentinelTlsCa,
        String sentinelTlsCert,
        String sentinelTlsKey,
        String sentinelTlsServerName,
        Map<String, String> addressMap,
        Integer maxSize,
        Integer minIdle,
        Duration maxLifetime,
        Duration leakAfter,
        Duration connectTimeout,
        Duration dialTimeout,
        Duration getTimeout,
        Duration commandTimeout,
        SwitchOn switchOn,
        Duration confirmWithin,
        Boolean fence,
        Duration fenceTimeout,
        String onLostMajority,
        Duration maxLag,
        Map<String, String> options) {

    /** Without passwords, and without the URL, which may have one in it. */
    @Override
    public String toString() {
        return "SwitchmasterProperties{" + (name == null ? service : name) + "}";
    }
}
