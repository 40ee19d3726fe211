//! Real Redis and Sentinel clusters on loopback, for tests and demos.
