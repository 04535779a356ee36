//! The record in `Cf::Write` at (key, timestamp): that a transaction committed there, or was rolled back.
//!
//! ```text
//! head (0x10 | kind) · start_ts u64 big-endian · fields …
//!   kind   1 Put, 2 Delete, 3 Lock, 4 Rollback
//!   field  tag · length · content
//!            1 short value   2 overlapped rollback (empty content)
//!            3 is kept for a garbage-collection fence, 4 for the distance to the last change
//! ```

use crate::field_codec::{FieldReader, head, put_field};
use crate::{Error, Result, SHORT_VALUE_BYTES_MAX, Timestamp};

const WHAT: &str = "write record";
const TAG_SHORT_VALUE: u8 = 1;
const TAG_OVERLAPPED_ROLLBACK: u8 = 2;

/// What happened to the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum WriteKind {
    /// It got a value.
    Put = 1,
    /// It was removed.
    Delete = 2,
    /// Nothing; a transaction that had it locked committed. Readers look past it, later writers conflict with it.
    Lock = 3,
    /// A rollback mark: the transaction that started at this record's timestamp is rolled back for ever. Everyone
    /// else looks past it.
    Rollback = 4,
}

/// A record of the `Write` column family, borrowed from its bytes.
///
/// A commit lies at the transaction's commit timestamp, a rollback mark at its *start* timestamp. Where a client brings
/// its own timestamps, both can fall on one: then the commit keeps the place and carries the mark as a flag, so that
/// neither is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteRecord<'a> {
    /// What happened.
    pub kind: WriteKind,
    /// The transaction that wrote this record; its large value is in `Cf::Default` at this timestamp.
    pub start_ts: Timestamp,
    /// A put's value, if at most [`SHORT_VALUE_BYTES_MAX`] long.
    pub short_value: Option<&'a [u8]>,
    /// Besides: the transaction that *started* at this record's timestamp is rolled back.
    pub has_overlapped_rollback: bool,
}

impl<'a> WriteRecord<'a> {
    /// A commit's record.
    pub fn commit(kind: WriteKind, start_ts: Timestamp, short_value: Option<&'a [u8]>) -> Self {
        Self { kind, start_ts, short_value, has_overlapped_rollback: false }
    }

    /// The rollback mark of the transaction `start_ts`, to lie at that timestamp.
    pub fn rollback_mark(start_ts: Timestamp) -> Self {
        Self { kind: WriteKind::Rollback, start_ts, short_value: None, has_overlapped_rollback: false }
    }

    /// The record's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + self.short_value.map_or(0, <[u8]>::len));
        out.push(head(self.kind as u8));
        out.extend_from_slice(&self.start_ts.0.to_be_bytes());
        if let Some(value) = self.short_value {
            put_field(&mut out, TAG_SHORT_VALUE, value);
        }
        if self.has_overlapped_rollback {
            put_field(&mut out, TAG_OVERLAPPED_ROLLBACK, &[]);
        }
        out
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`Error::Corrupt`] or [`Error::UnknownFormat`]; stop, as those say.
    pub fn decode(record: &'a [u8]) -> Result<Self> {
        let mut reader = FieldReader::new(record, WHAT);
        let kind = match reader.head()? {
            1 => WriteKind::Put,
            2 => WriteKind::Delete,
            3 => WriteKind::Lock,
            4 => WriteKind::Rollback,
            kind => return Err(Error::UnknownFormat { what: "kind of write record", tag: kind }),
        };
        let mut decoded = Self::commit(kind, reader.timestamp()?, None);
        while let Some((tag, content)) = reader.field()? {
            match tag {
                TAG_SHORT_VALUE => {
                    let value = content.remaining();
                    if value.len() > SHORT_VALUE_BYTES_MAX || kind != WriteKind::Put {
                        return Err(Error::Corrupt { what: WHAT });
                    }
                    decoded.short_value = Some(value);
                }
                TAG_OVERLAPPED_ROLLBACK => {
                    content.end()?;
                    decoded.has_overlapped_rollback = true;
                }
                tag => return Err(Error::UnknownFormat { what: "field of a write record", tag }),
            }
        }
        Ok(decoded)
    }

    /// Whether this record, found at `at`, says that the transaction `start_ts` is rolled back.
    pub fn rolls_back(&self, at: Timestamp, start_ts: Timestamp) -> bool {
        at == start_ts && (self.kind == WriteKind::Rollback || self.has_overlapped_rollback)
    }

    /// Whether this record says that the transaction `start_ts` committed.
    pub fn commits(&self, start_ts: Timestamp) -> bool {
        self.kind != WriteKind::Rollback && self.start_ts == start_ts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_format_stays() {
        let mark = WriteRecord::rollback_mark(Timestamp(0x0102));
        assert_eq!(mark.encode(), [0x14, 0, 0, 0, 0, 0, 0, 1, 2]);
        let mut put = WriteRecord::commit(WriteKind::Put, Timestamp(7), Some(b"v"));
        put.has_overlapped_rollback = true;
        assert_eq!(put.encode(), [0x11, 0, 0, 0, 0, 0, 0, 0, 7, 1, 1, b'v', 2, 0]);
        assert_eq!(WriteRecord::decode(&put.encode()).unwrap(), put);
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        let good = WriteRecord::rollback_mark(Timestamp(9)).encode();
        for (head, what) in [(0x04, WHAT), (0x24, WHAT), (0x10, "kind of write record"), (0x15, "kind of write record")]
        {
            let record = [&[head], &good[1..]].concat();
            assert!(
                matches!(WriteRecord::decode(&record), Err(Error::UnknownFormat { what: found, .. }) if found == what)
            );
        }
        for tag in [3, 4, 99] {
            let record = [&good[..], &[tag, 0]].concat();
            let found = WriteRecord::decode(&record).unwrap_err();
            assert!(matches!(found, Error::UnknownFormat { what: "field of a write record", tag: t } if t == tag));
        }
        for cut in 0..good.len() {
            assert!(WriteRecord::decode(&good[..cut]).is_err(), "cut at {cut}");
        }
        assert!(WriteRecord::decode(&[&good[..], &[1, 1, b'v']].concat()).is_err(), "a rollback mark has no value");
        assert!(WriteRecord::decode(&[&good[..], &[2, 1, 0]].concat()).is_err(), "a flag has no content");
    }

    proptest! {
        #[test]
        fn records_survive(
            kind in prop_oneof![
                Just(WriteKind::Put), Just(WriteKind::Delete), Just(WriteKind::Lock), Just(WriteKind::Rollback)
            ],
            start: u64,
            value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..=SHORT_VALUE_BYTES_MAX)),
            has_overlapped_rollback: bool,
        ) {
            let record = WriteRecord {
                kind,
                start_ts: Timestamp(start),
                short_value: value.as_deref().filter(|_| kind == WriteKind::Put),
                has_overlapped_rollback,
            };
            let encoded = record.encode();
            prop_assert_eq!(WriteRecord::decode(&encoded).unwrap(), record);
        }

        #[test]
        fn garbage_never_panics(record in any::<Vec<u8>>()) {
            let _ = WriteRecord::decode(&record);
        }
    }
}
