//! The raft log that lives in the data engine's own [`Cf::Raft`]: log entries, hard states and the data that belongs
//! to the same step are one batch, hence one order and one sync for both.

use crate::raft_keys::{log_end_key, log_entry_index, log_entry_key, raft_state_key};
use crate::{Cf, Cursor, Engine, Error, KeyRange, LogBatch, LogEntry, LogOp, RaftLog, ReadView, Result, WriteBatch};

use bytes::Bytes;

/// A run of at least this many entries is removed by one range deletion, a shorter one key by key.
///
/// A deleted key leaves a mark of its own size in every table until the marks reach the lowest level, so cutting a
/// log of thousands of short entries key by key writes about as much as the entries themselves. One range deletion
/// is a single mark, and the flush that meets it drops the covered entries with nothing left over. But each range
/// deletion in the write buffer is one more interval that every read of the column family must be checked against,
/// and stale suffixes after an election are a few entries long and may come for hundreds of groups at once: there,
/// plain deletions are cheaper for everyone.
const RANGE_DELETE_ENTRIES_MIN: u64 = 64;

/// Bytes that a log entry adds to an encoded batch besides its own: tag, two lengths, key.
const ENTRY_OVERHEAD_BYTES: usize = 1 + 4 + 17 + 4;

/// A [`RaftLog`] on top of any [`Engine`]. Clones share the engine.
#[derive(Clone, Debug)]
pub struct SharedRaftLog<E: Engine> {
    engine: E,
}

impl<E: Engine> SharedRaftLog<E> {
    /// The log that lives in `engine`.
    pub fn new(engine: E) -> Self {
        Self { engine }
    }

    /// Writes `ops` alone.
    pub(crate) fn write_ops(&self, ops: &[LogOp], sync: bool) -> Result<()> {
        self.engine.write(&engine_batch(ops, &WriteBatch::new()), sync)
    }
}

impl<E: Engine> RaftLog for SharedRaftLog<E> {
    fn write(&self, batch: &LogBatch, sync: bool) -> Result<()> {
        self.engine.write(&engine_batch(&batch.ops, &batch.data), sync)
    }

    fn entries(&self, group: u64, low: u64, high: u64, bytes_max: u64) -> Result<Vec<LogEntry>> {
        let mut entries = Vec::new();
        if low >= high {
            return Ok(entries);
        }
        let (start, end) = (log_entry_key(group, low), log_entry_key(group, high));
        let view = self.engine.view();
        let mut cursor = view.cursor(Cf::Raft, KeyRange::new(&start, &end))?;
        let mut bytes_total = 0u64;
        cursor.seek_to_first()?;
        for index in low..high {
            let (Some(key), Some(value)) = (cursor.key(), cursor.value()) else { return Err(MISSING) };
            if log_entry_index(key) != Some(index) {
                return Err(MISSING);
            }
            bytes_total = bytes_total.saturating_add(value.len() as u64);
            if bytes_total > bytes_max && !entries.is_empty() {
                break;
            }
            entries.push(LogEntry { index, encoded: Bytes::copy_from_slice(value) });
            cursor.next()?;
        }
        Ok(entries)
    }

    fn state(&self, group: u64) -> Result<Option<Bytes>> {
        self.engine.get(Cf::Raft, &raft_state_key(group))
    }

    fn bounds(&self, group: u64) -> Result<Option<(u64, u64)>> {
        let (start, end) = (log_entry_key(group, 0), log_end_key(group));
        let view = self.engine.view();
        let mut cursor = view.cursor(Cf::Raft, KeyRange::new(&start, &end))?;
        cursor.seek_to_first()?;
        let Some(first) = index_under(&cursor)? else { return Ok(None) };
        cursor.seek_to_last()?;
        let last = index_under(&cursor)?.ok_or(MISSING)?;
        Ok(Some((first, last)))
    }
}

const MISSING: Error = Error::Corrupt { what: "raft log: an entry is missing" };

/// The index under the cursor, or `None` at an end.
fn index_under(cursor: &impl Cursor) -> Result<Option<u64>> {
    let Some(key) = cursor.key() else { return Ok(None) };
    log_entry_index(key).map(Some).ok_or(Error::Corrupt { what: "key of a raft log entry" })
}

