package io.switchmaster;

import org.slf4j.Logger;

/** The listener that every factory begins with: it logs. It knows its factory by name alone. */
final class EventLog implements EventListener {
    private final Logger log;
    private final String name;

    EventLog(Logger log, String name) {
        this.log = log;
        this.name = name;
    }

    @Override
    public void onEvent(Event event) {
        String line = "{}: {}";
        switch (event.kind()) {
            case NOT_PROVEN:
            case OVERRULED:
            case MAJORITY_LOST:
            case SENTINEL_DOWN:
            case NODE_DOWN:
            case FAILOVER_ABORTED:
            case SERVICE_REMOVED:
            case DISAGREEMENT:
            case NOT_VERIFIED:
            case MALFORMED:
            case LEAKED:
            case MISSED:
                log.warn(line, name, event.text());
                break;
            case SWITCHED:
            case FENCE_RAISED:
            case FENCE_LIFTED:
            case MAJORITY_REGAINED:
            case SENTINEL_UP:
            case SENTINEL_FOUND:
            case SENTINEL_FORGOTTEN:
            case NODE_UP:
            case NODE_RESTARTED:
            case FAILOVER_STARTED:
            case SERVICE_MONITORED:
                log.info(line, name, event.text());
                break;
            default:
                log.debug(line, name, event.text());
                break;
        }
    }
}
