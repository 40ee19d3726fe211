package io.switchmaster;

import java.lang.ref.Reference;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.function.LongFunction;

/**
 * Settings, by name and value. The native library, which knows what is allowed, has them only for the length
 * of a call, so there is nothing to free.
 */
final class Options {
    private final byte[] url;
    private final List<byte[][]> given = new ArrayList<>();

    /** The calls for credentials, at the nodes and at the sentinels; null without a callback. */
    private CredentialsCall nodes;
    private CredentialsCall sentinels;

    Options(String url) {
        this.url = url == null ? null : text("the URL", url);
        with(options -> null);
        if (!names(url, "protocol")) {
            // Other libraries over these connections expect it; a later setting takes its place.
            set("protocol", "2");
        }
    }

    /** Returns true when the query of a URL that could be read sets an option. */
    private static boolean names(String url, String option) {
        int query = url == null ? -1 : url.indexOf('?');
        if (query < 0) {
            return false;
        }
        for (String pair : url.substring(query + 1).split("#", 2)[0].split("&")) {
            if (pair.split("=", 2)[0].equals(option)) {
                return true;
            }
        }
        return false;
    }

    /** Sets one, when all of them together can be read. */
    void set(String name, String value) {
        given.add(new byte[][] {text("the name of an option", name), text(name, value)});
        try {
            with(options -> null);
        } catch (SwitchmasterException wrong) {
            given.remove(given.size() - 1);
            throw wrong;
        }
    }

    void credentials(CredentialsProvider provider) {
        nodes = new CredentialsCall(provider);
    }

    void sentinelCredentials(CredentialsProvider provider) {
        sentinels = new CredentialsCall(provider);
    }

    /** Returns the calls that the native library refers to weakly: a factory keeps them. */
    List<CredentialsCall> calls() {
        List<CredentialsCall> calls = new ArrayList<>();
        if (nodes != null) {
            calls.add(nodes);
        }
        if (sentinels != null) {
            calls.add(sentinels);
        }
        return calls;
    }

    private static void supplied(long options, boolean atSentinels, CredentialsCall call, Fault fault) {
        if (call != null
                && Native.optionsSetCredentials(options, atSentinels ? 1 : 0, call, fault.address()) != 0) {
            throw fault.exception();
        }
    }

    /** What an option is set to; null when it has no value. */
    String get(String name) {
        Fault fault = new Fault();
        byte[] value = with(options -> Native.optionsGet(options, text("the name", name), fault.address()));
        if (value == null && fault.kind() != ErrorKind.NOTHING) {
            throw fault.exception();
        }
        return value == null ? null : new String(value, StandardCharsets.UTF_8);
    }

    /** A time in milliseconds, as it is printed: a whole number and its unit. 0 when there is none. */
    long millis(String name) {
        String time = get(name);
        if (time == null || time.equals("none")) {
            return 0;
        }
        int unit = 0;
        while (Character.isDigit(time.charAt(unit))) {
            unit++;
        }
        long number = Long.parseLong(time.substring(0, unit));
        switch (time.substring(unit)) {
            case "d":
                return number * 86_400_000;
            case "h":
                return number * 3_600_000;
            case "m":
                return number * 60_000;
            case "s":
                return number * 1_000;
            case "ms":
                return number;
            case "us":
                return Math.max(1, number / 1_000);
            case "ns":
                return Math.max(1, number / 1_000_000);
            default:
                throw new IllegalStateException(name + " is printed as " + time);
        }
    }

    /** The number of a factory with these settings, but for one, a time, which is none. */
    long openWithout(String name) {
        Fault fault = new Fault();
        byte[] none = "none".getBytes(StandardCharsets.UTF_8);
        long factory;
        try {
            factory = with(options -> {
                Native.optionsSet(options, text("the name", name), none, fault.address());
                supplied(options, false, nodes, fault);
                supplied(options, true, sentinels, fault);
                return Native.factoryOpen(options, fault.address());
            });
        } finally {
            // Keeps the builder, and its calls with it, reachable until here.
            Reference.reachabilityFence(this);
        }
        if (factory == 0) {
            throw fault.exception();
        }
        return factory;
    }

    private <T> T with(LongFunction<T> call) {
        Fault fault = new Fault();
        long options = Native.optionsNew(url, fault.address());
        if (options == 0) {
            throw fault.exception();
        }
        try {
            for (byte[][] option : given) {
                if (Native.optionsSet(options, option[0], option[1], fault.address()) != 0) {
                    throw fault.exception();
                }
            }
            return call.apply(options);
        } finally {
            Native.optionsFree(options);
        }
    }

    private static byte[] text(String what, String text) {
        if (text == null) {
            throw SwitchmasterException.argument(what + " is null");
        }
        if (text.indexOf('\0') >= 0) {
            throw SwitchmasterException.argument(what + " has a NUL in it");
        }
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
