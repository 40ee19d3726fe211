//! Factories over TLS.
