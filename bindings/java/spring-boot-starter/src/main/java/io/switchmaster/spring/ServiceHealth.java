package io.switchmaster.spring;

import io.switchmaster.Factory;
import io.switchmaster.SwitchmasterException;
import io.switchmaster.Topology;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * How a service is, for the health indicators of both lines of Boot.
 *
 * @param up whether there is a master that most sentinels can reach
 * @param details what is known
 */
record ServiceHealth(boolean up, Map<String, Object> details) {
    /** Asks nobody: what the factory knows is at most as old as the sentinels' last word. */
    static ServiceHealth of(Factory factory) {
        Map<String, Object> details = new LinkedHashMap<>();
        details.put("service", factory.service());
        Topology topology;
        try {
            topology = factory.topology();
        } catch (SwitchmasterException closed) {
            details.put("error", closed.getMessage());
            return new ServiceHealth(false, details);
        }
        String master = topology.master();
        boolean isDown = topology.nodes().stream()
                .anyMatch(node -> node.down() && node.address().equals(master));
        details.put("master", master == null ? "unknown" : isDown ? master + " (down)" : master);
        details.put("generation", topology.generation());
        details.put("agreement", topology.agreeing() + " of " + topology.known() + " sentinels");
        details.put("fence", topology.fence() == null ? "none" : topology.fence());
        if (!topology.troubles().isEmpty()) {
            details.put("troubles", topology.troubles());
        }
        return new ServiceHealth(master != null && !isDown, details);
    }
}
