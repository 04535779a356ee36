//! RocksDB's errors as ours: damage is told from a disk that fails.
//! The first failed write or sync ends all writing; see `crate::failure`.

use rocksdb::ErrorKind;

use crate::Error;

/// A failed read, or the error of a failed write before it is remembered.
pub(super) fn from_rocks(error: rocksdb::Error) -> Error {
    match error.kind() {
        ErrorKind::Corruption => Error::CorruptFile(error.into_string()),
        _ => Error::Disk(error.into_string()),
    }
}
