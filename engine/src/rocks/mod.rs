//! The RocksDB engine: one database a node, one column family of it for each of ours, one write-ahead log for all.
//! Nothing of the rocksdb crate shows in its interface.
//!
//! ```text
//!   write(batch, sync) ─► one RocksDB batch ─► WAL ─(sync)─► disk
//!                                            └► write buffers ─► tables, blob files     (background)
//!   view() ─► snapshot ─► get: a pinned slice, copied once;  cursor: iterator with bounds
//! ```

mod close;
mod cursor;
mod engine;
mod failure;
mod families;
mod marker;
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
