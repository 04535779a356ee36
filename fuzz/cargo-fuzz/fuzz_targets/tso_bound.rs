//! `nokv_fuzz::disk::tso_bound` under libfuzzer: inputs guided by the coverage that they reach.
//! Run from `fuzz/cargo-fuzz`: `cargo +nightly fuzz run --fuzz-dir . tso_bound`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nokv_fuzz::disk::tso_bound(input));
