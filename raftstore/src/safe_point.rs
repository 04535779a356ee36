//! The safe point: a number that the log of every region carries, and that only rises. What it means is the readers'
//! business: below it, data may be missing.
//!
//! It is one for a store: whichever of its regions hears of a higher one first, none of them answers from below it any
//! more. Each region keeps what it heard of in a record of its own, so that those who write never race; the store's is
//! the highest of them. A record is never removed: a region that was split off, or merged into another, may rest on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, BufMut};
use nokv_engine::{Cf, Cursor as _, ReadView, WriteBatch, raft_keys};
use nokv_transport::RegionId;

use crate::StoreError;

const VERSION: u8 = 1;

/// A store's safe point, shared by those who raise it and those who heed it.
///
/// Order is what makes it right: it is raised before the data that goes below it is written; a reader takes its view
/// first and looks here afterwards.
#[derive(Clone, Debug, Default)]
pub struct SafePoint(Arc<AtomicU64>);

impl SafePoint {
    /// The number now; 0 = there has never been one.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Raises it to `number`, unless it is higher already. Returns what it is then.
    pub fn raise(&self, number: u64) -> u64 {
        self.0.fetch_max(number, Ordering::SeqCst).max(number)
    }

    /// Raises it, and adds to `batch` that `region` has heard of it.
    pub(crate) fn raise_in(&self, number: u64, region: RegionId, batch: &mut WriteBatch) {
        let now = self.raise(number);
        let mut record = [VERSION; 9];
        record.split_at_mut(1).1.put_u64_le(now);
        batch.put(Cf::Raft, &raft_keys::safe_point_key(region.0), &record);
    }

    /// The highest that any region in `view` has heard of.
    ///
    /// # Errors
    /// If a record is unreadable.
    pub(crate) fn load(view: &impl ReadView) -> Result<Self, StoreError> {
        let safe_point = Self::default();
        let mut cursor = view.cursor(Cf::Raft, raft_keys::safe_point_range())?;
        cursor.seek_to_first()?;
        while let Some(record) = cursor.value() {
            let unreadable = StoreError::Unreadable { region: RegionId(0), what: "a region's safe point" };
            safe_point.raise(decode(record).ok_or(unreadable)?);
            cursor.next()?;
        }
        Ok(safe_point)
    }
}

fn decode(mut record: &[u8]) -> Option<u64> {
    (record.try_get_u8().ok()? == VERSION).then_some(())?;
    let number = record.try_get_u64_le().ok()?;
    record.is_empty().then_some(number)
}

#[cfg(test)]
mod tests {
    use nokv_engine::{Engine as _, MemoryEngine};

    use super::*;

    #[test]
    fn it_only_rises_and_comes_back_as_the_highest_of_all_regions() {
        let engine = MemoryEngine::new();
        let safe_point = SafePoint::default();
        let hear = |number, region| {
            let mut batch = WriteBatch::new();
            safe_point.raise_in(number, RegionId(region), &mut batch);
            engine.write(&batch, false).unwrap();
        };
        hear(7, 1);
        hear(5, 2);
        assert_eq!(safe_point.get(), 7);
        hear(9, 3);
        hear(8, 1);
        assert_eq!(safe_point.get(), 9);
        assert_eq!(SafePoint::load(&engine.view()).unwrap().get(), 9);
        let mut batch = WriteBatch::new();
        batch.put(Cf::Raft, &raft_keys::safe_point_key(4), &[2, 0, 0, 0, 0, 0, 0, 0, 0]);
        engine.write(&batch, false).unwrap();
        assert!(SafePoint::load(&engine.view()).is_err(), "a record of a later version is not guessed");
    }
}
