//! The record in `Cf::Lock`: a transaction's claim on a key between prewrite and commit.
//!
//! ```text
//! head (0x10 | kind) · start_ts u64 · ttl_ms varint · primary (length, user key) · fields …
//!   kind   1 Put, 2 Delete, 3 Lock; 4 is kept for pessimistic locks
//!   field  tag · length · content
//!            1 short value   2 txn_size varint   3 min_commit_ts u64   4 for_update_ts u64
//!            5 commits asynchronously: on the primary the other keys (length, user key) …, else empty
//!            6 is kept for rollback timestamps overlapping this lock
//! ```
//! Integers of fixed size are big-endian; a field that is zero or absent is left out.

use bytes::Bytes;

use crate::field_codec::{FieldReader, head, put_chunk, put_field, put_varint};
use crate::{Error, Key, Result, SHORT_VALUE_BYTES_MAX, Timestamp};

const WHAT: &str = "lock record";
const TAG_SHORT_VALUE: u8 = 1;
const TAG_TXN_SIZE: u8 = 2;
const TAG_MIN_COMMIT_TS: u8 = 3;
const TAG_FOR_UPDATE_TS: u8 = 4;
const TAG_ASYNC_COMMIT: u8 = 5;

/// What the transaction will do to the key when it commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum LockKind {
    /// Set its value.
    Put = 1,
    /// Remove it.
    Delete = 2,
    /// Nothing: only keep others from writing it meanwhile. Readers pass it.
    Lock = 3,
}

/// A lock record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// What is to happen to the key.
    pub kind: LockKind,
    /// The user key whose lock and record decide the transaction.
    pub primary: Bytes,
    /// The transaction.
    pub start_ts: Timestamp,
    /// How long after the physical part of `start_ts` the transaction counts as alive, in milliseconds.
    pub ttl_ms: u64,
    /// Pessimistic transactions only; zero otherwise.
    pub for_update_ts: Timestamp,
    /// How many keys the transaction wrote in this region, as its client said; 0 = not said. A hint for resolving.
    pub txn_size: u64,
    /// The transaction commits at this timestamp or later; zero = it did not agree to be pushed.
    pub min_commit_ts: Timestamp,
    /// A put's value, if it is at most [`SHORT_VALUE_BYTES_MAX`] long; a longer one is in `Cf::Default`.
    pub short_value: Option<Bytes>,
    /// Set if the transaction commits asynchronously: it is committed as soon as all its keys are locked, at the
    /// largest of their bounds. On the primary it names all other keys (user keys); elsewhere it is empty.
    pub async_commit: Option<Vec<Bytes>>,
}

