package io.switchmaster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** What GraalVM's native-image is told: it names what exists. Images are not built here. */
final class NativeImageTest {
    private static String read(String file) throws IOException {
        String path = "/META-INF/native-image/io.switchmaster/switchmaster/" + file;
        try (InputStream in = NativeImageTest.class.getResourceAsStream(path)) {
            assertNotNull(in, path);
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    @SuppressWarnings("unchecked")
    private static List<Map<String, Object>> list(Object of) {
        return (List<Map<String, Object>>) of;
    }

    private static List<Map<String, Object>> entries(String file) throws IOException {
        return list(Json.object("{\"all\":" + read(file) + "}").get("all"));
    }

    @Test
    void the_classes_and_fields_of_the_configuration_exist() throws Exception {
        for (String file : List.of("jni-config.json", "reflect-config.json")) {
            List<Map<String, Object>> entries = entries(file);
            assertTrue(!entries.isEmpty(), file);
            for (Map<String, Object> entry : entries) {
                Class<?> type = Class.forName(entry.get("name").toString());
                for (Map<String, Object> field : list(entry.getOrDefault("fields", List.of()))) {
                    assertNotNull(type.getDeclaredField(field.get("name").toString()));
                }
                for (Map<String, Object> method : list(entry.getOrDefault("methods", List.of()))) {
                    assertEquals(List.of(), method.get("parameterTypes"));
                    if (Runtime.version().feature() >= 21) {
                        assertNotNull(type.getDeclaredMethod(method.get("name").toString()));
                    }
                }
            }
        }
    }

    @Test
    void the_pattern_of_the_configuration_takes_the_library_along() throws IOException {
        Object resources = Json.object(read("resource-config.json")).get("resources");
        @SuppressWarnings("unchecked")
        Object includes = ((Map<String, Object>) resources).get("includes");
        String library = "io/switchmaster/native/" + NativeLibrary.platform() + "/"
                + System.mapLibraryName("switchmaster_jni");
        assertNotNull(Native.class.getResource("/" + library), library);
        assertTrue(list(includes).stream()
                .anyMatch(include -> Pattern.matches(include.get("pattern").toString(), library)));
    }
}
