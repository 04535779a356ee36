//! A raft log in an engine of its own, beside the data engine, as the simulator has it: two disks of which each loses
//! what was not synced for itself.
//!
//! Two engines lose what was not synced each for itself, so that a step which spans both needs an order: data that
//! belongs to a step is synced before the log; and whoever cuts the log must first have synced the data that rests on
//! it.

use bytes::Bytes;

use crate::{Engine, LogBatch, LogEntry, LogOp, RaftLog, Result, SharedRaftLog, is_planted};

/// A [`RaftLog`] in `log`, beside the data in `data`.
#[derive(Clone, Debug)]
pub struct ApartRaftLog<E: Engine> {
    log: SharedRaftLog<E>,
    data: E,
}

impl<E: Engine> ApartRaftLog<E> {
    /// A log that lives in `log`, which holds nothing else, for regions whose data is in `data`.
    pub fn new(log: E, data: E) -> Self {
        Self { log: SharedRaftLog::new(log), data }
    }
}

impl<E: Engine> RaftLog for ApartRaftLog<E> {
    fn write(&self, batch: &LogBatch, sync: bool) -> Result<()> {
        sync_data_first(&self.data, batch)?;
        self.log.write_ops(&batch.ops, sync)
    }

    fn entries(&self, group: u64, low: u64, high: u64, bytes_max: u64) -> Result<Vec<LogEntry>> {
        self.log.entries(group, low, high, bytes_max)
    }

    fn state(&self, group: u64) -> Result<Option<Bytes>> {
        self.log.state(group)
    }

    fn bounds(&self, group: u64) -> Result<Option<(u64, u64)>> {
        self.log.bounds(group)
    }
}

/// Puts on disk what must be there before `batch` is in a log that is not in the data engine: the data of the same
/// step, and all that rests on entries which the step cuts.
pub fn sync_data_first(data: &impl Engine, batch: &LogBatch) -> Result<()> {
    let shortens = batch.ops.iter().any(|op| matches!(op, LogOp::Cut { .. } | LogOp::Remove { .. }));
    if shortens || !batch.data.is_empty() {
        data.write(&batch.data, !is_planted("cut the log before its data is synced"))?;
    }
    Ok(())
}
