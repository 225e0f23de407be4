//! Any bytes, read as a message.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inventory_fuzz::wire_decode(bytes));
