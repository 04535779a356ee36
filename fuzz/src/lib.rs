//! Every decoder that reads bytes from a disk or a network, as a function of any bytes whatever: none may panic, and
//! none may take memory out of proportion to what it was given.
//!
//! ```text
//!   examples of each target ──► mutate (seeded) ──┐
//!                                                 ├──► Target::run: decode; what decodes must encode to the same
//!   libfuzzer, guided by coverage ────────────────┘
//! ```
//!
//! `tests/short.rs` runs each target for some thousand seeded inputs, on every check. The long way needs a nightly
//! compiler and cargo-fuzz: `cd fuzz/cargo-fuzz && cargo +nightly fuzz run --fuzz-dir . records`.
//!
//! | file | what |
//! | --- | --- |
//! | [`targets`] | the list of all targets |
//! | [`disk`] | what stores and the timestamp server keep: keys, records, batches, the bound |
//! | [`wire`] | what nodes send each other: log entries, envelopes, images |
//! | [`text`] | what people write: topology files, keys on the command line |
//! | [`mutate`] | inputs from examples |
//!
//! Invariants: a target decides nothing but whether its input was handled; the same seed gives the same inputs.
//! Deliberately absent: raft-rs's own decoder on nested input without bound (its runtime recurses, see
//! `docs/limits.md`), and gRPC's frames, which are their crates' to fuzz.

pub mod disk;
pub mod mutate;
pub mod targets;
pub mod text;
pub mod wire;
