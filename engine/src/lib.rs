//! The disk of one node: column families, atomic write batches, read views, cursors and the raft log, behind small
//! traits that RocksDB and an in-memory engine answer alike.
//!
//! ```text
//!   percolator: reads a view,         raftstore: writes log and data,      sim: crashes machines,
//!   returns a WriteBatch              scans its own records                fills and breaks disks
//!          │                                 │            │                        │
//!          ▼                                 ▼            ▼                        ▼
//!   ┌────────────────────── trait Engine ──────────┐ ┌ trait RaftLog ┐   MemoryEngine::{crash, set_faults}
//!   │ view() → ReadView → Cursor  get write import │ │ write entries │
//!   └──────┬─────────────────────────────┬─────────┘ └───────┬───────┘
//!          │                             │                   │
//!     RocksEngine (feature `rocksdb`)  MemoryEngine    SharedRaftLog<E: Engine>      or FileRaftLog, in files
//!          │                             │                   │ keys of `raft_keys`, one batch a write
//!          └──── one store, five column families: default lock write raw raft ◄──┘
//! ```
//!
//! # Map
//! | file | what |
//! | --- | --- |
//! | `cf.rs`, `batch.rs`, `error.rs` | column families, the encoded write batch, errors by what the caller must do |
//! | `engine.rs` | the traits [`Engine`], [`ReadView`], [`Cursor`], and [`KeyRange`] |
//! | `import.rs` | the trait [`Importer`]: data that comes in bulk |
//! | `raft_log.rs` | the trait [`RaftLog`] |
//! | `shared_raft_log.rs`, `apart_raft_log.rs` | the log in the data engine, and in one of its own |
//! | `file_log/` | [`FileRaftLog`]: the log in files that are written directly and used again |
//! | `marker.rs`, `failure.rs` | whose directory it is; the first failure, which ends all writing |
//! | `planted.rs` | mistakes for the simulator to find; not compiled in otherwise |
//! | `raft_keys.rs` | every key of [`Cf::Raft`] |
//! | `memory/` | [`MemoryEngine`]: persistent maps, a journal of what is not synced, faults on demand |
//! | `rocks/` | `RocksEngine`: options, opening, writing, views, cursors, `import`, `clear`, statistics |
//! | `tests/contract/` | one suite of promises, run on every implementation |
//!
//! # Invariants
//! 1. A batch is applied whole or not at all, in the order of its operations, over all column families.
//! 2. What survives a crash is a prefix of the batches in the order in which they were written, and holds at least
//!    everything up to the last synced write. The shared raft log writes through the same engine, so log and data
//!    are one order.
//! 3. A view never changes. A cursor never shows a key outside its range, and never ends early in silence.
//! 4. After a failed write or sync the engine takes no further write: what is on disk is then unknown, and an
//!    acknowledgement on top of it could be lost.
//! 5. An import that was finished is there after any crash, whole, until it is discarded; taking it in, and clearing a
//!    range, may be interrupted and are then repeated by the caller.
//! 6. Column family tags, batch bytes and the keys of `raft_keys.rs` are the on-disk format.
//!
//! # Deliberately absent
//! Transactions, timestamps and regions (the cores' business); caches above the engine (RocksDB has its own);
//! merge operators and time-to-live (every replica must compute the same bytes); reads that fail on demand in the
//! in-memory engine (views are plain memory there); any clock of ours.

mod apart_raft_log;
mod batch;
mod cf;
mod engine;
mod error;
mod failure;
mod file_log;
mod import;
mod marker;
mod memory;
mod planted;
mod raft_log;
mod shared_raft_log;

pub mod raft_keys;

#[cfg(feature = "rocksdb")]
mod rocks;

pub use apart_raft_log::ApartRaftLog;
pub use batch::{WriteBatch, WriteOp, WriteOps};
pub use cf::Cf;
pub use engine::{Cursor, Engine, KeyRange, RangeEstimate, ReadView};
pub use error::{Error, Result};
pub use file_log::{FileLogOptions, FileRaftLog};
pub use import::Importer;
pub use memory::{FaultPlan, MemoryCursor, MemoryEngine, MemoryView};
pub use planted::is_planted;
#[cfg(feature = "planted-bugs")]
pub use planted::plant;
pub use raft_log::{LogBatch, LogEntry, LogOp, RaftLog};
pub use shared_raft_log::SharedRaftLog;

#[cfg(feature = "rocksdb")]
pub use rocks::{CfStatistics, RocksCursor, RocksEngine, RocksOptions, RocksStatistics, RocksView};
