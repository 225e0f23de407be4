//! A Full against a listing.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inventory_fuzz::diff_choices(bytes));
