//! Writing: our batch becomes RocksDB's in one pass, then one write of log and buffers.
//! The first failure is the last: no write is tried after it.

use super::engine::Shared;
use super::failure::from_rocks;
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
