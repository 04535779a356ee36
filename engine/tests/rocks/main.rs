//! What only RocksDB promises: clear refusals to open, figures, closing, and what a killed process or a disk that
//! takes no more leaves behind. Other processes are this test binary again, running the test `child::run`.
#![cfg(feature = "rocksdb")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]
#![allow(missing_docs, reason = "nothing here is used from outside")]

mod child;
mod closing;
mod figures;
mod opening;
mod survival;
