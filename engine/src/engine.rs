//! The seam: what the cores may ask of a disk. RocksDB and the in-memory engine answer it alike
//! (one contract suite, `tests/contract/`, runs on both).

use std::fmt::Debug;
use std::ops::Bound;

use bytes::Bytes;

use crate::{Cf, Importer, Result, WriteBatch};

/// One node's ordered, durable key-value store. Cheap to clone: clones share the same store.
pub trait Engine: Clone + Debug + Send + Sync + 'static {
    /// A read view of this engine.
    type View: ReadView;

    /// A consistent, immutable view of everything written so far, in all column families.
    fn view(&self) -> Self::View;

    /// The newest value of `key`, or `None`. Cheaper than a view where one read suffices.
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>>;

    /// Applies `batch` atomically; later views see all of it.
    ///
    /// With `sync`, returns only when this batch *and every batch written before it* are on disk. Without, a
    /// crash may lose it, but only together with every batch written after it: what survives is always a
    /// prefix of the batches in the order in which they were written. An empty batch with `sync` is a barrier:
    /// it puts on disk what was written before it.
    ///
    /// An error that names the disk (see [`crate::Error`]) leaves the engine unusable; the caller must stop.
    fn write(&self, batch: &WriteBatch, sync: bool) -> Result<()>;

    /// As an unsynced [`Engine::write`], unless that would have to wait for room (flushes or compactions are behind):
    /// then nothing is written, and the answer is false. For threads that must not stand still.
    ///
    /// # Errors
    /// As [`Engine::write`].
    fn try_write(&self, batch: &WriteBatch) -> Result<bool> {
        self.write(batch, false).map(|()| true)
    }

    /// Begins to prepare data aside under `name` (letters, digits, `-`), replacing an import of that name.
    ///
    /// # Errors
    /// [`crate::Error::Disk`]; the engine itself goes on.
    fn importer(&self, name: &str) -> Result<Box<dyn Importer>>;

    /// Makes the data column families hold, within the ranges of `clear`, exactly what the finished import `name`
    /// holds, whose keys must all lie within these ranges. Views taken before do not change.
    ///
    /// On return it is on disk, and everything written before it. A crash meanwhile may leave any part of the old and
    /// the new within `clear`: the caller remembers (synced, beforehand) what it is about to do, and does it again.
    /// Doing it again after it was done changes nothing. The import stays until it is discarded.
    ///
    /// # Errors
    /// As [`Engine::write`]; [`crate::Error::Corrupt`] if there is no such import.
    fn ingest(&self, name: &str, clear: &[KeyRange<'_>]) -> Result<()>;

    /// Removes the import `name`, finished or not; fine if there is none.
    ///
    /// # Errors
    /// [`crate::Error::Disk`].
    fn discard_import(&self, name: &str) -> Result<()>;

    /// The names of all finished imports, in order.
    ///
    /// # Errors
    /// [`crate::Error::Disk`].
    fn imports(&self) -> Result<Vec<String>>;

    /// Removes all keys of `range` from the data column families, by range and, where no view can see them, by whole
    /// file. Like an unsynced write, but a crash may leave any part of it done: the caller remembers beforehand what
    /// it is about to do, and does it again. Nobody else may write into the range meanwhile.
    ///
    /// # Errors
    /// As [`Engine::write`].
    fn clear_range(&self, range: KeyRange<'_>) -> Result<()>;

    /// About how much the data column families hold within `range`, without reading it. It may be off by a part that
    /// is small beside what the engine holds in memory and in one file.
    ///
    /// # Errors
    /// As [`Engine::write`].
    fn estimate(&self, range: KeyRange<'_>) -> Result<RangeEstimate>;
}

/// What a range about holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RangeEstimate {
    /// Keys and values, in bytes.
    pub bytes: u64,
    /// Records.
    pub records: u64,
}

/// An immutable view of an engine as of one moment: in the field's words, a snapshot.
pub trait ReadView: Debug + Send + Sync + 'static {
    /// A cursor over one column family of this view.
    type Cursor<'a>: Cursor
    where
        Self: 'a;

    /// The value of `key` in this view, or `None`.
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>>;

    /// A cursor over the keys within `range`; it never shows a key outside. It starts unpositioned.
    ///
    /// To look up the versions of one key in [`Cf::Write`], give a range whose start *and* end begin with that
    /// encoded key (end: the key and nine bytes `ff`): tables without the key are then skipped by their filter.
    fn cursor(&self, cf: Cf, range: KeyRange<'_>) -> Result<Self::Cursor<'_>>;
}

/// A position among the keys of one column family, in byte order.
///
/// After any call `key()` is `None` when there is no such key within the cursor's range. Errors are returned by the
/// call that met them: a cursor never ends early in silence.
pub trait Cursor {
    /// Moves to the first key ≥ `key` (clamped to the range).
    fn seek(&mut self, key: &[u8]) -> Result<()>;
    /// Moves to the last key ≤ `key` (clamped to the range).
    fn seek_for_prev(&mut self, key: &[u8]) -> Result<()>;
    /// Moves to the first key of the range.
    fn seek_to_first(&mut self) -> Result<()>;
    /// Moves to the last key of the range.
    fn seek_to_last(&mut self) -> Result<()>;
    /// Moves to the following key. The cursor must be positioned.
    fn next(&mut self) -> Result<()>;
    /// Moves to the preceding key. The cursor must be positioned.
    fn prev(&mut self) -> Result<()>;
    /// The key under the cursor, or `None` when it is past an end or unpositioned.
    fn key(&self) -> Option<&[u8]>;
    /// The value under the cursor, or `None` when it is past an end or unpositioned.
    fn value(&self) -> Option<&[u8]>;
}

/// The keys from `start` (inclusive) to `end` (exclusive); an empty `end` means no upper bound, as region bounds do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyRange<'a> {
    /// First key, inclusive; empty = from the beginning.
    pub start: &'a [u8],
    /// First key no longer in the range; empty = to the end.
    pub end: &'a [u8],
}

impl<'a> KeyRange<'a> {
    /// Every key.
    pub const ALL: KeyRange<'static> = KeyRange { start: &[], end: &[] };

    /// The keys from `start` to `end`.
    pub const fn new(start: &'a [u8], end: &'a [u8]) -> Self {
        Self { start, end }
    }

    /// Whether `key` lies within.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.start && (self.end.is_empty() || key < self.end)
    }

    /// The range as standard bounds.
    pub fn bounds(&self) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
        let end = if self.end.is_empty() { Bound::Unbounded } else { Bound::Excluded(self.end) };
        (Bound::Included(self.start), end)
    }
}
