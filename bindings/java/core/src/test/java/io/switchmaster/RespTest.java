package io.switchmaster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Commands as they are written, and replies as they are read. */
final class RespTest {
    private static ByteBuffer direct(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocateDirect(bytes.length).put(bytes).flip();
    }

    private static Reply read(String text) {
        return new RespReader().of(direct(text)).next();
    }

    /** Commas and line ends are written as ; and ~. */
    @ParameterizedTest
    @CsvSource({
        "'$5~hello~',            STRING,     hello",
        "'$0~~',                 STRING,     ''",
        "'$-1~',                 NULL,       (null)",
        "'*-1~',                 NULL,       (null)",
        "'_~',                   NULL,       (null)",
        "'+OK~',                 STATUS,     OK",
        "'+OKAY~',               STATUS,     OKAY",
        "'+~',                   STATUS,     ''",
        "':0~',                  INTEGER,    0",
        "':-9223372036854775808~', INTEGER,  -9223372036854775808",
        "':9223372036854775807~', INTEGER,   9223372036854775807",
        "':+7~',                 INTEGER,    7",
        "'-ERR no~',             ERROR,      (error) ERR no",
        "'!6~ERR no~',           ERROR,      (error) ERR no",
        "'#t~',                  BOOLEAN,    true",
        "'#f~',                  BOOLEAN,    false",
        "';1.5~',                DOUBLE,     1.5",
        "';inf~',                DOUBLE,     Infinity",
        "';-inf~',               DOUBLE,     -Infinity",
        "';nan~',                DOUBLE,     NaN",
        "'(123456789012345678901234567890~', BIG_NUMBER, 123456789012345678901234567890",
        "'=6~txt:hi~',           STRING,     hi",
        "'*2~:1~*1~+a~',         ARRAY,      '[1, [a]]'",
        "'*0~',                  ARRAY,      []",
        "'%1~+k~:2~',            MAP,        '[k, 2]'",
        "'~2-:1~:2~',            SET,        '[1, 2]'",
        "'|1~+ttl~:3~:5~',       INTEGER,    5",
        "'>2~+pubsub~+x~:5~',    INTEGER,    5",
    })
    void each_type_is_read(String text, Reply.Type type, String shown) {
        String resp = text.startsWith("~")
                ? "~" + text.substring(1).replace("-", "\r\n").replace("~", "\r\n")
                : text.replace(";", ",").replace("~", "\r\n");
        Reply reply = read(resp);
        assertEquals(type, reply.type());
        assertEquals(shown, reply.toString());
        RespReader.Frames frames = new RespReader.Frames(1);
        ByteBuffer buffer = direct(resp);
        assertTrue(frames.areComplete(buffer.position(buffer.limit())), "it is complete");
    }

    @Test
    void what_converts_without_loss_does_and_the_rest_is_named() {
        assertEquals(12, read("$2\r\n12\r\n").asLong());
        assertEquals("12", read(":12\r\n").asString());
        assertEquals(1.25, read("$4\r\n1.25\r\n").asDouble());
        assertTrue(read("+OK\r\n").asBoolean());
        assertTrue(read(":1\r\n").asBoolean());
        assertFalse(read("$-1\r\n").asBoolean());
        assertEquals(2, read("*4\r\n+a\r\n:1\r\n+b\r\n:2\r\n").asMap().get("b").asLong());
        assertTrue(read("*-1\r\n").asList().isEmpty());
        assertEquals("12", read("(12\r\n").asBigInteger().toString());
        for (Runnable wrong : new Runnable[] {
            () -> read("$1\r\nx\r\n").asLong(),
            () -> read("*0\r\n").asLong(),
            () -> read(":1\r\n").asList(),
            () -> read("*1\r\n:1\r\n").asMap(),
            () -> read("*0\r\n").asString(),
            () -> read("$-1\r\n").asBigInteger(),
        }) {
            SwitchmasterException error = assertThrows(SwitchmasterException.class, wrong::run);
            assertEquals(ErrorKind.ARGUMENT, error.kind());
            assertTrue(error.getMessage().startsWith("a reply of type "), error.getMessage());
        }
    }

    private static void random(Random random, StringBuilder into, int depth) {
        switch (random.nextInt(depth > 3 ? 6 : 10)) {
            case 0:
                into.append(":").append(random.nextLong()).append("\r\n");
                break;
            case 1:
                into.append("+").append("s".repeat(random.nextInt(40))).append("\r\n");
                break;
            case 2:
                into.append("$-1\r\n");
                break;
            case 3:
                into.append("-ERR ").append(random.nextInt()).append("\r\n");
                break;
            case 4:
            case 5:
                // Now and then longer than the window.
                int length = random.nextInt(20) == 0 ? random.nextInt(40_000) : random.nextInt(100);
                into.append("$").append(length).append("\r\n").append("\r\n".repeat(length / 2));
                into.append(length % 2 == 1 ? "x" : "").append("\r\n");
                break;
            case 6:
                into.append("%1\r\n+key\r\n");
                random(random, into, depth + 1);
                break;
            case 7:
                into.append("|1\r\n+key\r\n");
                random(random, into, depth + 1);
                random(random, into, depth);
                break;
            default:
                int count = random.nextInt(6);
                into.append("*").append(count).append("\r\n");
                for (int at = 0; at < count; at++) {
                    random(random, into, depth + 1);
                }
        }
    }

