//! A cursor on RocksDB: its iterator with the range as bounds, so that it stops at them without looking beyond, and
//! with every status checked where the iterator goes invalid.

use std::fmt;

use rocksdb::{ColumnFamily, DBRawIterator, ReadOptions, Snapshot};

use super::error::from_rocks;
use super::prefix;
use crate::{Cf, Cursor, KeyRange, Result};

/// See [`crate::RocksEngine`].
pub struct RocksCursor<'a> {
    iterator: DBRawIterator<'a>,
    /// The range holds no key at all. RocksDB must not be asked: bounds in the wrong order are undefined there.
    is_empty: bool,
}

impl<'a> RocksCursor<'a> {
    pub(super) fn new(snapshot: &'a Snapshot<'_>, family: &ColumnFamily, cf: Cf, range: KeyRange<'_>) -> Self {
        let mut options = ReadOptions::default();
        if !range.start.is_empty() {
            options.set_iterate_lower_bound(range.start);
        }
        if !range.end.is_empty() {
            options.set_iterate_upper_bound(range.end);
        }
        // Where the column family filters by prefix, RocksDB may skip tables by the prefix of the key it seeks; right
        // only when every key of the range has it. Seeks are clamped to the bounds, so they have it then, too.
        let is_one_prefix = cf == Cf::Write && prefix::is_shared(range.start, range.end);
        options.set_total_order_seek(!is_one_prefix);
        let is_empty = !range.end.is_empty() && range.start >= range.end;
        Self { iterator: snapshot.raw_iterator_cf_opt(family, options), is_empty }
    }

    /// Tells an end from an error: the iterator is invalid at both.
    fn checked(&self) -> Result<()> {
        if self.iterator.valid() { Ok(()) } else { self.iterator.status().map_err(from_rocks) }
    }
}

impl Cursor for RocksCursor<'_> {
    fn seek(&mut self, key: &[u8]) -> Result<()> {
        if self.is_empty {
            return Ok(());
        }
        self.iterator.seek(key);
        self.checked()
    }

    fn seek_for_prev(&mut self, key: &[u8]) -> Result<()> {
        if self.is_empty {
            return Ok(());
        }
        self.iterator.seek_for_prev(key);
        self.checked()
    }

    fn seek_to_first(&mut self) -> Result<()> {
        if self.is_empty {
            return Ok(());
        }
        self.iterator.seek_to_first();
        self.checked()
    }

    fn seek_to_last(&mut self) -> Result<()> {
        if self.is_empty {
            return Ok(());
        }
        self.iterator.seek_to_last();
        self.checked()
    }

    fn next(&mut self) -> Result<()> {
        self.iterator.next();
        self.checked()
    }

    fn prev(&mut self) -> Result<()> {
        self.iterator.prev();
        self.checked()
    }

    fn key(&self) -> Option<&[u8]> {
        self.iterator.key()
    }

    fn value(&self) -> Option<&[u8]> {
        self.iterator.value()
    }
}

impl fmt::Debug for RocksCursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksCursor").field("key", &self.iterator.key()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};

    use super::*;
    use crate::{Engine, ReadView, RocksEngine, RocksOptions, WriteBatch};

    const PRESENT: &[u8] = b"present\0\xfe";
    const ABSENT: &[u8] = b"posent\0\0\xfd";

    /// Tables that RocksDB passed over by filter while looking up the versions of `encoded`, and whether it found any.
    fn look_up(engine: &RocksEngine, encoded: &[u8]) -> (u64, bool) {
        let view = engine.view();
        let end = [encoded, &[0xff; 9]].concat();
        let mut perf = PerfContext::default();
        perf.reset();
        let mut cursor = view.cursor(Cf::Write, KeyRange::new(encoded, &end)).unwrap();
        cursor.seek_to_first().unwrap();
        (perf.metric(PerfMetric::BloomSstMissCount), cursor.key().is_some())
    }

    #[test]
    fn the_versions_of_a_key_are_looked_up_through_the_filter() {
        let directory = tempfile::tempdir().unwrap();
        let engine = RocksEngine::open(directory.path(), &RocksOptions::default()).unwrap();
        let mut batch = WriteBatch::new();
        for first in [b'a', b'z'] {
            batch.put(Cf::Write, &[&[first], &PRESENT[1..], b"12345678"].concat(), b"so that the table spans the keys");
        }
        batch.put(Cf::Write, &[PRESENT, b"12345678"].concat(), b"record");
        engine.write(&batch, false).unwrap();
        engine.flush().unwrap();
        set_perf_stats(PerfStatsLevel::EnableCount);
        assert_eq!(look_up(&engine, PRESENT), (0, true));
        assert_eq!(look_up(&engine, ABSENT), (1, false));
    }
}
