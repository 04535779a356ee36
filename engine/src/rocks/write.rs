//! Writing: our batch becomes RocksDB's in one pass, then one write of log and buffers.
//! The first failure is the last: no write is tried after it.

use rocksdb::ErrorKind;

use super::engine::Shared;
use super::error::from_rocks;
use crate::{Cf, Result, WriteBatch, WriteOp};

/// RocksDB's batch begins with a sequence number and a count.
const ROCKS_HEADER_BYTES: usize = 12;

impl Shared {
    pub(super) fn write(&self, batch: &WriteBatch, sync: bool) -> Result<()> {
        self.failure.check()?;
        if batch.is_empty() {
            return if sync { self.sync_wal() } else { Ok(()) };
        }
        let rocks_batch = self.rocks_batch(batch)?;
        let options = if sync { &self.synced } else { &self.unsynced };
        self.db.write_opt(rocks_batch, options).map_err(|error| self.failure.remember(from_rocks(error)))
    }

    /// As an unsynced write; false, with nothing written, if it would have to wait.
    pub(super) fn try_write(&self, batch: &WriteBatch) -> Result<bool> {
        self.failure.check()?;
        if batch.is_empty() {
            return Ok(true);
        }
        match self.db.write_opt(self.rocks_batch(batch)?, &self.unwaiting) {
            Ok(()) => Ok(true),
            // What RocksDB says when it holds writers back and this one may not wait.
            Err(error) if error.kind() == ErrorKind::Incomplete => Ok(false),
            Err(error) => Err(self.failure.remember(from_rocks(error))),
        }
    }

    /// Puts on disk what was written so far.
    pub(super) fn sync_wal(&self) -> Result<()> {
        self.db.flush_wal(true).map_err(|error| self.failure.remember(from_rocks(error)))
    }

    fn rocks_batch(&self, batch: &WriteBatch) -> Result<rocksdb::WriteBatch> {
        // Its records are shorter than ours (varint lengths), but carry a column family of up to five bytes where we
        // use the tag; for one of few bytes the estimate holds, and the batch grows by itself if not.
        let mut rocks = rocksdb::WriteBatch::with_capacity_bytes(ROCKS_HEADER_BYTES + batch.encoded_bytes());
        let families = Cf::ALL.map(|cf| self.family(cf));
        let family = |cf: Cf| {
            let [default, lock, write, raw, raft] = families;
            match cf {
                Cf::Default => default,
                Cf::Lock => lock,
                Cf::Write => write,
                Cf::Raw => raw,
                Cf::Raft => raft,
            }
        };
        for op in batch.ops() {
            match op? {
                WriteOp::Put { cf, key, value } => rocks.put_cf(family(cf), key, value),
                WriteOp::Delete { cf, key } => rocks.delete_cf(family(cf), key),
                // RocksDB takes an inverted range for an error.
                WriteOp::DeleteRange { start, end, .. } if start >= end => {}
                WriteOp::DeleteRange { cf, start, end } => rocks.delete_range_cf(family(cf), start, end),
            }
        }
        Ok(rocks)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Cf, Engine, RocksEngine, RocksOptions, WriteBatch};

    #[test]
    fn a_write_that_may_not_wait_is_refused_whole_once_flushes_are_behind() {
        let directory = tempfile::tempdir().unwrap();
        let options = RocksOptions { write_buffer_bytes: 64 << 10, ..RocksOptions::default() };
        let engine = RocksEngine::open(directory.path(), &options).unwrap();
        // From here on no write buffer is ever flushed.
        engine.shared.db.cancel_all_background_work(true);
        let mut batch = WriteBatch::new();
        let mut refused = None;
        for number in 0..1_000u32 {
            batch.clear();
            batch.put(Cf::Raw, &number.to_be_bytes(), &[7; 4 << 10]);
            if !engine.try_write(&batch).unwrap() {
                refused = Some(number);
                break;
            }
        }
        let refused = refused.expect("4 MB do not fit into a few buffers of 64 KiB");
        assert!(refused > 0);
        assert_eq!(engine.get(Cf::Raw, &(refused - 1).to_be_bytes()).unwrap().map(|value| value.len()), Some(4 << 10));
        assert_eq!(engine.get(Cf::Raw, &refused.to_be_bytes()).unwrap(), None);
    }
}
