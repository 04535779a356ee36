//! A read view of the in-memory engine: the persistent maps as they were, shared and never changed.
//! A view asked of a dead handle answers every read with [`Error::Closed`].

use bytes::Bytes;

use super::cursor::MemoryCursor;
use super::tables::Tables;
use crate::{Cf, Error, KeyRange, ReadView, Result};

/// See [`crate::MemoryEngine`].
#[derive(Clone, Debug)]
pub struct MemoryView {
    /// `None`: the handle was dead when the view was taken.
    tables: Option<Tables>,
}

impl MemoryView {
    pub(super) fn new(tables: Option<Tables>) -> Self {
        Self { tables }
    }

    fn tables(&self) -> Result<&Tables> {
        self.tables.as_ref().ok_or(Error::Closed)
    }
}

impl ReadView for MemoryView {
    type Cursor<'a> = MemoryCursor<'a>;

    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.tables()?.table(cf).get(key).cloned())
    }

    fn cursor(&self, cf: Cf, range: KeyRange<'_>) -> Result<MemoryCursor<'_>> {
        Ok(MemoryCursor::new(self.tables()?.table(cf), range))
    }
}
