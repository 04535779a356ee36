//! The bytes of the bound on disk, and how damage to them is told from a whole record.
//!
//! ```text
//!   0        8            16                24          28      32
//!   ├ "NoKVtso" 1 ┼ bound_ms ┼ written_at_ms ┼ zero ┼ crc32 ┤     integers big-endian
//! ```

/// Length of a record in bytes.
pub(super) const RECORD_BYTES: usize = 32;
const MAGIC: [u8; 7] = *b"NoKVtso";
const VERSION: u8 = 1;
const CHECKED_BYTES: usize = RECORD_BYTES - 4;

/// What is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BoundRecord {
    /// No timestamp with a physical part at or above this has been handed out; milliseconds since 1970.
    pub(super) bound_ms: u64,
    /// What the wall clock showed when this was written; for people only.
    pub(super) written_at_ms: u64,
}

/// Why bytes are no record. They are not to be trusted in part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordDamage {
    /// Cut off, or something behind it.
    #[error("it has {found} bytes instead of {RECORD_BYTES}")]
    Length {
        /// Bytes in the file.
        found: usize,
    },
    /// Some other file, or its beginning is overwritten.
    #[error("it does not begin like a timestamp record")]
    Magic,
    /// Written by a newer program.
    #[error("it is of version {found}, and this program knows version {VERSION}")]
    Version {
        /// The version byte.
        found: u8,
    },
    /// Some bits have changed.
    #[error("its checksum does not match")]
    Checksum,
}

impl BoundRecord {
    pub(super) fn encode(self) -> [u8; RECORD_BYTES] {
        let mut record = Vec::with_capacity(RECORD_BYTES);
        record.extend_from_slice(&MAGIC);
        record.push(VERSION);
        record.extend_from_slice(&self.bound_ms.to_be_bytes());
        record.extend_from_slice(&self.written_at_ms.to_be_bytes());
        record.extend_from_slice(&[0; 4]);
        let checksum = crc32fast::hash(&record);
        record.extend_from_slice(&checksum.to_be_bytes());
        record.try_into().expect("7 + 1 + 8 + 8 + 4 + 4 bytes are 32")
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<BoundRecord, RecordDamage> {
        let record: &[u8; RECORD_BYTES] = bytes.try_into().map_err(|_| RecordDamage::Length { found: bytes.len() })?;
        let (checked, checksum) = record.split_at(CHECKED_BYTES);
        let (head, rest) = checked.split_at(8);
        if !head.starts_with(&MAGIC) {
            return Err(RecordDamage::Magic);
        }
        if crc32fast::hash(checked).to_be_bytes() != checksum {
            return Err(RecordDamage::Checksum);
        }
        // After the checksum: a version byte that is wrong by damage is damage, not a newer program.
        if let Some(&found) = head.last().filter(|found| **found != VERSION) {
            return Err(RecordDamage::Version { found });
        }
        Ok(BoundRecord { bound_ms: integer(rest, 0), written_at_ms: integer(rest, 8) })
    }
}

fn integer(bytes: &[u8], at: usize) -> u64 {
    bytes.iter().skip(at).take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: BoundRecord = BoundRecord { bound_ms: 0x0102_0304_0506_0708, written_at_ms: 9 };

    #[test]
    fn every_byte_has_its_place() {
        let bytes = RECORD.encode();
        assert_eq!(&bytes[..8], b"NoKVtso\x01");
        assert_eq!(&bytes[8..28], [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0]);
        assert_eq!(bytes[28..], crc32fast::hash(&bytes[..28]).to_be_bytes());
        assert_eq!(BoundRecord::decode(&bytes), Ok(RECORD));
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_damage() {
        let bytes = RECORD.encode();
        for len in 0..RECORD_BYTES {
            assert_eq!(BoundRecord::decode(&bytes[..len]), Err(RecordDamage::Length { found: len }));
        }
        for bit in 0..RECORD_BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(BoundRecord::decode(&damaged).is_err(), "bit {bit}");
        }
        assert!(BoundRecord::decode(&[0; RECORD_BYTES]).is_err());
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = RECORD.encode();
        bytes[7] = 2;
        let checksum = crc32fast::hash(&bytes[..28]).to_be_bytes();
        bytes[28..].copy_from_slice(&checksum);
        assert_eq!(BoundRecord::decode(&bytes), Err(RecordDamage::Version { found: 2 }));
    }
}
