//! placeholder
#![allow(missing_docs)]
mod batch;
mod cf;
mod engine;
mod error;
mod raft_log;

pub use batch::{WriteBatch, WriteOp, WriteOps};
pub use cf::Cf;
pub use engine::{Cursor, Engine, KeyRange, ReadView};
pub use error::{Error, Result};
pub use raft_log::{LogBatch, LogEntry, LogOp, RaftLog};