    /** Whatever comes, in whatever pieces: it is complete with its last byte, not before, and all is read. */
    @Test
    void replies_are_complete_with_their_last_byte_and_read_to_it() {
        for (int seed = 0; seed < 2_000; seed++) {
            Random random = new Random(seed);
            StringBuilder text = new StringBuilder();
            int replies = 1 + random.nextInt(3);
            for (int at = 0; at < replies; at++) {
                random(random, text, 0);
            }
            ByteBuffer all = direct(text.toString());
            ByteBuffer coming = ByteBuffer.allocateDirect(all.limit());
            RespReader.Frames frames = new RespReader.Frames(replies);
            while (coming.position() < all.limit()) {
                assertFalse(frames.areComplete(coming), "seed " + seed + " after " + coming.position());
                int piece = Math.min(1 + random.nextInt(50), all.limit() - coming.position());
                coming.put(all.duplicate().position(coming.position()).limit(coming.position() + piece).slice());
            }
            assertTrue(frames.areComplete(coming), "seed " + seed);
            RespReader reader = new RespReader().of(all);
            for (int at = 0; at < replies; at++) {
                reader.next();
            }
            assertThrows(RuntimeException.class, reader::next, "seed " + seed + " has more");
        }
    }

    @Test
    void what_begins_behind_the_last_reply_is_awaited_to_its_end() {
        ByteBuffer coming = ByteBuffer.allocateDirect(100);
        RespReader.Frames frames = new RespReader.Frames(1);
        coming.put("+OK\r\n>2\r\n+inva".getBytes(StandardCharsets.UTF_8));
        assertFalse(frames.areComplete(coming));
        coming.put("lidate\r\n".getBytes(StandardCharsets.UTF_8));
        assertFalse(frames.areComplete(coming));
        coming.put("*0\r\n".getBytes(StandardCharsets.UTF_8));
        assertTrue(frames.areComplete(coming));
    }

    @Test
    void commands_are_written_as_servers_read_them() {
        RespWriter writer = new RespWriter(4);
        writer.write(new String[] {"SET", "schlüssel", "v".repeat(123)});
        writer.write(new byte[][] {{'G', 'E', 'T'}, {}});
        String expected = "*3\r\n$3\r\nSET\r\n$10\r\nschlüssel\r\n$123\r\n" + "v".repeat(123) + "\r\n"
                + "*2\r\n$3\r\nGET\r\n$0\r\n\r\n";
        assertEquals(expected,
                new String(Arrays.copyOf(writer.bytes(), writer.length()), StandardCharsets.UTF_8));
    }

    @Test
    void words_of_every_length_are_written_whole() {
        RespWriter writer = new RespWriter(4);
        StringBuilder expected = new StringBuilder();
        for (int length = 0; length <= 120; length++) {
            byte[] word = new byte[length];
            for (int index = 0; index < length; index++) {
                word[index] = (byte) ('!' + index % 90);
            }
            writer.write(new byte[][] {word, {'e', 'n', 'd'}});
            expected.append("*2\r\n$").append(length).append("\r\n")
                    .append(new String(word, StandardCharsets.ISO_8859_1)).append("\r\n$3\r\nend\r\n");
        }
        assertEquals(expected.toString(), new String(writer.bytes(), 0, writer.length(), StandardCharsets.ISO_8859_1));
    }

    @Test
    void a_command_that_is_refused_leaves_nothing_behind() {
        RespWriter writer = new RespWriter(16);
        writer.write(new String[] {"PING"});
        int length = writer.length();
        assertThrows(SwitchmasterException.class, () -> writer.write(new String[] {"GET", null}));
        assertThrows(SwitchmasterException.class, () -> writer.write(new byte[][] {{'G'}, null}));
        assertThrows(SwitchmasterException.class, () -> writer.write(new String[0]));
        assertEquals(length, writer.length());
    }

    @Test
    void json_of_the_native_side_is_read() {
        var object = Json.object("{\"a\": [1, -2.5e3, true, false, null], \"b\\n\\u00e9\": {\"c\": \"\\\\\\\"\"}}");
        assertEquals("[1, -2500.0, true, false, null]", object.get("a").toString());
        assertEquals("{c=\\\"}", object.get("b\né").toString());
    }
}
