package io.switchmaster;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;

/**
 * Everything that is known of a service at one moment: its nodes, its sentinels, what each of them says, and
 * what is wrong.
 *
 * @param service the name that the sentinels monitor it under
 * @param master the address of the master, {@code host:port}; null when none is known
 * @param epoch the sentinels' configuration epoch of that master; null when it is not known
 * @param generation how many masters were served so far
 * @param confirmed whether the sentinels name that master
 * @param fence why commands wait at the moment; null when they do not
 * @param agreeing how many sentinels name that master
 * @param known how many sentinels are known
 * @param nodes the master and its replicas
 * @param sentinels the sentinels
 * @param troubles what is wrong, a line each
 * @param json all of it, and more, as {@code switchmaster topology --json} prints it
 */
public record Topology(
        String service,
        String master,
        Long epoch,
        long generation,
        boolean confirmed,
        String fence,
        long agreeing,
        long known,
        List<Node> nodes,
        List<Sentinel> sentinels,
        List<String> troubles,
        String json) {

    /**
     * A server.
     *
     * @param address its announced address
     * @param role {@code master} or {@code replica}
     * @param runId its run id; null when it is not known
     * @param flags what sentinels say of it, such as {@code s_down}
     * @param offset its replication offset; null when it is not known
     * @param lag how many bytes it is behind its master; null when it is not known
     * @param priority its priority at the choice of a master; null when it is not known
     * @param down whether most sentinels cannot reach it
     */
    public record Node(
            String address,
            String role,
            String runId,
            List<String> flags,
            Long offset,
            Long lag,
            Long priority,
            boolean down) {}

    /**
     * A sentinel.
     *
     * @param address its address
     * @param configured whether it was configured, or found
     * @param link {@code up}, {@code down} or {@code connecting}
     * @param reason why it is down; null otherwise
     * @param names whom it names as the master; null when it was not heard
     * @param epoch the epoch of that; null when it was not heard
     * @param tilt whether it is in TILT mode
     */
    public record Sentinel(
            String address,
            boolean configured,
            String link,
            String reason,
            String names,
            Long epoch,
            boolean tilt) {}

    static Topology read(byte[] bytes) {
        String json = new String(bytes, StandardCharsets.UTF_8);
        Map<String, Object> of = Json.object(json);
        List<Node> nodes = new ArrayList<>();
        for (Map<String, Object> node : objects(of, "nodes")) {
            nodes.add(new Node(
                    text(node, "address"), text(node, "role"), text(node, "run_id"), texts(node, "flags"),
                    number(node, "offset"), number(node, "lag"), number(node, "priority"), yes(node, "down")));
        }
        List<Sentinel> sentinels = new ArrayList<>();
        for (Map<String, Object> sentinel : objects(of, "sentinels")) {
            sentinels.add(new Sentinel(
                    text(sentinel, "address"), yes(sentinel, "configured"), text(sentinel, "link"),
                    text(sentinel, "reason"), text(sentinel, "names"), number(sentinel, "epoch"),
                    yes(sentinel, "tilt")));
        }
        Map<String, Object> agreement = member(of, "agreement");
        return new Topology(
                text(of, "service"), text(of, "master"), number(of, "epoch"), count(of, "generation"),
                yes(of, "confirmed"), text(of, "fence"), count(agreement, "agreeing"), count(agreement, "known"),
                Collections.unmodifiableList(nodes), Collections.unmodifiableList(sentinels),
                texts(of, "troubles"), json);
    }

    private static String text(Map<String, Object> of, String name) {
        Object value = of.get(name);
        return value == null ? null : value.toString();
    }

    private static Long number(Map<String, Object> of, String name) {
        Object value = of.get(name);
        return value instanceof Number ? ((Number) value).longValue() : null;
    }

    private static long count(Map<String, Object> of, String name) {
        Long number = number(of, name);
        return number == null ? 0 : number;
    }

    private static boolean yes(Map<String, Object> of, String name) {
        return Boolean.TRUE.equals(of.get(name));
    }

    private static List<String> texts(Map<String, Object> of, String name) {
        List<String> texts = new ArrayList<>();
        Object value = of.get(name);
        if (value instanceof List) {
            for (Object element : (List<?>) value) {
                texts.add(String.valueOf(element));
            }
        } else if (value != null) {
            texts.add(value.toString());
        }
        return Collections.unmodifiableList(texts);
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> member(Map<String, Object> of, String name) {
        Object value = of.get(name);
        return value instanceof Map ? (Map<String, Object>) value : Collections.emptyMap();
    }

    @SuppressWarnings("unchecked")
    private static List<Map<String, Object>> objects(Map<String, Object> of, String name) {
        Object value = of.get(name);
        return value instanceof List ? (List<Map<String, Object>>) value : Collections.emptyList();
    }
}
