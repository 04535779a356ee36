//! The RocksDB engine: one database a node, one column family of it for each of ours, one write-ahead log for all.
//! Nothing of the rocksdb crate shows in its interface.
//!
//! ```text
//!   write(batch, sync) ─► one RocksDB batch ─► WAL ─(sync)─► disk
//!                                            └► write buffers ─► tables, blob files     (background)
//!   view() ─► snapshot ─► get: a pinned slice, copied once;  cursor: iterator with bounds
//! ```
//!
//! | file | what |
//! | --- | --- |
//! | `engine.rs` | the handle on an open database |
//! | `options.rs`, `families.rs` | what can be set, and the same in RocksDB's terms |
//! | `open.rs` | opening, or saying why not |
//! | `write.rs`, `error.rs` | batches; RocksDB's errors as ours |
//! | `view.rs`, `cursor.rs`, `prefix.rs` | reading; the prefix by which filters know a key |
//! | `statistics.rs` | what status pages and metrics ask |
//! | `close.rs` | flushing, compacting by hand, closing |

mod clear;
mod close;
mod cursor;
mod engine;
mod error;
mod families;
mod import;
mod open;
mod options;
mod prefix;
mod statistics;
mod view;
mod write;

pub use cursor::RocksCursor;
pub use engine::RocksEngine;
pub use options::RocksOptions;
pub use statistics::{CfStatistics, RocksStatistics};
pub use view::RocksView;