impl Lock {
    /// The record's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let value_bytes = self.short_value.as_ref().map_or(0, Bytes::len);
        let mut out = Vec::with_capacity(48 + self.primary.len() + value_bytes);
        out.push(head(self.kind as u8));
        out.extend_from_slice(&self.start_ts.0.to_be_bytes());
        put_varint(&mut out, self.ttl_ms);
        put_chunk(&mut out, &self.primary);
        if let Some(value) = &self.short_value {
            put_field(&mut out, TAG_SHORT_VALUE, value);
        }
        if self.txn_size != 0 {
            let mut content = Vec::with_capacity(10);
            put_varint(&mut content, self.txn_size);
            put_field(&mut out, TAG_TXN_SIZE, &content);
        }
        if !self.min_commit_ts.is_zero() {
            put_field(&mut out, TAG_MIN_COMMIT_TS, &self.min_commit_ts.0.to_be_bytes());
        }
        if !self.for_update_ts.is_zero() {
            put_field(&mut out, TAG_FOR_UPDATE_TS, &self.for_update_ts.0.to_be_bytes());
        }
        if let Some(secondaries) = &self.async_commit {
            let mut content = Vec::new();
            secondaries.iter().for_each(|key| put_chunk(&mut content, key));
            put_field(&mut out, TAG_ASYNC_COMMIT, &content);
        }
        out
    }

    /// Reads a record. Primary and short value share `record`'s memory.
    ///
    /// # Errors
    /// [`Error::Corrupt`] or [`Error::UnknownFormat`]; stop, as those say.
    pub fn decode(record: &Bytes) -> Result<Self> {
        let mut reader = FieldReader::new(record, WHAT);
        let kind = match reader.head()? {
            1 => LockKind::Put,
            2 => LockKind::Delete,
            3 => LockKind::Lock,
            kind => return Err(Error::UnknownFormat { what: "kind of lock", tag: kind }),
        };
        let mut lock = Lock {
            kind,
            start_ts: reader.timestamp()?,
            ttl_ms: reader.varint()?,
            primary: record.slice_ref(reader.chunk()?),
            for_update_ts: Timestamp::ZERO,
            txn_size: 0,
            min_commit_ts: Timestamp::ZERO,
            short_value: None,
            async_commit: None,
        };
        while let Some((tag, mut content)) = reader.field()? {
            match tag {
                TAG_SHORT_VALUE => {
                    let value = content.remaining();
                    if value.len() > SHORT_VALUE_BYTES_MAX || kind != LockKind::Put {
                        return Err(Error::Corrupt { what: WHAT });
                    }
                    lock.short_value = Some(record.slice_ref(value));
                    continue;
                }
                TAG_TXN_SIZE => lock.txn_size = content.varint()?,
                TAG_MIN_COMMIT_TS => lock.min_commit_ts = content.timestamp()?,
                TAG_FOR_UPDATE_TS => lock.for_update_ts = content.timestamp()?,
                TAG_ASYNC_COMMIT => {
                    let mut secondaries = Vec::new();
                    while !content.is_empty() {
                        secondaries.push(record.slice_ref(content.chunk()?));
                    }
                    lock.async_commit = Some(secondaries);
                }
                tag => return Err(Error::UnknownFormat { what: "field of a lock", tag }),
            }
            content.end()?;
        }
        Ok(lock)
    }

    /// Whether the value of this lock is in `Cf::Default`.
    pub fn has_large_value(&self) -> bool {
        self.kind == LockKind::Put && self.short_value.is_none()
    }

    /// Whether `key`, which carries this lock, is the one that decides the transaction.
    pub fn is_on_primary(&self, key: &Key) -> bool {
        *key == Key::encode(&self.primary)
    }

    /// What a client needs to know of this lock.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if `key` is not an encoded key.
    pub fn info(&self, key: &Key) -> Result<LockInfo> {
        Ok(LockInfo {
            key: key.decode()?.into(),
            primary: self.primary.clone(),
            start_ts: self.start_ts,
            ttl_ms: self.ttl_ms,
            kind: self.kind,
            txn_size: self.txn_size,
            for_update_ts: self.for_update_ts,
            min_commit_ts: self.min_commit_ts,
            use_async_commit: self.async_commit.is_some(),
            secondaries: self.async_commit.clone().unwrap_or_default(),
        })
    }
}

