//! Any events into a shard of the manager.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inventory_fuzz::manager_choices(bytes));
