//! Timestamps for transactions: unique, growing, near the clock, whatever crashes or moves the clock.
//!
//! ```text
//!   GET /tso?batch=N ──▶ service ──┐
//!   pdpb.PD/Tso ───────▶ stream ───┴▶ oracle ──▶ allocator (pure) ◀── steady_clock (pure) ◀── the machine's clocks
//!                                       │            │
//!                                       │            └─ "I need a bound of B"
//!                                       └──▶ bound_file ──▶ bound_record   (temp file, sync, rename, sync)
//! ```
//!
//! * Who gets which timestamps, and the clock that does not fall back, are `nokv-placement`'s, which keeps the same
//!   bound in its replicated state.
//! * `bound_record.rs`, `bound_file.rs`: the bound on disk, its checksum, and the lock on the directory.
//! * `oracle.rs`: allocator and file together. `service.rs`: HTTP; `stream.rs`: gRPC. `serve.rs`: the process.
//!
//! Invariant: a timestamp is handed out only while its physical part lies below the bound on disk, and a restart begins
//! at that bound. Deliberately absent: replication, which belongs to the placement service.

mod bound_file;
mod bound_record;
mod oracle;
mod serve;
mod service;
mod stream;

pub use bound_file::{BoundFile, BoundFileError};
pub use nokv_placement::clock::{AllocateError, Allocator, BATCH_MAX, ClockEvent, ClockReading, Decision};
pub use oracle::{Oracle, OracleError};
pub use serve::{ServeError, TsoOptions, serve};
