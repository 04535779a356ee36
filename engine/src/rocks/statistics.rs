//! What the status pages and the metrics ask of RocksDB: sizes, memory, backlog. Cheap enough for every scrape:
//! counters that RocksDB keeps anyway, no disk access.

use rocksdb::properties;

use super::engine::RocksEngine;
use super::error::from_rocks;
use crate::{Cf, KeyRange, RangeEstimate, Result};

/// A key above all that occur: `GetApproximateSizes` knows no open end.
const BEYOND_ALL_KEYS: [u8; 256] = [0xff; 256];

/// Figures of one column family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CfStatistics {
    /// Table files in use, in bytes on disk.
    pub table_bytes: u64,
    /// Blob files in use, in bytes on disk, their dead values included.
    pub blob_bytes: u64,
    /// Write buffers, those being flushed included, in bytes of memory.
    pub write_buffer_bytes: u64,
    /// Keys, estimated: overwritten and deleted ones count until compaction meets them.
    pub keys_estimate: u64,
    /// What compaction has yet to rewrite, in bytes, estimated.
    pub compaction_pending_bytes: u64,
    /// Files of level 0, which reads must look into one by one; many of them slow writes down.
    pub level0_files: u64,
}

/// Figures of the database as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RocksStatistics {
    /// Bytes in the block cache.
    pub block_cache_bytes: u64,
    /// Of those, in use by a reader right now.
    pub block_cache_pinned_bytes: u64,
    /// Views alive.
    pub views: u64,
    /// When the oldest view alive was taken, in seconds since 1970; 0 = there is none.
    pub oldest_view_unix_s: u64,
    /// Compactions at work.
    pub compactions_running: u64,
    /// Flushes at work.
    pub flushes_running: u64,
    /// Whether RocksDB holds writes back entirely because flushes or compaction fell behind.
    pub is_write_stopped: bool,
    /// The rate to which RocksDB slows writes down, in bytes a second; 0 = it does not.
    pub delayed_write_bytes_per_s: u64,
    /// Errors of background work since the database was opened.
    pub background_errors: u64,
}

impl RocksEngine {
    /// Figures of `cf`.
    ///
    /// # Errors
    /// None in practice; RocksDB's interface allows for one.
    pub fn cf_statistics(&self, cf: Cf) -> Result<CfStatistics> {
        let level0_files = self.text_property(cf, properties::num_files_at_level(0).as_str())?;
        Ok(CfStatistics {
            table_bytes: self.property(cf, properties::LIVE_SST_FILES_SIZE)?,
            blob_bytes: self.property(cf, "rocksdb.live-blob-file-size")?,
            write_buffer_bytes: self.property(cf, properties::CUR_SIZE_ALL_MEM_TABLES)?,
            keys_estimate: self.property(cf, properties::ESTIMATE_NUM_KEYS)?,
            compaction_pending_bytes: self.property(cf, properties::ESTIMATE_PENDING_COMPACTION_BYTES)?,
            level0_files: level0_files.and_then(|text| text.parse().ok()).unwrap_or_default(),
        })
    }

    /// Figures of the database as a whole.
    ///
    /// # Errors
    /// None in practice; RocksDB's interface allows for one.
    pub fn statistics(&self) -> Result<RocksStatistics> {
        let of_database = |name| self.property(Cf::Default, name);
        Ok(RocksStatistics {
            block_cache_bytes: of_database(properties::BLOCK_CACHE_USAGE)?,
            block_cache_pinned_bytes: of_database(properties::BLOCK_CACHE_PINNED_USAGE)?,
            views: of_database(properties::NUM_SNAPSHOTS)?,
            oldest_view_unix_s: of_database(properties::OLDEST_SNAPSHOT_TIME)?,
            compactions_running: of_database(properties::NUM_RUNNING_COMPACTIONS)?,
            flushes_running: of_database(properties::NUM_RUNNING_FLUSHES)?,
            is_write_stopped: of_database(properties::IS_WRITE_STOPPED)? != 0,
            delayed_write_bytes_per_s: of_database(properties::ACTUAL_DELAYED_WRITE_RATE)?,
            background_errors: of_database(properties::BACKGROUND_ERRORS)?,
        })
    }

    /// Any of RocksDB's properties of `cf` by name (`rocksdb.stats`, …), for tools; `None` if there is no such.
    ///
    /// # Errors
    /// If `name` holds a zero byte.
    pub fn text_property(&self, cf: Cf, name: &str) -> Result<Option<String>> {
        self.shared.db.property_value_cf(self.shared.family(cf), name).map_err(from_rocks)
    }

    /// Deletions of `cf` in the write buffer that is being filled: they free nothing before they are in a table.
    ///
    /// # Errors
    /// None in practice; RocksDB's interface allows for one.
    pub fn deletions_in_write_buffer(&self, cf: Cf) -> Result<u64> {
        self.property(cf, properties::NUM_DELETES_ACTIVE_MEM_TABLE)
    }

    /// About how many bytes on disk the keys in `range` take, compressed, in tables only: what still is in the write
    /// buffers, and the values in blob files, are not counted.
    pub fn approximate_range_bytes(&self, cf: Cf, range: KeyRange<'_>) -> u64 {
        let end = if range.end.is_empty() { BEYOND_ALL_KEYS.as_slice() } else { range.end };
        if range.start >= end {
            return 0;
        }
        let ranges = [rocksdb::Range::new(range.start, end)];
        self.shared.db.get_approximate_sizes_cf(self.shared.family(cf), &ranges).into_iter().sum()
    }

    /// The tables' share of `range`, and as large a share of everything else: what is in blob files, in write buffers,
    /// and the number of keys. Compressed sizes count as they are on disk.
    pub(super) fn estimate_range(&self, range: KeyRange<'_>) -> Result<RangeEstimate> {
        let mut estimate = RangeEstimate::default();
        for cf in Cf::DATA {
            let figures = self.cf_statistics(cf)?;
            let (here, whole) = (self.approximate_range_bytes(cf, range), figures.table_bytes);
            // Without tables, whatever there is may be in the range.
            let share =
                |of: u64| if whole == 0 { of } else { (u128::from(of) * u128::from(here) / u128::from(whole)) as u64 };
            let buffered = if figures.keys_estimate == 0 { 0 } else { share(figures.write_buffer_bytes) };
            estimate.bytes += here + share(figures.blob_bytes) + buffered;
            estimate.records += share(figures.keys_estimate);
        }
        Ok(estimate)
    }

    fn property(&self, cf: Cf, name: impl rocksdb::CStrLike) -> Result<u64> {
        let value = self.shared.db.property_int_value_cf(self.shared.family(cf), name).map_err(from_rocks)?;
        Ok(value.unwrap_or_default())
    }
}
