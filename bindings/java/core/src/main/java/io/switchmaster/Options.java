package io.switchmaster;

import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.nio.charset.StandardCharsets;

/** Options in the native library. */
final class Options {
    private static final Cleaner CLEANER = Cleaner.create();

    private final Fault fault = new Fault();
    private final long number;

    Options(String url) {
        number = Native.optionsNew(url == null ? null : Builder.bytes("the URL", url), fault.address());
        if (number == 0) {
            throw fault.exception();
        }
        long freed = number;
        CLEANER.register(this, () -> Native.optionsFree(freed));
    }

    void set(String name, String value) {
        byte[] given = Builder.bytes(name, value);
        int status = Native.optionsSet(number, Builder.bytes("the name of an option", name), given, fault.address());
        Reference.reachabilityFence(this);
        if (status != 0) {
            throw fault.exception();
        }
    }

    /** What an option is set to; null when it has no value. */
    String get(String name) {
        byte[] value = Native.optionsGet(number, Builder.bytes("the name of an option", name), fault.address());
        Reference.reachabilityFence(this);
        if (value == null && fault.kind() != ErrorKind.NOTHING) {
            throw fault.exception();
        }
        return value == null ? null : new String(value, StandardCharsets.UTF_8);
    }

    /** A time in milliseconds; 0 when there is none. */
    long millis(String name) {
        String time = get(name);
        if (time == null || time.equals("none")) {
            return 0;
        }
        int unit = 0;
        while (unit < time.length() && (Character.isDigit(time.charAt(unit)) || time.charAt(unit) == '.')) {
            unit++;
        }
        double number = Double.parseDouble(time.substring(0, unit));
        switch (time.substring(unit)) {
            case "ms":
                return Math.round(number);
            case "s":
                return Math.round(number * 1_000);
            case "m":
            case "min":
                return Math.round(number * 60_000);
            case "h":
                return Math.round(number * 3_600_000);
            case "us":
                return Math.max(1, Math.round(number / 1_000));
            default:
                throw new IllegalStateException(name + " is printed as " + time);
        }
    }

    long open() {
        long factory = Native.factoryOpen(number, fault.address());
        Reference.reachabilityFence(this);
        if (factory == 0) {
            throw fault.exception();
        }
        return factory;
    }
}
