//! The bytes of a log's files, which are on disk for good: the head of a file, the frame of a record, the operations in
//! it. All numbers are little-endian; `docs/on-disk.md` shows them.

use bytes::Buf;

use crate::{Error, LogOp, Result};

/// What a disk writes whole and a direct write must be a multiple of; the head of a file takes one.
pub const PAGE: usize = 4_096;
/// Before each record's payload: checksum u32, length of the payload u32, number of the record u64.
pub const FRAME_BYTES: usize = 16;

/// No log comes so far; sums stay within their type.
const INDEX_MAX: u64 = 1 << 62;

const MAGIC: &[u8; 8] = b"NoKVlog\x01";
const HEAD_BYTES: usize = 28;

const APPEND: u8 = 1;
const STATE: u8 = 2;
const CUT: u8 = 3;
const REMOVE: u8 = 4;
const MOVE: u8 = 5;

/// What the first page of a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Position of the file in the log; from 1, each one more than the one before it.
    pub number: u32,
    /// Drawn for this use of the file: checksums depend on it, so that nothing of an earlier use passes for a record.
    pub salt: u32,
    /// Number of its first record.
    pub first_record: u64,
}

impl Head {
    /// A page with this head.
    pub fn encode(&self) -> [u8; PAGE] {
        let mut page = [0; PAGE];
        let number = self.number.to_le_bytes();
        let bytes = [&MAGIC[..], &number, &self.salt.to_le_bytes(), &self.first_record.to_le_bytes()].concat();
        let bytes = [&bytes[..], &crc32fast::hash(&bytes).to_le_bytes()].concat();
        for (to, from) in page.iter_mut().zip(bytes) {
            *to = from;
        }
        page
    }

    /// The head that the file's beginning has; `None` if the file is not in use, or its head was never wholly written.
    pub fn decode(file: &[u8]) -> Option<Head> {
        let (bytes, mut checksum) = file.get(..HEAD_BYTES)?.split_at_checked(HEAD_BYTES - 4)?;
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let head = Head {
            number: rest.try_get_u32_le().ok()?,
            salt: rest.try_get_u32_le().ok()?,
            first_record: rest.try_get_u64_le().ok()?,
        };
        (checksum.try_get_u32_le().ok()? == crc32fast::hash(bytes) && head.number != 0).then_some(head)
    }
}

/// The frame of a record whose payload this is.
pub fn frame(salt: u32, number: u64, payload: &[u8]) -> [u8; FRAME_BYTES] {
    let mut frame = [0; FRAME_BYTES];
    let length = u32::try_from(payload.len()).expect("the log's bound on a write is far below 4 GiB");
    let (checksum, rest) = frame.split_at_mut(4);
    rest.copy_from_slice(&[&length.to_le_bytes()[..], &number.to_le_bytes()].concat());
    checksum.copy_from_slice(&checksum_of(salt, rest, payload).to_le_bytes());
    frame
}

/// The payload of the record `number` at the beginning of `bytes`; `None` if there is none, or not the whole of it.
pub fn payload_at(salt: u32, number: u64, bytes: &[u8]) -> Option<&[u8]> {
    let (frame, rest) = bytes.split_at_checked(FRAME_BYTES)?;
    let (mut checksum, described) = frame.split_at_checked(4)?;
    let mut fields = described;
    let length = fields.try_get_u32_le().ok()?;
    let payload = rest.get(..usize::try_from(length).ok()?)?;
    let is_it = fields.try_get_u64_le().ok()? == number && length != 0;
    (is_it && checksum.try_get_u32_le().ok()? == checksum_of(salt, described, payload)).then_some(payload)
}

fn checksum_of(salt: u32, described: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(described);
    hasher.update(payload);
    hasher.finalize()
}

/// Adds `op` to a payload.
pub fn put_op(payload: &mut Vec<u8>, op: &LogOp) {
    match op {
        LogOp::Append { entries, .. } if entries.is_empty() => {}
        LogOp::Append { group, entries, stale_last: _ } => {
            let first = entries.first().map_or(0, |entry| entry.index);
            put_run(payload, APPEND, *group, first, entries.iter().map(|entry| entry.encoded.as_ref()));
        }
        LogOp::State { group, state } => put_state(payload, *group, state),
        LogOp::Cut { group, from: _, to } => put_cut(payload, *group, *to),
        LogOp::Remove { group, first: _, last } => put(payload, REMOVE, *group, &last.to_le_bytes()),
    }
}

/// Adds to a payload that entries below `to` are gone.
pub fn put_cut(payload: &mut Vec<u8>, group: u64, to: u64) {
    put(payload, CUT, group, &to.to_le_bytes());
}

/// Adds a group's state record to a payload.
pub fn put_state(payload: &mut Vec<u8>, group: u64, state: &[u8]) {
    put(payload, STATE, group, &length_of(state));
    payload.extend_from_slice(state);
}

/// Adds entries to a payload that stand in an old file as well, and from now on count here.
pub fn put_moved<'a>(payload: &mut Vec<u8>, group: u64, first: u64, entries: impl ExactSizeIterator<Item = &'a [u8]>) {
    put_run(payload, MOVE, group, first, entries);
}

fn put_run<'a>(
    payload: &mut Vec<u8>,
    tag: u8,
    group: u64,
    first: u64,
    entries: impl ExactSizeIterator<Item = &'a [u8]>,
) {
    put(payload, tag, group, &first.to_le_bytes());
    payload.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    for entry in entries {
        payload.extend_from_slice(&length_of(entry));
        payload.extend_from_slice(entry);
    }
}

