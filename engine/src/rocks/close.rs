//! Bringing things to rest: flushing, compacting by hand, and closing.
//! None of it is needed for durability, which the write-ahead log gives.

use rocksdb::FlushOptions;

use super::engine::RocksEngine;
use super::error::from_rocks;
use crate::{Cf, Error, KeyRange, Result};

impl RocksEngine {
    /// Writes all write buffers out as tables, and waits for it. Not needed for durability, which the log gives;
    /// it shortens the next start.
    ///
    /// # Errors
    /// [`Error::Disk`]; the engine then accepts no further writes.
    pub fn flush(&self) -> Result<()> {
        self.shared.failure.check()?;
        let families = Cf::ALL.map(|cf| self.shared.family(cf));
        let flushed = self.shared.db.flush_cfs_opt(&families, &FlushOptions::default());
        flushed.map_err(|error| self.shared.failure.remember(from_rocks(error)))
    }

    /// Writes the write buffer of `cf` out, and waits for it.
    ///
    /// # Errors
    /// As [`RocksEngine::flush`].
    pub fn flush_cf(&self, cf: Cf) -> Result<()> {
        self.shared.failure.check()?;
        let flushed = self.shared.db.flush_cf_opt(self.shared.family(cf), &FlushOptions::default());
        flushed.map_err(|error| self.shared.failure.remember(from_rocks(error)))
    }

    /// Compacts the keys of `cf` in `range`, and waits for it: minutes of I/O for a big range.
    pub fn compact(&self, cf: Cf, range: KeyRange<'_>) {
        let start = (!range.start.is_empty()).then_some(range.start);
        let end = (!range.end.is_empty()).then_some(range.end);
        self.shared.db.compact_range_cf(self.shared.family(cf), start, end);
    }

    /// Ends writing on every clone (it answers [`Error::Closed`] from now on), puts on disk what was written, and
    /// waits until background work has stopped. Reads go on. The directory is free for another process when the last
    /// clone and the last view are dropped.
    ///
    /// # Errors
    /// [`Error::Disk`] if the last sync failed, or the earlier failure that ended writing; closed all the same.
    pub fn close(&self) -> Result<()> {
        let earlier = self.shared.failure.remember(Error::Closed);
        let synced = if earlier == Error::Closed { self.shared.sync_wal_on_close() } else { Err(earlier) };
        self.shared.db.cancel_all_background_work(true);
        synced
    }
}

impl super::engine::Shared {
    /// As a sync, but its error is not lost behind the closing that is remembered already.
    fn sync_wal_on_close(&self) -> Result<()> {
        self.db.flush_wal(true).map_err(from_rocks)
    }
}
