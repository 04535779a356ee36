//! The gRPC side of a node: `tinykvpb.TinyKv`, `tikvpb.Tikv` with its streams of batches, `nokvpb.Admin`, the raft
//! streams of other nodes, health and reflection. It checks what a request must carry, turns protobuf into commands and
//! replies into protobuf, and knows no rule of either core.
//!
//! ```text
//!   request ──► context.rs ──► txn_read / txn_write / raw ──► executor
//!                                       │
//!   response ◄── answer.rs: a region error OR an answer, never both ◄── key_error.rs, region_error.rs
//! ```
//!
//! | file | what |
//! | --- | --- |
//! | `tinykv.rs` | TinyKV's service: one line a call |
//! | `tinykv_forms.rs` | its own messages, turned into kvproto's and back |
//! | `tikv.rs` | TiKV's service |
//! | `tikv_calls.rs` | the table of its calls: what serves each, which are refused |
//! | `tikv_dispatch.rs`, `tikv_refusal.rs` | one request of a batch; how it is refused |
//! | `tikv_stream.rs` | a stream of batches: many requests side by side, answers as they become ready |
//! | `split_region.rs`, `read_index.rs` | its calls about regions |
//! | `admin.rs` | our own service: what is asked of regions, and done to them |
//! | `context.rs` | what every request must carry; limits of keys |
//! | `txn_read.rs`, `txn_write.rs`, `raw.rs`, `gc.rs`, `delete_range.rs` | the calls |
//! | `key_error.rs`, `region_error.rs` | errors in the wire's words |
//! | `answer.rs` | what all responses have in common |
//! | `calls.rs` | counters and latencies of each call |
//! | `server.rs` | everything put together, with its limits |
//!
//! Invariants: a gRPC status other than OK means that the request itself is wrong or too large, or that this node is
//! going down; everything that the cluster's state decides stands in the response. In a batch each request has its own
//! answer under its own id, whatever becomes of the others.
//!
//! Deliberately absent: pushed-down computation (`Coprocessor` is answered `Unimplemented`), TinyKV's images, and those
//! of TiKV's calls that the cores have no command for.

mod admin;
mod answer;
mod calls;
mod context;
mod delete_range;
mod gc;
mod key_error;
mod raw;
mod read_index;
mod region_error;
mod server;
mod split_region;
mod tikv;
mod tikv_calls;
mod tikv_dispatch;
mod tikv_refusal;
mod tikv_stream;
#[cfg(test)]
mod tikv_stream_tests;
mod tinykv;
mod tinykv_forms;
mod txn_read;
mod txn_write;

pub use self::admin::AdminService;
pub use self::calls::Calls;
pub use self::server::{GrpcServer, MESSAGE_BYTES_MAX, SERVICE_NAMES};
pub use self::tikv::{Answers, TikvService};
pub use self::tinykv::TinyKvService;
