//! [`RocksEngine`]: a handle on an open database. The directory is free again when the last handle and the last view
//! are gone.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use rocksdb::{Cache, ColumnFamily, DB, Options, WriteOptions};

use super::error::from_rocks;
use super::families;
use super::options::RocksOptions;
use super::view::RocksView;
use crate::failure::Failure;
use crate::{Cf, Engine, Importer, KeyRange, RangeEstimate, Result, WriteBatch};

/// An [`Engine`] on RocksDB. Clones share the database.
#[derive(Clone)]
pub struct RocksEngine {
    pub(super) shared: Arc<Shared>,
}

/// What handles and views share.
pub(super) struct Shared {
    pub(super) db: DB,
    pub(super) failure: Failure,
    /// Write options, made once.
    pub(super) synced: WriteOptions,
    pub(super) unsynced: WriteOptions,
    /// Unsynced, and refused where writers are held back.
    pub(super) unwaiting: WriteOptions,
    /// As it was opened, so that tables of imports are like the database's own.
    pub(super) options: RocksOptions,
    pub(super) cache: Cache,
}

impl Shared {
    /// RocksDB's handle of a column family.
    pub(super) fn family(&self, cf: Cf) -> &ColumnFamily {
        self.db.cf_handle(cf.name()).expect("the database was opened with every column family and drops none")
    }

    /// The options of a column family.
    pub(super) fn family_options(&self, cf: Cf) -> Options {
        families::family_options(cf, &self.options, &self.cache)
    }
}

impl Engine for RocksEngine {
    type View = RocksView;

    fn view(&self) -> RocksView {
        RocksView::new(Arc::clone(&self.shared))
    }

    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>> {
        let pinned = self.shared.db.get_pinned_cf(self.shared.family(cf), key).map_err(from_rocks)?;
        Ok(pinned.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn write(&self, batch: &WriteBatch, sync: bool) -> Result<()> {
        self.shared.write(batch, sync)
    }

    fn try_write(&self, batch: &WriteBatch) -> Result<bool> {
        self.shared.try_write(batch)
    }

    fn importer(&self, name: &str) -> Result<Box<dyn Importer>> {
        self.begin_import(name)
    }

    fn ingest(&self, name: &str, clear: &[KeyRange<'_>]) -> Result<()> {
        self.replace(name, clear)
    }

    fn discard_import(&self, name: &str) -> Result<()> {
        self.remove_import(name)
    }

    fn imports(&self) -> Result<Vec<String>> {
        self.finished_imports()
    }

    fn clear_range(&self, range: KeyRange<'_>) -> Result<()> {
        self.clear(range).map(drop)
    }

    fn estimate(&self, range: KeyRange<'_>) -> Result<RangeEstimate> {
        self.estimate_range(range)
    }
}

impl fmt::Debug for RocksEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksEngine").field("path", &self.shared.db.path()).finish_non_exhaustive()
    }
}
