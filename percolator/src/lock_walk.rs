//! A walk over the locks of a range that never looks at more than a bounded number of them,
//! however many transactions have left theirs there.

use bytes::Bytes;
use nokv_engine::{Cf, Cursor, KeyRange, ReadView};

use crate::{Key, Lock, Result};

/// How many locks one walk looks at.
const LOOKED_AT_MAX: usize = 16 * 1024;

/// A walk over locks in key order.
pub(crate) struct LockWalk<'v, V: ReadView + 'v> {
    cursor: V::Cursor<'v>,
    budget: usize,
}

impl<'v, V: ReadView> LockWalk<'v, V> {
    pub(crate) fn new(view: &'v V, range: KeyRange<'_>) -> Result<Self> {
        let mut cursor = view.cursor(Cf::Lock, range)?;
        cursor.seek_to_first()?;
        Ok(Self { cursor, budget: LOOKED_AT_MAX })
    }

    /// The next lock; `None` at the end of the range or of the walk's budget, which [`Self::resume_at`] tells apart.
    pub(crate) fn next(&mut self) -> Result<Option<(Key, Lock)>> {
        if self.budget == 0 {
            return Ok(None);
        }
        let (Some(key), Some(record)) = (self.cursor.key(), self.cursor.value()) else { return Ok(None) };
        let found = (Key::from_encoded(Bytes::copy_from_slice(key)), Lock::decode(&Bytes::copy_from_slice(record))?);
        self.budget -= 1;
        self.cursor.next()?;
        Ok(Some(found))
    }

    /// The first lock not looked at.
    pub(crate) fn resume_at(&self) -> Option<Key> {
        self.cursor.key().map(|key| Key::from_encoded(Bytes::copy_from_slice(key)))
    }
}
