//! The in-memory engine: the same promises as RocksDB's, plus a disk that can be crashed, filled and broken on
//! purpose, deterministically. For the simulator, for tests of the cores, and for the contract suite.
//!
//! ```text
//!   write ──► visible tables ◄── views (O(1): persistent maps)
//!     │
//!     ├─────► journal of unsynced batches ──┐ crash(keep): the first `keep` of them
//!     │                                     ▼
//!     └ sync ► durable tables ─────────────► what the next incarnation opens with
//! ```

mod crash;
mod cursor;
mod engine;
mod faults;
mod tables;
mod view;
mod write;

pub use cursor::MemoryCursor;
pub use engine::MemoryEngine;
pub use faults::FaultPlan;
pub use view::MemoryView;
