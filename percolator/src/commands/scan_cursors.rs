//! The two cursors of a scan, over locks and over records, walked in step: at each turn the nearer of their keys is
//! decided. Stepping is cheap while a key has few versions; past [`STEPS_BEFORE_SEEK`] a seek is cheaper.

use bytes::Bytes;
use nokv_engine::{Cf, Cursor, ReadView};

use super::{Pair, Scan};
use crate::versions::large_value;
use crate::{Error, Found, Key, KeyError, Lock, ReadPoint, Result, Timestamp, WriteKind, WriteRecord};

/// How many records of a key are stepped over before a seek.
const STEPS_BEFORE_SEEK: usize = 8;

pub(crate) struct ScanCursors<'v, 'r, V: ReadView + 'v> {
    view: &'v V,
    read: &'r ReadPoint,
    key_only: bool,
    reverse: bool,
    locks: Option<V::Cursor<'v>>,
    records: V::Cursor<'v>,
    /// The encoded user key being decided. Invariant between turns: both cursors have left it.
    key: Vec<u8>,
}

/// What the newest visible record says, copied out of the cursor.
struct Visible {
    commit_ts: Timestamp,
    start_ts: Timestamp,
    is_put: bool,
    short_value: Option<Bytes>,
}

impl<'v, 'r, V: ReadView> ScanCursors<'v, 'r, V> {
    /// Places both cursors at the scan's beginning.
    pub(crate) fn new(view: &'v V, scan: &'r Scan<'_>) -> Result<Self> {
        let place = |cf| -> Result<V::Cursor<'v>> {
            let mut cursor = view.cursor(cf, scan.range)?;
            if scan.reverse {
                cursor.seek_to_last()?
            } else {
                cursor.seek_to_first()?
            }
            Ok(cursor)
        };
        Ok(Self {
            view,
            read: &scan.read,
            key_only: scan.key_only,
            reverse: scan.reverse,
            locks: if scan.read.respects_locks() { Some(place(Cf::Lock)?) } else { None },
            records: place(Cf::Write)?,
            key: Vec::new(),
        })
    }

    /// The next pair in the scan's direction; `None` at the end of the range.
    pub(crate) fn next(&mut self) -> Result<Option<Pair>> {
        while self.turn_to_nearest_key()? {
            let blocked = self.check_lock()?;
            let visible = match blocked {
                Some(_) => None,
                None if self.reverse => self.climb_to_visible()?,
                None => self.descend_to_visible()?,
            };
            self.leave_key()?;
            let result = match (blocked, visible) {
                (Some(error), _) => Err(error),
                (None, Some(visible)) if visible.is_put => Ok(self.load(visible)?),
                (None, _) => continue,
            };
            return Ok(Some(Pair { key: Key::decode_encoded(&self.key)?.into(), result }));
        }
        Ok(None)
    }

    /// Where the rest of the range begins or, in a reverse scan, ends; `None` if there is no rest.
    pub(crate) fn resume_at(&self) -> Result<Option<Key>> {
        let Some(nearest) = self.nearest_key()? else { return Ok(None) };
        let bound = if self.reverse { &self.key } else { nearest };
        Ok(Some(Key::from_encoded(Bytes::copy_from_slice(bound))))
    }

    fn nearest_key(&self) -> Result<Option<&[u8]>> {
        let locked = self.locks.as_ref().and_then(|locks| locks.key());
        let recorded = match self.records.key() {
            Some(versioned) => Some(Key::split_ts(versioned)?.0),
            None => None,
        };
        Ok(match (locked, recorded) {
            (Some(a), Some(b)) => Some(if self.reverse { a.max(b) } else { a.min(b) }),
            (a, b) => a.or(b),
        })
    }

    fn turn_to_nearest_key(&mut self) -> Result<bool> {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        let nearest = self.nearest_key()?;
        let found = nearest.is_some();
        key.extend_from_slice(nearest.unwrap_or_default());
        self.key = key;
        Ok(found)
    }

    /// The error of a lock on this key that stops the read. Moves the lock cursor off the key.
    fn check_lock(&mut self) -> Result<Option<KeyError>> {
        let Some(locks) = &mut self.locks else { return Ok(None) };
        let (Some(key), Some(record)) = (locks.key(), locks.value()) else { return Ok(None) };
        if key != self.key {
            return Ok(None);
        }
        let lock = Lock::decode(&Bytes::copy_from_slice(record))?;
        if self.reverse {
            locks.prev()?
        } else {
            locks.next()?
        }
        Ok(self.read.check_lock(&Key::from_encoded(Bytes::copy_from_slice(&self.key)), &lock)?.err())
    }

    /// The timestamp and bytes of the record under the cursor, if it is this key's.
    fn record(&self) -> Result<Option<(Timestamp, &[u8])>> {
        match (self.records.key(), self.records.value()) {
            (Some(versioned), Some(record)) => {
                let (key, at) = Key::split_ts(versioned)?;
                Ok((key == self.key).then_some((at, record)))
            }
            _ => Ok(None),
        }
    }

    fn versioned(&self, at: Timestamp) -> Vec<u8> {
        Key::from_encoded(Bytes::copy_from_slice(&self.key)).append_ts(at)
    }

    /// Forward: from the key's newest record down to the newest visible change.
    fn descend_to_visible(&mut self) -> Result<Option<Visible>> {
        let mut steps = 0;
        while let Some((at, _)) = self.record()?
            && at > self.read.version
        {
            if steps == STEPS_BEFORE_SEEK {
                let target = self.versioned(self.read.version);
                self.records.seek(&target)?;
                break;
            }
            self.records.next()?;
            steps += 1;
        }
        self.change_from_here()
    }

    /// From a visible record down to the first that says something of the value.
    fn change_from_here(&mut self) -> Result<Option<Visible>> {
        while let Some((at, record)) = self.record()? {
            if let Some(change) = self.change(at, record)? {
                return Ok(Some(change));
            }
            self.records.next()?;
        }
        Ok(None)
    }

    /// Reverse: from the key's oldest record up to the newest visible change.
    fn climb_to_visible(&mut self) -> Result<Option<Visible>> {
        let mut newest = None;
        let mut steps = 0;
        while let Some((at, record)) = self.record()?
            && at <= self.read.version
        {
            if steps == STEPS_BEFORE_SEEK {
                let target = self.versioned(self.read.version);
                self.records.seek(&target)?;
                newest = self.change_from_here()?;
                // That may have led past the key's oldest record: go before the key.
                self.records.seek_for_prev(&self.key)?;
                break;
            }
            newest = self.change(at, record)?.or(newest);
            self.records.prev()?;
            steps += 1;
        }
        Ok(newest)
    }

    fn change(&self, commit_ts: Timestamp, record: &[u8]) -> Result<Option<Visible>> {
        let record = WriteRecord::decode(record)?;
        let is_put = match record.kind {
            WriteKind::Put => true,
            WriteKind::Delete => false,
            WriteKind::Lock | WriteKind::Rollback => return Ok(None),
        };
        let short_value =
            record.short_value.map(|value| if self.key_only { Bytes::new() } else { Bytes::copy_from_slice(value) });
        Ok(Some(Visible { commit_ts, start_ts: record.start_ts, is_put, short_value }))
    }

    /// Moves the record cursor to the neighbouring key's first record in the scan's direction.
    fn leave_key(&mut self) -> Result<()> {
        for _ in 0..STEPS_BEFORE_SEEK {
            if self.record()?.is_none() {
                return Ok(());
            }
            if self.reverse { self.records.prev()? } else { self.records.next()? }
        }
        if self.record()?.is_none() {
            return Ok(());
        }
        if self.reverse {
            // Every version is the key with something behind it, so none is at or before the bare key.
            self.records.seek_for_prev(&self.key)?;
        } else {
            let target = Key::from_encoded(Bytes::copy_from_slice(&self.key)).behind_versions();
            self.records.seek(&target)?;
        }
        if self.record()?.is_some() { Err(Error::Corrupt { what: "key of a write record" }) } else { Ok(()) }
    }

    fn load(&self, visible: Visible) -> Result<Found> {
        let value = match visible.short_value {
            Some(value) => value,
            None if self.key_only => Bytes::new(),
            None => large_value(self.view, &self.versioned(visible.start_ts))?,
        };
        Ok(Found { value, commit_ts: visible.commit_ts })
    }
}
