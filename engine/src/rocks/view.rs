//! A read view on RocksDB: a snapshot that keeps the database open for as long as it lives.
//! The only unsafe line of the crate is here, with its proof.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use rocksdb::{DB, Snapshot};

use super::cursor::RocksCursor;
use super::engine::Shared;
use super::error::from_rocks;
use crate::{Cf, KeyRange, ReadView, Result};

/// See [`crate::RocksEngine`]. Data that a view can see is kept on disk until the view is dropped: keep it short.
pub struct RocksView {
    /// Borrows from `shared`. Fields are dropped in the order of their declaration: this one first.
    snapshot: Snapshot<'static>,
    shared: Arc<Shared>,
}

impl RocksView {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let db: *const DB = &shared.db;
        // SAFETY: `db` points into the heap allocation of `shared`, an `Arc` that the view keeps until after the
        // snapshot is dropped (field order), so the reference is valid for as long as it is used. The allocation is
        // never moved, and never borrowed mutably: `Shared` is only ever reached through `Arc`s, and nothing calls
        // `Arc::get_mut` or takes the value out. The `'static` does not leave this struct: `snapshot` is private,
        // and what the methods below return borrows from `&self`.
        #[allow(unsafe_code)]
        let db: &'static DB = unsafe { &*db };
        Self { snapshot: db.snapshot(), shared }
    }
}

impl ReadView for RocksView {
    type Cursor<'a> = RocksCursor<'a>;

    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>> {
        let pinned = self.snapshot.get_pinned_cf(self.shared.family(cf), key).map_err(from_rocks)?;
        Ok(pinned.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn cursor(&self, cf: Cf, range: KeyRange<'_>) -> Result<RocksCursor<'_>> {
        Ok(RocksCursor::new(&self.snapshot, self.shared.family(cf), cf, range))
    }
}

impl fmt::Debug for RocksView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksView").field("sequence", &self.snapshot.sequence_number()).finish_non_exhaustive()
    }
}
