//! RocksDB's errors as ours, and the memory of the first failed write.
//! Once writing has failed, nothing more is written: what is on disk is then unknown, and only a restart finds out.

use std::sync::OnceLock;

use rocksdb::ErrorKind;

use crate::{Error, Result};

/// Set once, by the first failed write or sync or by closing; read before each write.
#[derive(Debug, Default)]
pub(super) struct Failure {
    first: OnceLock<Error>,
}

impl Failure {
    /// Fails with the first failure, if there was one.
    pub(super) fn check(&self) -> Result<()> {
        self.first.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Remembers `error` unless another came first, and returns the one that did.
    pub(super) fn remember(&self, error: Error) -> Error {
        self.first.get_or_init(|| error).clone()
    }
}

/// A failed read, or the error of a failed write before it is remembered.
pub(super) fn from_rocks(error: rocksdb::Error) -> Error {
    match error.kind() {
        ErrorKind::Corruption => Error::CorruptFile(error.into_string()),
        _ => Error::Disk(error.into_string()),
    }
}
