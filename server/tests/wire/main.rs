//! The wire's page, row by row, through the real service over loopback: a tonic client asks, nothing is called
//! directly. One store in memory serves two regions, split at m; `cluster` does the same with three nodes on disk.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed, as it should")]

mod admin;
mod arguments;
mod batch;
mod batch_client;
mod check_txn_status;
mod client_follows;
mod cluster;
mod commit;
mod gc;
mod get;
mod hibernate;
mod limits;
mod nodes;
mod prewrite;
mod raw;
mod region_errors;
mod resolve_lock;
mod rig;
mod rollback;
mod scan;
mod services;
mod stale;