fn put(payload: &mut Vec<u8>, tag: u8, group: u64, rest: &[u8]) {
    payload.push(tag);
    payload.extend_from_slice(&group.to_le_bytes());
    payload.extend_from_slice(rest);
}

fn length_of(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("entries are far below 4 GiB").to_le_bytes()
}

/// An operation as a record has it.
#[derive(Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// Entries from `first` on, each with its place in the payload; nothing follows them.
    Append {
        group: u64,
        first: u64,
        entries: Vec<(usize, &'a [u8])>,
    },
    /// The same, with others before and behind as they are.
    Move {
        group: u64,
        first: u64,
        entries: Vec<(usize, &'a [u8])>,
    },
    State {
        group: u64,
        state: &'a [u8],
    },
    Cut {
        group: u64,
        to: u64,
    },
    Remove {
        group: u64,
        last: u64,
    },
}

/// The operations of a payload, in order.
///
/// # Errors
/// [`Error::Corrupt`]: its checksum was right, so another program wrote it.
pub fn ops(payload: &[u8]) -> impl Iterator<Item = Result<Op<'_>>> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        (!rest.is_empty()).then(|| {
            let op = take_op(payload.len(), &mut rest);
            op.ok_or_else(|| {
                rest = &[];
                Error::Corrupt { what: "raft log: an operation" }
            })
        })
    })
}

fn take_op<'a>(total: usize, rest: &mut &'a [u8]) -> Option<Op<'a>> {
    let tag = rest.try_get_u8().ok()?;
    let group = rest.try_get_u64_le().ok()?;
    Some(match tag {
        APPEND | MOVE => {
            let first = rest.try_get_u64_le().ok()?;
            let count = rest.try_get_u32_le().ok()?;
            first.checked_add(u64::from(count)).filter(|end| *end <= INDEX_MAX)?;
            let mut entries = Vec::new();
            for _ in 0..count {
                let entry = take_chunk(rest)?;
                entries.push((total - rest.len() - entry.len(), entry));
            }
            if tag == APPEND { Op::Append { group, first, entries } } else { Op::Move { group, first, entries } }
        }
        STATE => Op::State { group, state: take_chunk(rest)? },
        CUT => Op::Cut { group, to: rest.try_get_u64_le().ok()? },
        REMOVE => Op::Remove { group, last: rest.try_get_u64_le().ok()? },
        _ => return None,
    })
}

fn take_chunk<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(rest.try_get_u32_le().ok()?).ok()?;
    let (chunk, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(chunk)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::LogEntry;

    #[test]
    fn a_head_is_these_bytes() {
        let head = Head { number: 0x0102, salt: 0x0304, first_record: 0x0506 };
        let page = head.encode();
        let expected = b"NoKVlog\x01\x02\x01\0\0\x04\x03\0\0\x06\x05\0\0\0\0\0\0";
        assert_eq!(page.get(..24), Some(&expected[..]));
        assert_eq!(Head::decode(&page), Some(head));
        let mut other = page;
        other[9] ^= 1;
        assert_eq!((Head::decode(&other), Head::decode(&[0; PAGE]), Head::decode(b"NoKV")), (None, None, None));
    }

    #[test]
    fn a_record_is_these_bytes() {
        let entries = vec![LogEntry { index: 9, encoded: Bytes::from_static(b"ab") }];
        let mut payload = Vec::new();
        put_op(&mut payload, &LogOp::Append { group: 7, entries, stale_last: 0 });
        put_state(&mut payload, 7, b"s");
        put_cut(&mut payload, 7, 8);
        put_op(&mut payload, &LogOp::Remove { group: 7, first: 0, last: 10 });
        put_moved(&mut payload, 7, 9, [&b"ab"[..]].into_iter());
        let group = [7, 0, 0, 0, 0, 0, 0, 0];
        let run = [&group[..], &[9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, b'a', b'b']].concat();
        let append = [&[1], &run[..]].concat();
        let state = [&[2], &group[..], &[1, 0, 0, 0, b's']].concat();
        let cut = [&[3], &group[..], &[8, 0, 0, 0, 0, 0, 0, 0]].concat();
        let remove = [&[4], &group[..], &[10, 0, 0, 0, 0, 0, 0, 0]].concat();
        let moved = [&[5], &run[..]].concat();
        assert_eq!(payload, [append, state, cut, remove, moved].concat());
        let read: Vec<_> = ops(&payload).map(Result::unwrap).collect();
        assert_eq!(read.len(), 5);
        assert_eq!(read[0], Op::Append { group: 7, first: 9, entries: vec![(25, b"ab")] });
        assert_eq!(payload.get(25..27), Some(&b"ab"[..]));
        let record = [&frame(1, 2, &payload)[..], &payload].concat();
        assert_eq!(payload_at(1, 2, &record), Some(&payload[..]));
        assert_eq!((payload_at(2, 2, &record), payload_at(1, 3, &record)), (None, None), "of another use, or place");
        assert_eq!(payload_at(1, 2, &record[..record.len() - 1]), None);
    }

    #[test]
    fn any_bytes_are_read_or_refused() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut refused = 0;
        for _ in 0..20_000 {
            let mut bytes: Vec<u8> = (0..random.usize(..200)).map(|_| random.u8(..)).collect();
            if let Some(tag) = bytes.first_mut() {
                *tag %= 7;
            }
            refused += usize::from(ops(&bytes).any(|op| op.is_err()));
            assert_eq!(payload_at(5, 1, &bytes), None);
        }
        assert!(refused > 15_000);
    }
}
