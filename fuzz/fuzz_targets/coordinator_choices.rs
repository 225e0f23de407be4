//! Any events into the coordinator.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inventory_fuzz::coordinator_choices(bytes));
