//! The records of one key in `Cf::Write`, newest first, and the two questions that commands ask of them: what does a
//! reader see, and what became of a transaction.

use bytes::Bytes;
use nokv_engine::{Cf, Cursor, KeyRange, ReadView};

use crate::{Error, Key, Result, Timestamp, WriteKind, WriteRecord};

/// A walk over the records of one key from the newest to the oldest.
pub(crate) struct Versions<'v, V: ReadView + 'v> {
    cursor: V::Cursor<'v>,
    versioned_bytes: usize,
}

impl<'v, V: ReadView> Versions<'v, V> {
    /// Starts at the newest record of `key` at or below `from`. The cursor is bounded to this key, so that the engine
    /// need not look at its neighbours.
    pub(crate) fn of(view: &'v V, key: &Key, from: Timestamp) -> Result<Self> {
        let (start, end) = (key.append_ts(from), key.behind_versions());
        let mut cursor = view.cursor(Cf::Write, KeyRange::new(&start, &end))?;
        cursor.seek_to_first()?;
        Ok(Self { cursor, versioned_bytes: start.len() })
    }

    /// The record here and its timestamp, or `None` behind the oldest.
    pub(crate) fn record(&self) -> Result<Option<(Timestamp, WriteRecord<'_>)>> {
        let (Some(key), Some(value)) = (self.cursor.key(), self.cursor.value()) else { return Ok(None) };
        if key.len() != self.versioned_bytes {
            return Err(Error::Corrupt { what: "key of a write record" });
        }
        let (_, at) = Key::split_ts(key)?;
        Ok(Some((at, WriteRecord::decode(value)?)))
    }

    /// Moves to the next older record.
    pub(crate) fn older(&mut self) -> Result<()> {
        Ok(self.cursor.next()?)
    }

    /// Moves on to the first record, from here, that says something of the key's value (a put or a deletion).
    /// `None` if there is none.
    pub(crate) fn skip_to_change(&mut self) -> Result<Option<(Timestamp, WriteRecord<'_>)>> {
        while let Some((_, record)) = self.record()? {
            if matches!(record.kind, WriteKind::Put | WriteKind::Delete) {
                break;
            }
            self.older()?;
        }
        self.record()
    }
}

/// A value that a reader sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The value; may be empty.
    pub value: Bytes,
    /// When it was committed.
    pub commit_ts: Timestamp,
}

/// What a reader at `version` sees of `key`, locks aside.
pub(crate) fn find_value<V: ReadView>(view: &V, key: &Key, version: Timestamp) -> Result<Option<Found>> {
    let mut versions = Versions::of(view, key, version)?;
    let Some((commit_ts, record)) = versions.skip_to_change()? else { return Ok(None) };
    if record.kind == WriteKind::Delete {
        return Ok(None);
    }
    let value = match record.short_value {
        Some(value) => Bytes::copy_from_slice(value),
        None => large_value(view, &key.append_ts(record.start_ts))?,
    };
    Ok(Some(Found { value, commit_ts }))
}

/// The large value at `versioned` (key and start timestamp), which a record says is there.
pub(crate) fn large_value<V: ReadView>(view: &V, versioned: &[u8]) -> Result<Bytes> {
    let value = view.get(Cf::Default, versioned)?;
    value.ok_or(Error::Corrupt { what: "value: a record names one that is missing" })
}

/// What a key's records say of one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TxnRecord {
    /// It committed.
    Committed(Timestamp),
    /// It is rolled back for ever.
    RolledBack,
    /// Nothing.
    None,
}

/// Looks for what became of the transaction `start_ts` on `key`.
///
/// Its commit lies above `start_ts` and its rollback mark at it, so everything newer than `start_ts` is walked; for a
/// transaction of now that is next to nothing.
pub(crate) fn find_txn_record<V: ReadView>(view: &V, key: &Key, start_ts: Timestamp) -> Result<TxnRecord> {
    let mut versions = Versions::of(view, key, Timestamp::MAX)?;
    while let Some((at, record)) = versions.record()? {
        if at < start_ts {
            break;
        }
        if record.commits(start_ts) {
            return Ok(TxnRecord::Committed(at));
        }
        if record.rolls_back(at, start_ts) {
            return Ok(TxnRecord::RolledBack);
        }
        versions.older()?;
    }
    Ok(TxnRecord::None)
}
