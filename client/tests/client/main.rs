//! The client against a cluster in memory, under tokio's paused clock: routing, transactions, locks, lost answers.
//! And its two edges, gRPC and HTTP, against real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]
#![allow(missing_docs, reason = "nothing here is used from outside")]

mod cluster;
mod discovery;
mod faults;
mod locks;
mod lost_answers;
mod moving_regions;
mod over_grpc;
mod over_http;
mod over_streams;
mod own_timestamps;
mod raw_keys;
mod routing;
mod scans;
mod serve;
mod transactions;
