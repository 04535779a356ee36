//! An entry changes nothing outside of its region. Looked at in what an apply loop is about to write, against the range
//! that the region had before. Broken by a write that was decided before a split and takes effect behind it.

use nokv_engine::{Cf, KeyRange, WriteOp, WriteOps};
use nokv_raftstore::RegionExt as _;
use nokv_transport::RegionId;

use crate::world::World;

/// Looks at the operations that the entries of `region` from `first` on led to.
///
/// # Errors
/// The first key that is not the region's.
pub fn check(world: &World, region: RegionId, first: u64, operations: &[u8]) -> Result<(), String> {
    let Some(before) = world.atlas.before(region, first) else { return Ok(()) };
    match stray(before.range(), operations) {
        None => Ok(()),
        Some(key) => Err(format!("entries of region {region} from {first} on write {}", key.escape_ascii())),
    }
}

fn stray<'a>(range: KeyRange<'_>, operations: &'a [u8]) -> Option<&'a [u8]> {
    WriteOps::new(operations).flatten().find_map(|operation| {
        let (cf, key) = match operation {
            WriteOp::Put { cf, key, .. } | WriteOp::Delete { cf, key } => (cf, key),
            WriteOp::DeleteRange { cf, start, .. } => (cf, start),
        };
        (cf != Cf::Raft && !range.contains(key)).then_some(key)
    })
}

#[cfg(test)]
mod tests {
    use nokv_engine::WriteBatch;

    use super::*;

    #[test]
    fn keys_of_others_are_found() {
        let range = KeyRange::new(b"b", b"d");
        let mut batch = WriteBatch::new();
        batch.put(Cf::Raw, b"c", b"");
        batch.put(Cf::Raft, b"x", b"");
        assert_eq!(stray(range, batch.as_slice()), None);
        batch.delete(Cf::Lock, b"d");
        assert_eq!(stray(range, batch.as_slice()), Some(b"d".as_slice()));
    }
}