/// `ops`, then `data`, as one batch of the engine.
fn engine_batch(ops: &[LogOp], data: &WriteBatch) -> WriteBatch {
    let mut batch = WriteBatch::with_capacity_bytes(capacity_bytes(ops) + data.encoded_bytes());
    for op in ops {
        match op {
            LogOp::Append { group, entries, stale_last } => {
                for entry in entries {
                    batch.put(Cf::Raft, &log_entry_key(*group, entry.index), &entry.encoded);
                }
                if let Some(last) = entries.last() {
                    delete_run(&mut batch, *group, last.index.saturating_add(1), stale_last.saturating_add(1));
                }
            }
            LogOp::State { group, state } => batch.put(Cf::Raft, &raft_state_key(*group), state),
            LogOp::Cut { group, from, to } => delete_run(&mut batch, *group, *from, *to),
            // From zero rather than from `first`: a group leaves once, and must leave nothing below, whatever the
            // caller believes its first index to be.
            LogOp::Remove { group, first: _, last } => {
                let end = log_entry_key(*group, last.saturating_add(1));
                batch.delete_range(Cf::Raft, &log_entry_key(*group, 0), &end);
                batch.delete(Cf::Raft, &raft_state_key(*group));
            }
        }
    }
    batch.append(data);
    batch
}

/// Removes the entries `from..to` of `group` in the way that is cheaper; see [`RANGE_DELETE_ENTRIES_MIN`].
fn delete_run(batch: &mut WriteBatch, group: u64, from: u64, to: u64) {
    if to.saturating_sub(from) >= RANGE_DELETE_ENTRIES_MIN {
        batch.delete_range(Cf::Raft, &log_entry_key(group, from), &log_entry_key(group, to));
    } else {
        for index in from..to {
            batch.delete(Cf::Raft, &log_entry_key(group, index));
        }
    }
}

/// About the bytes of the encoded batch, so that it is allocated once.
fn capacity_bytes(ops: &[LogOp]) -> usize {
    let bytes = ops.iter().map(|op| match op {
        LogOp::Append { entries, .. } => entries.iter().map(|e| e.encoded.len() + ENTRY_OVERHEAD_BYTES).sum(),
        LogOp::State { state, .. } => state.len() + ENTRY_OVERHEAD_BYTES,
        LogOp::Cut { .. } | LogOp::Remove { .. } => 3 * ENTRY_OVERHEAD_BYTES,
    });
    bytes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WriteOp;

    fn kinds(log: &LogBatch) -> (usize, usize) {
        let batch = engine_batch(&log.ops, &log.data);
        let ops: Vec<_> = batch.ops().map(|op| op.unwrap()).collect();
        let deletes = ops.iter().filter(|op| matches!(op, WriteOp::Delete { .. })).count();
        let ranges = ops.iter().filter(|op| matches!(op, WriteOp::DeleteRange { .. })).count();
        (deletes, ranges)
    }

    #[test]
    fn short_runs_are_deleted_key_by_key_and_long_ones_as_a_range() {
        let cut = |from, to| LogBatch { ops: vec![LogOp::Cut { group: 1, from, to }], ..Default::default() };
        assert_eq!(kinds(&cut(10, 10)), (0, 0));
        assert_eq!(kinds(&cut(10, 9)), (0, 0));
        assert_eq!(kinds(&cut(10, 10 + RANGE_DELETE_ENTRIES_MIN - 1)), (63, 0));
        assert_eq!(kinds(&cut(10, 10 + RANGE_DELETE_ENTRIES_MIN)), (0, 1));
    }

    #[test]
    fn the_capacity_holds_the_whole_batch() {
        let entries = (5..9).map(|index| LogEntry { index, encoded: Bytes::from(vec![7; 100]) }).collect();
        let mut log = LogBatch::default();
        log.ops.push(LogOp::Append { group: 3, entries, stale_last: 8 });
        log.ops.push(LogOp::State { group: 3, state: Bytes::from_static(b"state") });
        log.ops.push(LogOp::Remove { group: 4, first: 1, last: 8 });
        log.data.put(Cf::Raft, b"key", b"value");
        let capacity = capacity_bytes(&log.ops) + log.data.encoded_bytes();
        assert!(engine_batch(&log.ops, &log.data).encoded_bytes() <= capacity);
    }
}
