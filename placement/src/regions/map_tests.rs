//! Random reports against the map's invariants, and against a naive map of single keys.
//! Keys are one letter, so that every region is a set of letters.

use std::sync::Arc;

use nokv_proto::metapb::{Peer, Region, RegionEpoch};
use proptest::prelude::*;

use super::*;

const KEYS: u8 = 8;

fn key(at: u8) -> Bytes {
    if at == 0 || at == KEYS { Bytes::new() } else { Bytes::from(vec![b'a' + at]) }
}

fn reports() -> impl Strategy<Value = Report> {
    let range = (0..KEYS).prop_flat_map(|start| (Just(start), start + 1..=KEYS));
    (1..6u64, range, 1..5u64, 1..4u64, 0..3u64, 1..9u64).prop_map(
        |(id, (start, end), version, conf_ver, term, size)| {
            let peer = |at: u64| Peer { id: id * 10 + at, store_id: (id + at) % 4 + 1, ..Peer::default() };
            let peers: Vec<Peer> = (0..3).map(peer).collect();
            Report {
                leader: peers.get(usize::try_from(size % 4).unwrap()).copied(),
                region: Arc::new(Region {
                    id,
                    start_key: key(start),
                    end_key: key(end),
                    region_epoch: Some(RegionEpoch { conf_ver, version }),
                    peers,
                    ..Region::default()
                }),
                term,
                size_bytes: size << 20,
                flow: Flow { write_bytes: size, read_bytes: size * 2, ..Flow::default() },
                ..Report::default()
            }
        },
    )
}

/// Whether the region holds the letter at `at`.
fn holds(region: &Region, at: u8) -> bool {
    nokv_raftstore::RegionExt::range(region).contains(&[b'a' + at])
}

fn check(map: &RegionMap) -> Result<(), TestCaseError> {
    for at in 1..KEYS {
        let holding: Vec<RegionId> = map.iter().filter(|info| holds(&info.region, at)).map(RegionInfo::id).collect();
        prop_assert!(holding.len() <= 1, "letter {} is in {:?}", at, holding);
        let found = map.holding(&[b'a' + at]).map(RegionInfo::id);
        prop_assert_eq!(found, holding.first().copied());
    }
    let mut anew = RegionMap::default();
    map.iter().for_each(|info| anew.insert(info.id(), info.clone()));
    prop_assert_eq!(&anew.by_store, &map.by_store);
    prop_assert_eq!(&anew.by_start, &map.by_start);
    Ok(())
}

proptest! {
    #[test]
    fn regions_never_overlap_and_sums_are_right(reports in prop::collection::vec(reports(), 1..40)) {
        let mut map = RegionMap::default();
        for report in reports {
            let before = map.clone();
            let overlapped: Vec<&RegionInfo> = before
                .iter()
                .filter(|info| info.id() == RegionId(report.region.id)
                    || (0..KEYS).any(|at| holds(&info.region, at) && holds(&report.region, at)))
                .collect();
            let version = |region: &Region| region.region_epoch.unwrap().version;
            match map.take_in(report.clone(), 5) {
                Ok(taken) => {
                    let known = map.get(RegionId(report.region.id)).expect("it was taken in");
                    prop_assert_eq!(&known.region, &report.region);
                    prop_assert!(overlapped.iter().all(|info| version(&info.region) <= version(&report.region)));
                    let mut gone: Vec<RegionId> = overlapped.iter().map(|info| info.id()).collect();
                    gone.retain(|id| id.0 != report.region.id);
                    let mut removed = taken.removed;
                    removed.sort_unstable();
                    prop_assert_eq!(removed, gone);
                }
                Err(stale) => {
                    prop_assert!(overlapped.iter().any(|info| info.region == stale.known));
                    prop_assert!(map.iter().eq(before.iter()), "a refused report changes nothing");
                }
            }
            check(&map)?;
        }
    }
}
