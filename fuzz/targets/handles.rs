//! Bytes of a master on the connection of a handle.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchmaster::fuzz::handles(data));
