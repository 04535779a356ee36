//! How the records' bytes are cut into fields: fixed integers, variable-length integers, and optional tagged fields
//! behind the fixed ones. A tag that this version does not know is an error, never skipped: what it says may matter.

use crate::{Error, Result, Timestamp};

/// High half of a record's first byte: the format version. The low half is the record's kind.
const FORMAT_1: u8 = 0x10;

/// The first byte of a record of `kind` (1..=15).
pub(crate) const fn head(kind: u8) -> u8 {
    FORMAT_1 | kind
}

/// Appends `value` in groups of seven bits, lowest first, the high bit marking that more follow.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends `chunk` behind its length.
pub(crate) fn put_chunk(out: &mut Vec<u8>, chunk: &[u8]) {
    put_varint(out, chunk.len() as u64);
    out.extend_from_slice(chunk);
}

/// Appends an optional field: its tag, the length, the content.
pub(crate) fn put_field(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    put_chunk(out, content);
}

/// Reads a record's bytes from the front.
#[derive(Debug)]
pub(crate) struct FieldReader<'a> {
    rest: &'a [u8],
    what: &'static str,
    last_tag: u8,
}

impl<'a> FieldReader<'a> {
    /// A reader of `record`; `what` names it in errors.
    pub(crate) fn new(record: &'a [u8], what: &'static str) -> Self {
        Self { rest: record, what, last_tag: 0 }
    }

    fn corrupt(&self) -> Error {
        Error::Corrupt { what: self.what }
    }

    fn u8(&mut self) -> Result<u8> {
        let (byte, rest) = self.rest.split_first().ok_or_else(|| self.corrupt())?;
        self.rest = rest;
        Ok(*byte)
    }

    /// The record's kind from its first byte.
    pub(crate) fn head(&mut self) -> Result<u8> {
        let head = self.u8()?;
        if head & 0xf0 != FORMAT_1 {
            return Err(Error::UnknownFormat { what: self.what, tag: head });
        }
        Ok(head & 0x0f)
    }

    pub(crate) fn timestamp(&mut self) -> Result<Timestamp> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| self.corrupt())?;
        self.rest = rest;
        Ok(Timestamp(u64::from_be_bytes(*bytes)))
    }

    pub(crate) fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.u8()?;
            let group = u64::from(byte & 0x7f);
            // The tenth group has room for one bit; and an integer has one encoding only, the shortest.
            if (shift == 63 && group > 1) || (byte == 0 && shift > 0) {
                return Err(self.corrupt());
            }
            value |= group << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.corrupt())
    }

    pub(crate) fn chunk(&mut self) -> Result<&'a [u8]> {
        let len = usize::try_from(self.varint()?).map_err(|_| self.corrupt())?;
        let (chunk, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.corrupt())?;
        self.rest = rest;
        Ok(chunk)
    }

    /// The next optional field's tag and content, or `None` at the record's end. Tags ascend.
    pub(crate) fn field(&mut self) -> Result<Option<(u8, FieldReader<'a>)>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.u8()?;
        if tag <= self.last_tag {
            return Err(self.corrupt());
        }
        self.last_tag = tag;
        Ok(Some((tag, FieldReader::new(self.chunk()?, self.what))))
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is left.
    pub(crate) fn remaining(self) -> &'a [u8] {
        self.rest
    }

    /// Asserts that nothing is left.
    pub(crate) fn end(self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.corrupt()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn varints_survive(value: u64, shift in 0u32..64) {
            let mut out = Vec::new();
            put_varint(&mut out, value >> shift);
            let mut reader = FieldReader::new(&out, "test");
            prop_assert_eq!(reader.varint().unwrap(), value >> shift);
            reader.end().unwrap();
        }
    }

    #[test]
    fn bad_varints_are_refused() {
        for bad in
            [&[][..], &[0x80], &[0x80, 0x00], &[0xff; 10], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]]
        {
            assert!(FieldReader::new(bad, "test").varint().is_err(), "{bad:x?}");
        }
    }

    #[test]
    fn fields_ascend_and_are_whole() {
        let mut out = Vec::new();
        put_field(&mut out, 2, b"b");
        put_field(&mut out, 1, b"a");
        let mut reader = FieldReader::new(&out, "test");
        assert_eq!(reader.field().unwrap().map(|(tag, content)| (tag, content.remaining())), Some((2, &b"b"[..])));
        assert!(reader.field().is_err());
        assert!(FieldReader::new(&[3, 5, 0], "test").field().is_err());
    }
}
