//! The bytes of a chunk: a kind, what it carries, and a checksum over both. The last chunk carries totals, so that an
//! image that breaks off is never taken for a whole one.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

const KIND_DATA: u8 = 1;
const KIND_END: u8 = 2;
const CHECKSUM_BYTES: usize = 8;

/// What was sent in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Puts.
    pub records: u64,
    /// XXH3 (64 bits) of all batches' bytes in a row.
    pub digest: u64,
}

/// A chunk as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// Puts, in the encoding of `nokv_engine::WriteBatch`.
    Data(Bytes),
    /// There is no more.
    End(Totals),
}

/// Counts what goes by, at either end.
#[derive(Default)]
pub struct Counting {
    records: u64,
    hash: Xxh3,
}

impl Counting {
    /// Takes a batch of `records` puts in.
    pub fn add(&mut self, batch: &[u8], records: u64) {
        self.records += records;
        self.hash.update(batch);
    }

    /// So far.
    pub fn totals(&self) -> Totals {
        Totals { records: self.records, digest: self.hash.digest() }
    }
}

/// A chunk of puts.
pub fn data(batch: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(1 + batch.len() + CHECKSUM_BYTES);
    out.put_u8(KIND_DATA);
    out.put_slice(batch);
    seal(out)
}

/// The last chunk.
pub fn end(totals: Totals) -> Bytes {
    let mut out = BytesMut::with_capacity(17 + CHECKSUM_BYTES);
    out.put_u8(KIND_END);
    out.put_u64_le(totals.records);
    out.put_u64_le(totals.digest);
    seal(out)
}

fn seal(mut out: BytesMut) -> Bytes {
    let checksum = xxh3_64(&out);
    out.put_u64_le(checksum);
    out.freeze()
}

/// Reads a chunk; `None` if a bit of it is wrong.
pub fn decode(chunk: &Bytes) -> Option<Chunk> {
    let body = chunk.len().checked_sub(CHECKSUM_BYTES)?;
    let (sealed, mut checksum) = chunk.split_at_checked(body)?;
    if xxh3_64(sealed) != checksum.try_get_u64_le().ok()? {
        return None;
    }
    let mut rest = chunk.slice(..body);
    match rest.try_get_u8().ok()? {
        KIND_DATA => Some(Chunk::Data(rest)),
        KIND_END => {
            let totals = Totals { records: rest.try_get_u64_le().ok()?, digest: rest.try_get_u64_le().ok()? };
            rest.is_empty().then_some(Chunk::End(totals))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_back_as_they_were_and_every_flipped_bit_is_seen() {
        let totals = Totals { records: 3, digest: 9 };
        let chunks = [(data(b"batch"), Chunk::Data(Bytes::from_static(b"batch"))), (end(totals), Chunk::End(totals))];
        for (encoded, chunk) in chunks {
            assert_eq!(decode(&encoded), Some(chunk));
            for bit in 0..encoded.len() * 8 {
                let mut flipped = encoded.to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(decode(&flipped.into()), None, "bit {bit}");
            }
            assert_eq!(decode(&encoded.slice(..encoded.len() - 1)), None);
        }
        assert_eq!(decode(&Bytes::new()), None);
    }
}
