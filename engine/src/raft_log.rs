//! The raft log's own seam, so that the shared RocksDB, a second instance and a log engine can be compared.
//! A log holds, for each raft group (a region), its entries and one small opaque state record (raft's hard state).

use std::fmt::Debug;

use bytes::Bytes;

use crate::{Result, WriteBatch};

/// Durable logs of many raft groups, written together. Cheap to share behind an `Arc`.
pub trait RaftLog: Debug + Send + Sync + 'static {
    /// Writes everything in `batch` atomically; with `sync`, returns only when it is on disk. As with
    /// [`crate::Engine::write`], what survives a crash is a prefix of the batches written.
    fn write(&self, batch: &LogBatch, sync: bool) -> Result<()>;

    /// The entries `low..high` of `group` in order, stopping before the one that would make the sum of their bytes
    /// exceed `bytes_max`, but never before the first.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`] if one of them is missing.
    fn entries(&self, group: u64, low: u64, high: u64, bytes_max: u64) -> Result<Vec<LogEntry>>;

    /// The state record of `group`, or `None` if it never had one.
    fn state(&self, group: u64) -> Result<Option<Bytes>>;

    /// The lowest and highest entry index of `group`, or `None` if it holds none. Reads the disk: for start-up only.
    fn bounds(&self, group: u64) -> Result<Option<(u64, u64)>>;
}

/// One entry: its index and its encoded form (opaque here; raft's own encoding).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Position in the group's log.
    pub index: u64,
    /// The encoded entry.
    pub encoded: Bytes,
}

/// What one round of the store loop writes, for all of its groups.
#[derive(Clone, Debug, Default)]
pub struct LogBatch {
    /// In order; later ones win.
    pub ops: Vec<LogOp>,
    /// Writes to the data engine that belong to the same atomic step (region and image metadata). A log that
    /// shares the data engine puts them into the same batch; one that does not must write and sync them first.
    pub data: WriteBatch,
}

/// One change of one group's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOp {
    /// Adds consecutive entries, over older ones of the same indexes. Entries after the last of them, up to
    /// `stale_last`, were overruled by a new leader and are removed. Without entries nothing happens.
    Append {
        /// The raft group.
        group: u64,
        /// With indexes that rise by one.
        entries: Vec<LogEntry>,
        /// The last index before this change, inclusive; 0 = none.
        stale_last: u64,
    },
    /// Replaces the group's state record.
    State {
        /// The raft group.
        group: u64,
        /// The new record, opaque here.
        state: Bytes,
    },
    /// Removes the entries from `from` up to but excluding `to`.
    Cut {
        /// The raft group.
        group: u64,
        /// First index removed. The true first one: it decides how the removal is done.
        from: u64,
        /// First index kept.
        to: u64,
    },
    /// Removes the group's entries below `last` + 1 and its state record.
    Remove {
        /// The raft group.
        group: u64,
        /// The group's first index, as far as is known; entries before it are removed too.
        first: u64,
        /// The group's last index.
        last: u64,
    },
}

impl LogOp {
    /// The raft group.
    pub fn group(&self) -> u64 {
        let (Self::Append { group, .. }
        | Self::State { group, .. }
        | Self::Cut { group, .. }
        | Self::Remove { group, .. }) = self;
        *group
    }
}

impl LogBatch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.data.is_empty()
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.ops.clear();
        self.data.clear();
    }
}
