//! The networks from outside: one contract for all of them, and what each has beyond it.
//! One binary, so that it links once.

// Clippy's leave for tests does not reach the helpers of an integration test; a panic here is a failed test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod contract;
#[cfg(feature = "grpc")]
mod grpc_links;
#[cfg(feature = "grpc")]
mod grpc_receive;
#[cfg(feature = "grpc")]
mod grpc_rig;
mod images;
mod memory_faults;
mod memory_rig;
mod recorder;
