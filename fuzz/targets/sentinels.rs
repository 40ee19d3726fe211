//! What a sentinel publishes and answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchmaster::fuzz::sentinels(data));
