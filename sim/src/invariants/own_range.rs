//! An entry changes nothing outside of its region. Looked at in what an apply loop is about to write, against the range
//! that the region had when they came. Broken by a write that was decided before a split and takes effect behind it.

use nokv_engine::{Cf, KeyRange, WriteOp, WriteOps};
use nokv_raftstore::RegionExt;
use nokv_transport::RegionId;

use crate::world::World;

/// Looks at the operations that the entries of `region` from `first` to `last` led to.
///
/// # Errors
/// The first key that is not the region's.
pub fn check(world: &World, region: RegionId, first: u64, last: u64, operations: &[u8]) -> Result<(), String> {
    // A merge among them widens the range, for those behind it.
    let during = world.atlas.during(region, first, last);
    let ranges: Vec<KeyRange<'_>> = during.iter().map(RegionExt::range).collect();
    match stray(&ranges, operations).filter(|_| !ranges.is_empty()) {
        None => Ok(()),
        Some(key) => Err(format!("entries {first} to {last} of region {region} write {}", key.escape_ascii())),
    }
}

fn stray<'a>(ranges: &[KeyRange<'_>], operations: &'a [u8]) -> Option<&'a [u8]> {
    WriteOps::new(operations).flatten().find_map(|operation| {
        let (cf, key) = match operation {
            WriteOp::Put { cf, key, .. } | WriteOp::Delete { cf, key } => (cf, key),
            WriteOp::DeleteRange { cf, start, .. } => (cf, start),
        };
        (cf != Cf::Raft && !ranges.iter().any(|range| range.contains(key))).then_some(key)
    })
}

#[cfg(test)]
mod tests {
    use nokv_engine::WriteBatch;

    use super::*;

    #[test]
    fn keys_of_others_are_found() {
        let range = [KeyRange::new(b"a", b"b"), KeyRange::new(b"b", b"d")];
        let mut batch = WriteBatch::new();
        batch.put(Cf::Raw, b"c", b"");
        batch.put(Cf::Raft, b"x", b"");
        assert_eq!(stray(&range, batch.as_slice()), None);
        batch.delete(Cf::Lock, b"d");
        assert_eq!(stray(&range, batch.as_slice()), Some(b"d".as_slice()));
    }
}
