//! What happens to a machine, as lines of a recording.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchmaster::fuzz::happenings(data));
