//! The real engine and the power: RocksDB writes to a real directory, everything that it asks of the operating system
//! is written down in between, and from that every state is made that a power cut could have left. Whatever the moment,
//! the engine must open, hold everything that was acknowledged, and its writes in their order without a gap.
//!
//! ```text
//!   workload ──► RocksEngine ──► write, fsync, rename, … ──► the system, and a record of it    (record.rs)
//!                                                                     │
//!      the engine opens, and is compared with a model ◄── a directory ◄── a disk up to a cut   (disk.rs)
//! ```
//!
//! | file | what |
//! | --- | --- |
//! | `record.rs` | the calls in between, and syncs that fail on demand |
//! | `disk.rs` | what is on a disk for certain, what may be, and a directory of that |
//! | `steps.rs` | what the engine is asked to do, and what it must hold then |
//! | `cuts.rs`, `apart.rs`, `failed_sync.rs` | power cuts; with the raft log apart; syncs that fail |
#![cfg(all(feature = "rocksdb", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]
#![allow(missing_docs, reason = "nothing here is used from outside")]

mod apart;
mod cuts;
mod disk;
mod failed_sync;
mod record;
mod steps;
