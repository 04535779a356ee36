//! One number for all bytes of a region at one applied index: replicas that applied the same log must agree on it.
//! Reads the whole region; for checks, not for serving.

use nokv_engine::{Cf, Cursor as _, ReadView};
use nokv_proto::metapb::Region;
use xxhash_rust::xxh3::Xxh3;

use crate::records::ApplyRecord;
use crate::{RegionExt, StoreError};

/// What a region holds at an applied index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionDigest {
    /// Last entry applied in the view.
    pub applied_index: u64,
    /// Records in all data column families.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// XXH3 (64 bits) over column family, key and value of each in order, each with its length.
    pub digest: u64,
}

/// Digests `region` as of `view`: data and applied index are of the same moment, since they are written together.
///
/// # Errors
/// If the engine fails.
pub fn digest(view: &impl ReadView, region: &Region) -> Result<RegionDigest, StoreError> {
    let applied_index = ApplyRecord::load(view, region.region_id())?.applied_index;
    let mut out = RegionDigest { applied_index, records: 0, bytes: 0, digest: 0 };
    let mut hash = Xxh3::new();
    for cf in Cf::DATA {
        let mut cursor = view.cursor(cf, region.range())?;
        cursor.seek_to_first()?;
        while let (Some(key), Some(value)) = (cursor.key(), cursor.value()) {
            out.records += 1;
            out.bytes += (key.len() + value.len()) as u64;
            for part in [&[cf as u8], key, value] {
                hash.update(&(part.len() as u64).to_le_bytes());
                hash.update(part);
            }
            cursor.next()?;
        }
    }
    out.digest = hash.digest();
    Ok(out)
}
