//! Everything that is stored of one key, for people who look for a fault.
//! It judges nothing: what it shows is what lies there.

use bytes::Bytes;
use nokv_engine::{Cf, Cursor, KeyRange, ReadView};

use crate::effects::load_lock;
use crate::versions::Versions;
use crate::{Key, Lock, Result, Timestamp, WriteKind};

/// Asks for everything of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MvccByKey {
    /// The key.
    pub key: Key,
    /// How many records, and how many values, at most; the newest come first.
    pub limit: usize,
}

/// Everything of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MvccInfo {
    /// Its lock.
    pub lock: Option<Lock>,
    /// Its commits and rollback marks, newest first.
    pub writes: Vec<MvccWrite>,
    /// Its large values, each with its transaction's start timestamp, newest first.
    pub values: Vec<(Timestamp, Bytes)>,
}

/// One record of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MvccWrite {
    /// Where it lies: the commit timestamp, or for a rollback mark the start timestamp.
    pub commit_ts: Timestamp,
    /// What it says.
    pub kind: WriteKind,
    /// The transaction that wrote it.
    pub start_ts: Timestamp,
    /// Its value, if that is short.
    pub short_value: Option<Bytes>,
    /// Besides: the transaction that started at `commit_ts` is rolled back.
    pub has_overlapped_rollback: bool,
}

impl MvccByKey {
    /// Collects it.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub fn execute<V: ReadView>(&self, view: &V) -> Result<MvccInfo> {
        let mut info = MvccInfo { lock: load_lock(view, &self.key)?, ..MvccInfo::default() };
        let mut versions = Versions::of(view, &self.key, Timestamp::MAX)?;
        while info.writes.len() < self.limit
            && let Some((commit_ts, record)) = versions.record()?
        {
            info.writes.push(MvccWrite {
                commit_ts,
                kind: record.kind,
                start_ts: record.start_ts,
                short_value: record.short_value.map(Bytes::copy_from_slice),
                has_overlapped_rollback: record.has_overlapped_rollback,
            });
            versions.older()?;
        }
        let (start, end) = (self.key.append_ts(Timestamp::MAX), self.key.behind_versions());
        let mut values = view.cursor(Cf::Default, KeyRange::new(&start, &end))?;
        values.seek_to_first()?;
        while info.values.len() < self.limit
            && let (Some(key), Some(value)) = (values.key(), values.value())
        {
            let (_, start_ts) = Key::split_ts(key)?;
            info.values.push((start_ts, Bytes::copy_from_slice(value)));
            values.next()?;
        }
        Ok(info)
    }
}
