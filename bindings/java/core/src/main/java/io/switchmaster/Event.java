package io.switchmaster;

import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Collections;
import java.util.Map;

/**
 * Something that happened to a service.
 *
 * @param kind what
 * @param name the same as a word, also of kinds that these classes do not know
 * @param at when
 * @param generation the generation that it is about; 0 where there is none
 * @param address whom it is about, {@code host:port}: the new master of a switch; null where there is none
 * @param previous who was that before: the old master of a switch; null where there is none
 * @param source who told it, such as {@code sentinel 10.0.0.1:26379}
 * @param text one line for people
 * @param fields everything that it says, by name: text, {@link Long}, {@link Double}, {@link Boolean}
 */
public record Event(
        EventKind kind,
        String name,
        Instant at,
        long generation,
        String address,
        String previous,
        String source,
        String text,
        Map<String, Object> fields) {

    /** What the native library gives: six lines. */
    static Event read(byte[] bytes) {
        String[] lines = new String(bytes, StandardCharsets.UTF_8).split("\n", 6);
        Map<String, Object> fields = Json.object(lines[5]);
        return new Event(
                EventKind.of(Integer.parseInt(lines[0])),
                String.valueOf(fields.get("name")),
                Instant.ofEpochMilli(Long.parseLong(lines[1])),
                Long.parseLong(lines[2]),
                lines[3].isEmpty() ? null : lines[3],
                lines[4].isEmpty() ? null : lines[4],
                String.valueOf(fields.get("source")),
                String.valueOf(fields.get("text")),
                Collections.unmodifiableMap(fields));
    }

    /** The line for people. */
    @Override
    public String toString() {
        return text;
    }
}
