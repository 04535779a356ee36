//! `nokv_fuzz::disk::write_batch` under libfuzzer: inputs guided by the coverage that they reach.
//! Run from `fuzz/cargo-fuzz`: `cargo +nightly fuzz run --fuzz-dir . write_batch`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nokv_fuzz::disk::write_batch(input));
