//! Any items, from frame to bulk body.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inventory_fuzz::scan(bytes));
