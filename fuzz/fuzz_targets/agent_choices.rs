//! Any events into the agent machine.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inventory_fuzz::agent_choices(bytes));
