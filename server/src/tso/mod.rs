//! Timestamps for transactions: unique, growing, near the clock, whatever crashes or moves the clock.
//!
//! ```text
//!   GET /tso?batch=N ──▶ service ──▶ oracle ──▶ allocator (pure) ◀── steady_clock (pure) ◀── the machine's clocks
//!                                       │            │
//!                                       │            └─ "I need a bound of B"
//!                                       └──▶ bound_file ──▶ bound_record   (temp file, sync, rename, sync)
//! ```
//!
//! * `allocator.rs`: who gets which timestamps; pure, so that a replicated clock can use it as it is.
//! * `steady_clock.rs`: a clock that does not fall back, from one that may; pure.
//! * `bound_record.rs`, `bound_file.rs`: the bound on disk, its checksum, and the lock on the directory.
//! * `oracle.rs`: allocator and file together. `service.rs`: HTTP. `serve.rs`: the process.
//!
//! Invariant: a timestamp is handed out only while its physical part lies below the bound on disk, and a restart begins
//! at that bound. Deliberately absent: replication, which belongs to the placement service.

mod allocator;
mod bound_file;
mod bound_record;
mod oracle;
mod serve;
mod service;
mod steady_clock;

pub use allocator::{AllocateError, Allocator, BATCH_MAX, Decision};
pub use bound_file::{BoundFile, BoundFileError};
pub use oracle::{Oracle, OracleError};
pub use serve::{ServeError, TsoOptions, serve};
pub use steady_clock::{ClockEvent, ClockReading};
