//! The gRPC side of a node: `tinykvpb.TinyKv`, the raft streams of other nodes, health and reflection. It checks what a
//! request must carry, turns protobuf into commands and replies into protobuf, and knows no rule of either core.
//!
//! ```text
//!   request ──► context.rs ──► txn_read / txn_write / raw ──► executor
//!                                       │
//!   response ◄── answer.rs: a region error OR an answer, never both ◄── key_error.rs, region_error.rs
//! ```
//!
//! | file | what |
//! | --- | --- |
//! | `tinykv.rs` | the service: one line a call |
//! | `context.rs` | what every request must carry; limits of keys |
//! | `txn_read.rs`, `txn_write.rs`, `raw.rs` | the calls |
//! | `key_error.rs`, `region_error.rs` | errors in the wire's words |
//! | `answer.rs` | what all responses have in common |
//! | `calls.rs` | counters and latencies of each call |
//! | `server.rs` | everything put together, with its limits |
//!
//! Invariants: a gRPC status other than OK means that the request itself is wrong or too large, or that this node is
//! going down; everything that the cluster's state decides stands in the response.
//!
//! Deliberately absent: pushed-down computation (`Coprocessor` is answered `Unimplemented`) and TinyKV's images.

mod answer;
mod calls;
mod context;
mod key_error;
mod raw;
mod region_error;
mod server;
mod tinykv;
mod txn_read;
mod txn_write;

pub use self::calls::Calls;
pub use self::server::{GrpcServer, MESSAGE_BYTES_MAX, SERVICE_NAMES};
pub use self::tinykv::TinyKvService;
