//! A write batch: the effects of a command, as one run of bytes from the executor's thread through the raft log
//! to every replica's engine. It is encoded as it is built, so proposing, replicating and applying never re-encode.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{Cf, Error, Result};

const TAG_PUT: u8 = 0x00;
const TAG_DELETE: u8 = 0x10;
const TAG_DELETE_RANGE: u8 = 0x20;
const MASK_CF: u8 = 0x0f;

/// An ordered list of puts and deletes over all column families, applied atomically, later ones winning.
///
/// Bytes: for each operation a tag (operation in the high four bits, column family in the low four), then the
/// length of the key as a little-endian u32 and the key; for a put the value's length and value likewise; for a range
/// deletion the end key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteBatch {
    encoded: BytesMut,
}

/// One operation of a batch, borrowed from its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOp<'a> {
    /// Set `key` to `value`.
    Put {
        /// Where.
        cf: Cf,
        /// The key; may be empty.
        key: &'a [u8],
        /// The value; may be empty, and is then still there.
        value: &'a [u8],
    },
    /// Remove `key`, if it is there.
    Delete {
        /// Where.
        cf: Cf,
        /// The key.
        key: &'a [u8],
    },
    /// Remove every key from `start` (inclusive) to `end` (exclusive). Nothing if `start` ≥ `end`.
    DeleteRange {
        /// Where.
        cf: Cf,
        /// First key removed.
        start: &'a [u8],
        /// First key kept.
        end: &'a [u8],
    },
}

impl WriteBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch with room for an encoded form of `capacity_bytes`.
    pub fn with_capacity_bytes(capacity_bytes: usize) -> Self {
        Self { encoded: BytesMut::with_capacity(capacity_bytes) }
    }

    /// Adds a put.
    pub fn put(&mut self, cf: Cf, key: &[u8], value: &[u8]) {
        self.encoded.reserve(9 + key.len() + value.len());
        self.encoded.put_u8(TAG_PUT | cf as u8);
        self.put_chunk(key);
        self.put_chunk(value);
    }

    /// Adds a deletion.
    pub fn delete(&mut self, cf: Cf, key: &[u8]) {
        self.encoded.put_u8(TAG_DELETE | cf as u8);
        self.put_chunk(key);
    }

    /// Adds the deletion of all keys in `[start, end)`. An empty `end` is not "unbounded" here: it deletes nothing.
    pub fn delete_range(&mut self, cf: Cf, start: &[u8], end: &[u8]) {
        self.encoded.put_u8(TAG_DELETE_RANGE | cf as u8);
        self.put_chunk(start);
        self.put_chunk(end);
    }

    /// Adds all operations of `other` after those already here.
    pub fn append(&mut self, other: &WriteBatch) {
        self.encoded.extend_from_slice(&other.encoded);
    }

    /// Adds all operations of an encoded batch after those already here. Returns their number.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the bytes are not a whole batch; then nothing is added.
    pub fn append_encoded(&mut self, encoded: &[u8]) -> Result<u64> {
        let mut count = 0;
        for op in WriteOps::new(encoded) {
            op?;
            count += 1;
        }
        self.encoded.extend_from_slice(encoded);
        Ok(count)
    }

    /// Removes every operation and keeps the memory.
    pub fn clear(&mut self) {
        self.encoded.clear();
    }

    /// Whether there is no operation.
    pub fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }

    /// Size of the encoded form in bytes.
    pub fn encoded_bytes(&self) -> usize {
        self.encoded.len()
    }

    /// The encoded form.
    pub fn as_slice(&self) -> &[u8] {
        &self.encoded
    }

    /// Takes over an encoded batch.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the bytes are not a whole batch; nothing of it may then be applied.
    pub fn decode(encoded: &[u8]) -> Result<Self> {
        for op in WriteOps::new(encoded) {
            op?;
        }
        Ok(Self { encoded: BytesMut::from(encoded) })
    }

    /// The operations in order. A batch built by its methods never yields an error.
    pub fn ops(&self) -> WriteOps<'_> {
        WriteOps::new(&self.encoded)
    }

    /// The encoded form, without a copy.
    pub fn into_bytes(self) -> Bytes {
        self.encoded.freeze()
    }

    fn put_chunk(&mut self, chunk: &[u8]) {
        let len = u32::try_from(chunk.len()).expect("keys and values are bounded far below 4 GiB at the wire");
        self.encoded.put_u32_le(len);
        self.encoded.put_slice(chunk);
    }
}

/// Iterator over the operations of an encoded batch; ends after the first error.
#[derive(Clone, Debug)]
pub struct WriteOps<'a> {
    rest: &'a [u8],
}

impl<'a> WriteOps<'a> {
    /// Reads the operations straight from encoded bytes, without taking them over.
    pub fn new(encoded: &'a [u8]) -> Self {
        Self { rest: encoded }
    }

    fn chunk(&mut self) -> Option<&'a [u8]> {
        let len = self.rest.try_get_u32_le().ok()? as usize;
        let (chunk, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(chunk)
    }

    fn op(&mut self) -> Option<WriteOp<'a>> {
        let tag = self.rest.try_get_u8().ok()?;
        let cf = Cf::from_tag(tag & MASK_CF)?;
        let key = self.chunk()?;
        match tag & !MASK_CF {
            TAG_PUT => Some(WriteOp::Put { cf, key, value: self.chunk()? }),
            TAG_DELETE => Some(WriteOp::Delete { cf, key }),
            TAG_DELETE_RANGE => Some(WriteOp::DeleteRange { cf, start: key, end: self.chunk()? }),
            _ => None,
        }
    }
}

impl<'a> Iterator for WriteOps<'a> {
    type Item = Result<WriteOp<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let op = self.op();
        if op.is_none() {
            self.rest = &[];
        }
        Some(op.ok_or(Error::Corrupt { what: "write batch" }))
    }
}
