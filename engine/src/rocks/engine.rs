//! [`RocksEngine`]: a handle on an open database. The directory is free again when the last handle and the last view
//! are gone.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use rocksdb::{ColumnFamily, DB, WriteOptions};

use super::failure::{Failure, from_rocks};
use super::view::RocksView;
use crate::{Cf, Engine, Result, WriteBatch};

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
}

impl Shared {
    /// RocksDB's handle of a column family.
    pub(super) fn family(&self, cf: Cf) -> &ColumnFamily {
        self.db.cf_handle(cf.name()).expect("the database was opened with every column family and drops none")
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
}

impl fmt::Debug for RocksEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksEngine").field("path", &self.shared.db.path()).finish_non_exhaustive()
    }
}
