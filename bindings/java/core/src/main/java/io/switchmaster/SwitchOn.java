package io.switchmaster;

import java.util.Locale;

/** At what evidence handles are led to another master. */
public enum SwitchOn {
    /** A replica says that it is the master, and the sentinels' answers prove that it is the one to follow. */
    PROMOTION,
    /** A sentinel names it. */
    CONFIRMATION,
    /** A sentinel announces it, {@code +switch-master}: as other clients do. */
    ANNOUNCEMENT;

    String text() {
        return name().toLowerCase(Locale.ROOT);
    }
}
