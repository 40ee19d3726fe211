//! Bytes of a sentinel on its link, in any pieces and without end.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchmaster::fuzz::links(data));
