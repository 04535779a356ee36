//! Opening a database, and saying clearly why it cannot be opened: a person reads the reason, at the one moment when
//! nothing else works yet.

use std::path::Path;
use std::sync::Arc;

use rocksdb::{Cache, DB, ErrorKind, WriteOptions};

use super::engine::{RocksEngine, Shared};
use super::options::RocksOptions;
use super::{families, import};
use crate::failure::Failure;
use crate::marker;
use crate::{Error, Result};

const FORMAT: &str = "nokv engine, format 1\n";

impl RocksEngine {
    /// Opens the database in `directory`, or makes one there if the directory is missing or empty.
    ///
    /// # Errors
    /// [`Error::Open`] with a reason for the user: the directory is in use, holds something else, cannot be written.
    /// [`Error::Disk`] if the disk is full. [`Error::CorruptFile`] if RocksDB finds its own files damaged.
    pub fn open(directory: impl AsRef<Path>, options: &RocksOptions) -> Result<Self> {
        let directory = directory.as_ref();
        let refuse = |reason: String| Error::Open { path: directory.display().to_string(), reason };
        marker::claim(directory, FORMAT).map_err(refuse)?;

        let explain = |error: rocksdb::Error| match error.kind() {
            ErrorKind::Corruption => Error::CorruptFile(error.into_string()),
            _ if is_lock_held(error.as_ref()) => refuse(format!("in use by another process ({error})")),
            _ if error.as_ref().contains("No space left") => Error::Disk(error.into_string()),
            _ => refuse(error.into_string()),
        };
        let database_options = families::database_options(options).map_err(explain)?;
        let cache = Cache::new_lru_cache(options.block_cache_bytes);
        let descriptors = families::descriptors(options, &cache);
        let db = DB::open_cf_descriptors(&database_options, directory, descriptors).map_err(explain)?;

        import::clean(directory)?;
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        let unsynced = WriteOptions::default();
        let mut unwaiting = WriteOptions::default();
        unwaiting.set_no_slowdown(true);
        let (failure, options) = (Failure::default(), options.clone());
        Ok(Self { shared: Arc::new(Shared { db, failure, synced, unsynced, unwaiting, options, cache }) })
    }
}

/// Whether RocksDB could not take the lock file: its words when another process, and when this one, holds it.
fn is_lock_held(message: &str) -> bool {
    message.contains("While lock file") || message.contains("lock hold by current process")
}
