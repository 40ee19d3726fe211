package io.switchmaster.spring;

import io.switchmaster.Builder;
import io.switchmaster.Factory;
import io.switchmaster.SwitchOn;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import org.springframework.boot.context.properties.source.InvalidConfigurationPropertyValueException;

/** A builder that has what the properties say. */
final class Settings {
    private final Builder builder;

    private Settings(Builder builder) {
        this.builder = builder;
    }

    static Builder of(SwitchmasterProperties from) {
        boolean hasSentinels = from.sentinels() != null && !from.sentinels().isEmpty();
        if (from.url() == null && (!hasSentinels || from.service() == null)) {
            throw new InvalidConfigurationPropertyValueException("switchmaster.url", null,
                    "Set it, or switchmaster.sentinels and switchmaster.service;"
                            + " or switchmaster.enabled=false");
        }
        Builder builder = from.url() == null ? Factory.builder() : Factory.builder(from.url());
        Settings settings = new Settings(builder);
        if (hasSentinels) {
            builder.sentinels(from.sentinels());
        }
        if (from.name() != null) {
            builder.name(from.name());
        }
        builder.registerMBean(Boolean.TRUE.equals(from.registerMbean()));
        settings.servers(from);
        settings.pool(from);
        settings.switches(from);
        if (from.options() != null) {
            from.options().forEach(builder::option);
        }
        return builder;
    }

    private void servers(SwitchmasterProperties from) {
        set("service", from.service());
        set("username", from.username());
        set("password", from.password());
        set("db", from.db());
        set("client_name", from.clientName());
        set("protocol", from.protocol());
        set("sentinel_username", from.sentinelUsername());
        set("sentinel_password", from.sentinelPassword());
        set("tls", from.tls());
        set("tls_ca", from.tlsCa());
        set("tls_cert", from.tlsCert());
        set("tls_key", from.tlsKey());
        set("tls_server_name", from.tlsServerName());
        set("sentinel_tls", from.sentinelTls());
        set("sentinel_tls_ca", from.sentinelTlsCa());
        set("sentinel_tls_cert", from.sentinelTlsCert());
        set("sentinel_tls_key", from.sentinelTlsKey());
        set("sentinel_tls_server_name", from.sentinelTlsServerName());
        Map<String, String> addresses = from.addressMap() == null ? Map.of() : from.addressMap();
        addresses.forEach(builder::addressMap);
    }

    private void pool(SwitchmasterProperties from) {
        set("max_size", from.maxSize());
        set("min_idle", from.minIdle());
        setOrNone("max_lifetime", from.maxLifetime());
        setOrNone("leak_after", from.leakAfter());
        setTime("connect_timeout", from.connectTimeout());
        setTime("dial_timeout", from.dialTimeout());
        setTime("get_timeout", from.getTimeout());
        setTime("command_timeout", from.commandTimeout());
    }

    private void switches(SwitchmasterProperties from) {
        SwitchOn evidence = from.switchOn();
        set("switch_on", evidence == null ? null : evidence.name().toLowerCase(Locale.ROOT));
        setTime("confirm_within", from.confirmWithin());
        set("fence", from.fence());
        setTime("fence_timeout", from.fenceTimeout());
        set("on_lost_majority", from.onLostMajority());
        setOrNone("max_lag", from.maxLag());
    }

    private void set(String option, Object value) {
        if (value != null) {
            builder.option(option, value.toString());
        }
    }

    private void setTime(String option, Duration time) {
        set(option, time == null ? null : time.toMillis() + "ms");
    }

    private void setOrNone(String option, Duration time) {
        set(option, time == null ? null : time.isZero() ? "none" : time.toMillis() + "ms");
    }
}
