//! Whether two regions can become one, and what becomes of them. Every replica decides it alike.
//! Neighbours, the same stores in the same roles, and nobody on the way in or out.

use nokv_proto::metapb::{Peer, PeerRole, Region, RegionEpoch};

use crate::RegionExt;

/// Why `target` cannot take `source`; `None` if it can.
pub(crate) fn why_not(source: &Region, target: &Region) -> Option<&'static str> {
    if source.id == target.id {
        return Some("a region cannot be merged into itself");
    }
    if union(source, target).is_none() {
        return Some("the regions are not neighbours");
    }
    if members(source) != members(target) {
        return Some("the regions have different members; move their peers to the same stores first");
    }
    let on_the_way = |peer: &Peer| matches!(peer.role(), PeerRole::IncomingVoter | PeerRole::DemotingVoter);
    source.peers.iter().any(on_the_way).then_some("a change of members is under way; try again when it is done")
}

/// `target` with the range of `source` added; `None` if they are not neighbours.
pub(crate) fn union(source: &Region, target: &Region) -> Option<Region> {
    let mut region = target.clone();
    if !source.end_key.is_empty() && source.end_key == target.start_key {
        region.start_key = source.start_key.clone();
    } else if !target.end_key.is_empty() && target.end_key == source.start_key {
        region.end_key = source.end_key.clone();
    } else {
        return None;
    }
    let version = source.epoch().version.max(target.epoch().version) + 1;
    region.region_epoch = Some(RegionEpoch { version, ..target.epoch() });
    Some(region)
}

fn members(region: &Region) -> Vec<(u64, i32)> {
    let mut members: Vec<_> = region.peers.iter().map(|peer| (peer.store_id, peer.role)).collect();
    members.sort_unstable();
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(id: u64, start: &str, end: &str, version: u64, stores: &[u64]) -> Region {
        let peers = stores.iter().map(|store| Peer { id: id * 10 + store, store_id: *store, ..Peer::default() });
        Region {
            id,
            start_key: start.to_owned().into(),
            end_key: end.to_owned().into(),
            region_epoch: Some(RegionEpoch { conf_ver: 1, version }),
            peers: peers.collect(),
            ..Region::default()
        }
    }

    #[test]
    fn only_neighbours_with_the_same_members_fit() {
        let target = region(1, "b", "d", 4, &[1, 2, 3]);
        assert_eq!(why_not(&region(2, "d", "", 7, &[3, 1, 2]), &target), None);
        assert_eq!(why_not(&region(2, "", "b", 7, &[1, 2, 3]), &target), None);
        assert!(why_not(&region(2, "e", "", 7, &[1, 2, 3]), &target).is_some());
        assert!(why_not(&region(2, "", "a", 7, &[1, 2, 3]), &target).is_some());
        assert!(why_not(&region(2, "d", "", 7, &[1, 2, 4]), &target).is_some());
        assert!(why_not(&target, &target).is_some());
        assert!(why_not(&region(1, "", "", 1, &[1]), &region(2, "", "", 1, &[1])).is_some(), "no bound is no meeting");
        let mut joint = region(2, "d", "", 7, &[1, 2, 3]);
        joint.peers[0].set_role(PeerRole::DemotingVoter);
        assert!(why_not(&joint, &target).is_some());
    }

    #[test]
    fn the_union_is_newer_than_both() {
        let right = union(&region(2, "d", "f", 7, &[1]), &region(1, "b", "d", 4, &[1])).unwrap();
        assert_eq!((right.id, right.epoch().version), (1, 8));
        assert_eq!((&right.start_key[..], &right.end_key[..]), (&b"b"[..], &b"f"[..]));
        let left = union(&region(2, "", "b", 3, &[1]), &region(1, "b", "", 4, &[1])).unwrap();
        assert_eq!((&left.start_key[..], &left.end_key[..], left.epoch().version), (&b""[..], &b""[..], 5));
    }
}