/// A lock as told to clients: with its user key, without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockInfo {
    /// The locked user key.
    pub key: Bytes,
    /// The user key that decides the transaction: ask for its status there.
    pub primary: Bytes,
    /// The transaction.
    pub start_ts: Timestamp,
    /// Time to live after the physical part of `start_ts`, in milliseconds.
    pub ttl_ms: u64,
    /// What is to happen to the key.
    pub kind: LockKind,
    /// Keys of the transaction in this region; 0 = not known.
    pub txn_size: u64,
    /// Pessimistic transactions only; zero otherwise.
    pub for_update_ts: Timestamp,
    /// The transaction commits no earlier; zero = not bound.
    pub min_commit_ts: Timestamp,
    /// The transaction is committed as soon as all its keys are locked.
    pub use_async_commit: bool,
    /// All its other keys, if this is its primary and it commits so.
    pub secondaries: Vec<Bytes>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lock() -> Lock {
        Lock {
            kind: LockKind::Put,
            primary: Bytes::from_static(b"p"),
            start_ts: Timestamp(0x0102),
            ttl_ms: 3000,
            for_update_ts: Timestamp::ZERO,
            txn_size: 0,
            min_commit_ts: Timestamp::ZERO,
            short_value: None,
            async_commit: None,
        }
    }

    #[test]
    fn the_format_stays() {
        let plain = lock().encode();
        assert_eq!(plain, [0x11, 0, 0, 0, 0, 0, 0, 1, 2, 0xb8, 0x17, 1, b'p']);
        let full = Lock {
            short_value: Some(Bytes::from_static(b"v")),
            txn_size: 300,
            min_commit_ts: Timestamp(0x0103),
            for_update_ts: Timestamp(0x0104),
            ..lock()
        };
        let fields = [1, 1, b'v', 2, 2, 0xac, 0x02, 3, 8, 0, 0, 0, 0, 0, 0, 1, 3, 4, 8, 0, 0, 0, 0, 0, 0, 1, 4];
        assert_eq!(full.encode(), [&plain[..], &fields[..]].concat());
        assert_eq!(Lock::decode(&full.encode().into()).unwrap(), full);
        let secondary = Lock { async_commit: Some(Vec::new()), ..lock() };
        assert_eq!(secondary.encode(), [&plain[..], &[5, 0]].concat());
        assert_eq!(Lock::decode(&secondary.encode().into()).unwrap(), secondary);
        let keys = vec![Bytes::from_static(b"q"), Bytes::from_static(b"rs")];
        let primary = Lock { async_commit: Some(keys), ..lock() };
        assert_eq!(primary.encode(), [&plain[..], &[5, 5, 1, b'q', 2, b'r', b's']].concat());
        assert_eq!(Lock::decode(&primary.encode().into()).unwrap(), primary);
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        let good = lock().encode();
        let decode_with = |at: usize, byte: u8| {
            let mut record = good.clone();
            record[at] = byte;
            Lock::decode(&record.into())
        };
        assert!(matches!(decode_with(0, 0x21), Err(Error::UnknownFormat { what: "lock record", tag: 0x21 })));
        assert!(matches!(decode_with(0, 0x14), Err(Error::UnknownFormat { what: "kind of lock", tag: 4 })));
        for tag in [6, 7, 200] {
            let record = [&good[..], &[tag, 0]].concat();
            let error = Lock::decode(&record.into()).unwrap_err();
            assert!(matches!(error, Error::UnknownFormat { what: "field of a lock", tag: found } if found == tag));
        }
        for cut in 0..good.len() {
            assert!(Lock::decode(&Bytes::copy_from_slice(&good[..cut])).is_err(), "cut at {cut}");
        }
        let long_value = [&good[..], &[1, 0x80, 0x02], &[0; 256]].concat();
        assert!(Lock::decode(&long_value.into()).is_err());
        let value_of_delete = [&[0x12], &good[1..], &[1, 1, b'v']].concat();
        assert!(Lock::decode(&value_of_delete.into()).is_err());
    }

    proptest! {
        #[test]
        fn records_survive(
            kind in prop_oneof![Just(LockKind::Put), Just(LockKind::Delete), Just(LockKind::Lock)],
            primary in any::<Vec<u8>>(),
            value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..=SHORT_VALUE_BYTES_MAX)),
            numbers: (u64, u64, u64, u64, u64),
            others in proptest::option::of(proptest::collection::vec(any::<Vec<u8>>(), 0..4)),
        ) {
            let lock = Lock {
                kind,
                primary: primary.into(),
                start_ts: Timestamp(numbers.0),
                ttl_ms: numbers.1,
                for_update_ts: Timestamp(numbers.2),
                txn_size: numbers.3,
                min_commit_ts: Timestamp(numbers.4),
                short_value: value.filter(|_| kind == LockKind::Put).map(Bytes::from),
                async_commit: others.map(|others| others.into_iter().map(Bytes::from).collect()),
            };
            prop_assert_eq!(Lock::decode(&lock.encode().into()).unwrap(), lock);
        }

        #[test]
        fn garbage_never_panics(record in any::<Vec<u8>>()) {
            let _ = Lock::decode(&record.into());
        }
    }
}
