//! The raft log in files of its own beside the data engine: what is appended is on disk after one write that changes
//! nothing but bytes, and a log that is cut costs nothing until its files are used again.
//!
//! ```text
//!   write(ops) ─► record ─► the end of the log, in memory ─(sync)─► one direct write of whole pages
//!                   └─► index: group, entry ─► file, place
//!
//!   files, oldest first:  [ head │ record record … ] [ head │ … ] [ head │ record …      ] ◄─ written to
//!                              │ keeper: moves what still counts to the end, zeroes the head
//!                              └────────────────────────────────► spare, used again
//! ```
//!
//! | file | what |
//! | --- | --- |
//! | `record.rs` | the bytes: heads, records, operations |
//! | `file.rs`, `tail.rs` | a file that is written directly; the end of the log in memory |
//! | `index.rs` | where every entry is |
//! | `log.rs` | writing, syncing and reading |
//! | `open.rs`, `keep.rs` | reading it again at a start; the thread that makes files ready and uses old ones again |
//!
//! # Invariants
//! 1. Records are numbered without a gap, and a file is on disk before the next one is written to. So what a crash
//!    leaves is the beginning of the log: it ends with the record behind which one is torn or missing.
//! 2. Checksums depend on a number drawn for each use of a file, and a start never writes to a file of an earlier life:
//!    nothing that a crash or an earlier use left behind passes for a record.
//! 3. Only the oldest file is given up, when nothing in it counts and all that was moved is on disk. So the files from
//!    any one on tell the same of everything that still counts: whatever undid something lies behind it.
//! 4. Pages are written whole, with the synced bytes that they begin with as they were.

mod file;
mod index;
mod keep;
mod log;
mod open;
mod record;
mod tail;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;

use crate::apart_raft_log::sync_data_first;
use crate::{Engine, Error, LogBatch, LogEntry, RaftLog, Result};
use log::Log;

/// How the log uses its disk.
#[derive(Clone, Debug)]
pub struct FileLogOptions {
    /// Size of a file, in bytes; a multiple of 4,096 below 4 GiB. The log takes at least about five of them, or three
    /// times what counts in it. Default 16 MiB.
    pub file_bytes: u64,
}

impl Default for FileLogOptions {
    fn default() -> Self {
        Self { file_bytes: 16 << 20 }
    }
}

/// A [`RaftLog`] in files, for regions whose data is in `E`. What a step changes of the data is synced before the log.
#[derive(Debug)]
pub struct FileRaftLog<E: Engine> {
    data: E,
    log: Arc<Log>,
    keeper: Option<JoinHandle<()>>,
}

impl<E: Engine> FileRaftLog<E> {
    /// Opens the log in `directory`, made if it is not there, for regions whose data is in `data`. The directory must
    /// be this process's alone. Reads all of it.
    ///
    /// # Errors
    /// [`Error::Open`] if the directory is none of ours, [`Error::Disk`]; [`Error::Corrupt`] and [`Error::CorruptFile`]
    /// if something is missing that was on disk.
    pub fn open(directory: impl AsRef<Path>, options: &FileLogOptions, data: E) -> Result<Self> {
        let log = Arc::new(open::open(directory.as_ref(), options.clone())?);
        let kept = Arc::clone(&log);
        let thread = std::thread::Builder::new().name("raft-log".to_owned()).spawn(move || keep::keep(&kept));
        let keeper = thread.map_err(|error| Error::Disk(format!("raft log: no thread: {error}")))?;
        Ok(Self { data, log, keeper: Some(keeper) })
    }
}

impl<E: Engine> RaftLog for FileRaftLog<E> {
    fn write(&self, batch: &LogBatch, sync: bool) -> Result<()> {
        sync_data_first(&self.data, batch)?;
        self.log.write(&batch.ops, sync)
    }

    fn entries(&self, group: u64, low: u64, high: u64, bytes_max: u64) -> Result<Vec<LogEntry>> {
        self.log.entries(group, low, high, bytes_max)
    }

    fn state(&self, group: u64) -> Result<Option<Bytes>> {
        Ok(self.log.state.lock().index.state(group))
    }

    fn bounds(&self, group: u64) -> Result<Option<(u64, u64)>> {
        Ok(self.log.state.lock().index.bounds(group))
    }
}

impl<E: Engine> Drop for FileRaftLog<E> {
    fn drop(&mut self) {
        self.log.state.lock().is_closing = true;
        self.log.work.notify_one();
        if let Some(keeper) = self.keeper.take() {
            // If it panicked, its message is on the process's error stream.
            let _ = keeper.join();
        }
        // Nobody was promised what is not synced.
        let _ = self.log.sync_all();
    }
}
