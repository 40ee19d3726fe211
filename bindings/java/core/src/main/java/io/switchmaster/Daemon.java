package io.switchmaster;

/** Threads of the library. They keep nothing of whoever happens to start them: no class loader, no locals. */
final class Daemon {
    private Daemon() {}

    static Thread start(String name, Runnable work) {
        Thread thread = make(name, work);
        thread.start();
        return thread;
    }

    static Thread make(String name, Runnable work) {
        Thread thread = new Thread(null, work, name, 0, false);
        thread.setDaemon(true);
        thread.setContextClassLoader(Daemon.class.getClassLoader());
        return thread;
    }
}
