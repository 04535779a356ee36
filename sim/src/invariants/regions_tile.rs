//! The regions tile the keyspace: no gap, no overlap, after every entry that changes one. And while two regions may be
//! read under leases, no key is in both: a client must never be served by an owner of before.

use nokv_engine::KeyRange;
use nokv_proto::metapb::Region;
use nokv_raftstore::{Clock as _, RegionExt as _, Role};
use nokv_transport::RegionId;

use crate::world::{Node, World};

/// Whether `regions` cover everything exactly once.
///
/// # Errors
/// The first place at which they do not.
pub fn tiles<'a>(regions: impl Iterator<Item = &'a Region>) -> Result<(), String> {
    let mut regions: Vec<&Region> = regions.collect();
    regions.sort_by_key(|region| region.start_key.clone());
    let mut covered: &[u8] = &[];
    for (position, region) in regions.iter().enumerate() {
        let begins = region.start_key == covered && (position == 0 || !covered.is_empty());
        if !begins || (!region.end_key.is_empty() && region.end_key <= region.start_key) {
            return Err(format!(
                "region {} covers [{}, {}), and those before it end at {}",
                region.id,
                region.start_key.escape_ascii(),
                region.end_key.escape_ascii(),
                covered.escape_ascii()
            ));
        }
        covered = &region.end_key;
    }
    if covered.is_empty() && !regions.is_empty() {
        return Ok(());
    }
    Err(format!("nothing covers what is behind {}", covered.escape_ascii()))
}

/// Looks whether a key of `region`, which `node` leads, may be read under a lease of another region as well.
///
/// # Errors
/// Whose.
pub fn check_leases(world: &World, node: &Node, region: RegionId) -> Result<(), String> {
    let Some(here) = node.gate(region) else { return Ok(()) };
    // What is frozen serves nobody, lease or not.
    if here.lease_until() <= node.clock.now() || here.merging_into().is_some() {
        return Ok(());
    }
    let state = here.state();
    for other in world.nodes() {
        for (id, gate) in other.gates() {
            if id == region || gate.lease_until() <= other.clock.now() || gate.merging_into().is_some() {
                continue;
            }
            let there = gate.state();
            if there.role == Role::Leader && overlap(state.region.range(), there.region.range()) {
                return Err(format!(
                    "store {} may read region {region}, store {} region {id}, which overlap",
                    node.store, other.store
                ));
            }
        }
    }
    Ok(())
}

/// Whether some key can lie in both.
pub fn overlap(one: KeyRange<'_>, other: KeyRange<'_>) -> bool {
    let before = |end: &[u8], start: &[u8]| !end.is_empty() && end <= start;
    !before(one.end, other.start) && !before(other.end, one.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(id: u64, start: &'static str, end: &'static str) -> Region {
        Region { id, start_key: start.as_bytes().into(), end_key: end.as_bytes().into(), ..Region::default() }
    }

    #[test]
    fn gaps_and_overlaps_are_found() {
        let check = |regions: &[Region]| tiles(regions.iter()).is_ok();
        assert!(check(&[region(1, "", "")]));
        assert!(check(&[region(2, "m", ""), region(1, "", "m")]));
        assert!(!check(&[]));
        assert!(!check(&[region(1, "", "m")]));
        assert!(!check(&[region(1, "", "m"), region(2, "n", "")]));
        assert!(!check(&[region(1, "", "n"), region(2, "m", "")]));
        assert!(!check(&[region(1, "", ""), region(2, "m", "")]));
        assert!(!check(&[region(1, "", "m"), region(2, "", "m"), region(3, "m", "")]));
    }

    #[test]
    fn ranges_overlap_unless_one_ends_where_the_other_begins() {
        assert!(!overlap(KeyRange::new(b"a", b"m"), KeyRange::new(b"m", b"")));
        assert!(overlap(KeyRange::new(b"a", b"n"), KeyRange::new(b"m", b"")));
        assert!(overlap(KeyRange::ALL, KeyRange::new(b"m", b"n")));
    }
}
