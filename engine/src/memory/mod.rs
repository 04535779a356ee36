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
//!
//! | file | what |
//! | --- | --- |
//! | `engine.rs` | the handle: one incarnation of a node on its disk |
//! | `tables.rs`, `view.rs`, `cursor.rs` | the contents as persistent maps, and reading them |
//! | `write.rs` | batches become visible; the journal |
//! | `crash.rs`, `faults.rs` | what is lost when the machine stops; what goes wrong, and when |

mod crash;
mod cursor;
mod engine;
mod faults;
mod import;
mod tables;
mod view;
mod write;

pub use cursor::MemoryCursor;
pub use engine::MemoryEngine;
pub use faults::FaultPlan;
pub use view::MemoryView;
