//! Removing all keys of a range, and taking an import in in their place.
//!
//! A range deletion hides the keys from every later view; tables that lie wholly in the range are then deleted as
//! files, but only while no view is alive: a view older than the deletion must go on seeing what they hold.

use rocksdb::{FlushOptions, properties};

use super::engine::RocksEngine;
use super::error::from_rocks;
use crate::{Cf, Cursor as _, Engine as _, KeyRange, ReadView as _, Result, WriteBatch};

impl RocksEngine {
    pub(super) fn replace(&self, name: &str, clear: &[KeyRange<'_>]) -> Result<()> {
        self.shared.failure.check()?;
        for range in clear {
            for cf in self.clear(*range)? {
                // Taking tables in stops all writing while a write buffer that overlaps them is flushed: done here, it
                // stops nobody.
                let flushed = self.shared.db.flush_cf_opt(self.shared.family(cf), &FlushOptions::default());
                flushed.map_err(|error| self.shared.failure.remember(from_rocks(error)))?;
            }
        }
        self.take_in(name)?;
        self.shared.sync_wal()
    }

    /// Removes the keys of `range`; the column families that had some.
    pub(super) fn clear(&self, range: KeyRange<'_>) -> Result<Vec<Cf>> {
        let mut batch = WriteBatch::new();
        let mut cleared = Vec::new();
        for cf in Cf::DATA {
            if let Some(end) = self.end_of(cf, range)? {
                batch.delete_range(cf, range.start, &end);
                cleared.push((cf, end));
            }
        }
        if cleared.is_empty() {
            return Ok(Vec::new());
        }
        self.write(&batch, false)?;
        let views = self.shared.db.property_int_value(properties::NUM_SNAPSHOTS).map_err(from_rocks)?;
        if views == Some(0) {
            for (cf, end) in &cleared {
                let deleted = self.shared.db.delete_file_in_range_cf(self.shared.family(*cf), range.start, end);
                deleted.map_err(|error| self.shared.failure.remember(from_rocks(error)))?;
            }
        }
        Ok(cleared.into_iter().map(|(cf, _)| cf).collect())
    }

    /// A key just above the last one of `cf` within `range`; `None` if there is none.
    fn end_of(&self, cf: Cf, range: KeyRange<'_>) -> Result<Option<Vec<u8>>> {
        let view = self.view();
        let mut cursor = view.cursor(cf, range)?;
        cursor.seek_to_last()?;
        Ok(cursor.key().map(|key| [key, &[0]].concat()))
    }
}
