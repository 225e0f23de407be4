//! Any ossec.conf.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inventory_fuzz::ossec_conf(bytes));
