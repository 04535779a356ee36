//! The promises of the engine's traits, as one suite that runs on every implementation: each test is generic over a
//! [`fixture::Fixture`], and `contract!` makes one test of it for the in-memory engine and one for RocksDB.
//! What only one implementation promises (crashes in memory, processes and files of RocksDB) is beside it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]
#![allow(missing_docs, reason = "nothing here is used from outside")]

/// Makes a test of each named generic function for every implementation.
macro_rules! contract {
    ($($test:ident),+ $(,)?) => {
        mod memory {
            $(#[test] fn $test() { super::$test(<crate::fixture::MemoryFixture as crate::fixture::Fixture>::new()); })+
        }
        #[cfg(feature = "rocksdb")]
        mod rocks {
            $(#[test] fn $test() { super::$test(<crate::fixture::RocksFixture as crate::fixture::Fixture>::new()); })+
        }
    };
}

mod apart_raft_log;
mod batch_bytes;
mod batches;
mod crash;
mod cursors;
mod faults;
mod file_raft_log;
mod fixture;
mod imports;
mod model;
mod raft_log;
mod random;
mod views;
