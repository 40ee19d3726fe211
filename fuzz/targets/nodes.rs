//! Bytes of a node on the link that watches it, in any pieces and without end.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchmaster::fuzz::nodes(data));
