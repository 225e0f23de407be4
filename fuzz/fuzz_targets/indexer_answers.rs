//! Any answers of an Indexer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inventory_fuzz::indexer_answers(bytes));
