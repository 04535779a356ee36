//! The regions that the client knows, by start key, and whom it believes to lead each.
//! Of two regions that overlap the newer epoch stays; the older one's other keys become unknown again.

use std::collections::BTreeMap;
use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::sync::Arc;

use bytes::Bytes;
use nokv_proto::metapb;

use crate::directory::Located;

/// Regions kept at most; beyond it the cache starts anew (a lookup costs one question, a region about 300 bytes).
const REGIONS_MAX: usize = 200_000;

/// One region, and where to ask for it.
#[derive(Clone, Debug)]
pub(crate) struct CachedRegion {
    pub(crate) region: Arc<metapb::Region>,
    /// The peer that is believed to lead, as an index into the region's peers.
    leader: Option<usize>,
    /// The peer to try next while no leader is known.
    next: usize,
    /// Peers in a row that did not answer, or did not know the region.
    in_vain: usize,
}

impl CachedRegion {
    pub(crate) fn new(located: Located) -> Self {
        let leader = located.leader.and_then(|leader| position(&located.region, &leader));
        CachedRegion { region: Arc::new(located.region), leader, next: 0, in_vain: 0 }
    }

    /// As a directory tells it.
    pub(crate) fn located(&self) -> Located {
        let leader = self.leader.and_then(|index| self.region.peers.get(index)).copied();
        Located { region: self.region.as_ref().clone(), leader }
    }

    /// The peers in the order in which to try them: the believed leader, then the others in turn.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = &metapb::Peer> {
        let peers = &self.region.peers;
        let rest = (0..peers.len()).map(move |step| (self.next + step) % peers.len());
        let rest = rest.filter(|index| Some(*index) != self.leader);
        self.leader.into_iter().chain(rest).filter_map(|index| peers.get(index))
    }
}

/// What a failed request says about the peer that was asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PeerFailure {
    /// It does not lead; perhaps it names the leader.
    NotLeader(Option<metapb::Peer>),
    /// It cannot be reached or did not answer.
    Silent,
    /// Its store does not have the region, or is another store.
    Unknown,
}

/// All regions known.
#[derive(Debug, Default)]
pub(crate) struct RegionCache {
    regions: BTreeMap<Bytes, CachedRegion>,
}

impl RegionCache {
    /// The region that holds `key`, encoded as bounds are.
    pub(crate) fn find(&self, key: &[u8]) -> Option<&CachedRegion> {
        let (_, cached) = self.regions.range::<[u8], _>(up_to(key)).next_back()?;
        contains(&cached.region, key).then_some(cached)
    }

    /// Takes a region in, unless it is older than one that it overlaps. Returns whether it is in the cache now.
    pub(crate) fn insert(&mut self, located: Located) -> bool {
        let region = &located.region;
        let overlapping = self.overlapping(region);
        for start in &overlapping {
            let Some(known) = self.regions.get_mut(start) else { continue };
            if known.region.id == region.id && known.region.as_ref() == region {
                let told = located.leader.as_ref().and_then(|leader| position(region, leader));
                known.leader = told.or(known.leader);
                return true;
            }
            if is_older(region, &known.region) {
                return false;
            }
        }
        let mut leader = located.leader;
        for start in overlapping {
            // After a split or a change of members the leader is most likely still the same.
            if let Some(old) = self.regions.remove(&start)
                && leader.is_none()
            {
                let believed = old.leader.and_then(|index| old.region.peers.get(index));
                leader = believed.and_then(|believed| on_store(region, believed.store_id));
            }
        }
        if self.regions.len() >= REGIONS_MAX {
            self.regions.clear();
        }
        let start = region.start_key.clone();
        self.regions.insert(start, CachedRegion::new(Located { leader, ..located }));
        true
    }

    /// Takes in what a directory says of `key`, which no cached region holds. Where the answer is older than neighbours
    /// that the cache has, only the gap around the key is taken from it: its peers will know what became of the rest.
    pub(crate) fn insert_around(&mut self, mut located: Located, key: &[u8]) -> CachedRegion {
        if !self.insert(located.clone()) {
            let before = self.regions.range::<[u8], _>(up_to(key)).next_back().map(|(_, before)| before);
            let behind = self.regions.range::<[u8], _>((Excluded(key), Unbounded)).next();
            let region = &mut located.region;
            if let Some(before) = before {
                region.start_key = before.region.end_key.clone().max(region.start_key.clone());
            }
            if let Some((start, _)) = behind
                && (region.end_key.is_empty() || *start < region.end_key)
            {
                region.end_key = start.clone();
            }
            let known = self.regions.values().any(|known| known.region.id == region.id);
            if let Some(before) = before.filter(|before| known && before.region.end_key == region.start_key) {
                // That region has said where it is now, which is not here. Its neighbour has more recent news: asked
                // with an epoch that cannot be right, it answers with the regions around it and nothing else.
                region.id = before.region.id;
                region.region_epoch = Some(metapb::RegionEpoch::default());
                region.peers = before.region.peers.clone();
                located.leader = before.located().leader;
            }
            self.insert(located.clone());
        }
        self.find(key).cloned().unwrap_or_else(|| CachedRegion::new(located))
    }

    /// Takes in what a store says is there instead of `asked`. Unless the store is the one that is behind, `asked`
    /// goes, also if none of these regions lies where it was: a region that was merged away is answered with the one
    /// that it was merged into, which may have been split again since.
    pub(crate) fn take_correction(&mut self, asked: &metapb::Region, current: Vec<metapb::Region>) {
        let behind = current.iter().any(|region| region.id == asked.id && is_older(region, asked));
        for region in current {
            self.insert(Located { region, leader: None });
        }
        if !behind && self.entry(asked).is_some_and(|known| known.region.region_epoch == asked.region_epoch) {
            self.forget(asked);
        }
    }

    /// Forgets the region with this id that starts at `start`.
    pub(crate) fn forget(&mut self, region: &metapb::Region) {
        if self.entry(region).is_some() {
            self.regions.remove(&region.start_key);
        }
    }

    /// Notes that `peer` answered as the leader.
    pub(crate) fn succeeded(&mut self, region: &metapb::Region, peer: &metapb::Peer) {
        if let Some(known) = self.entry(region) {
            known.leader = position(&known.region, peer);
            known.in_vain = 0;
        }
    }

    /// Notes that `peer` did not serve, and turns to another one.
    pub(crate) fn failed(&mut self, region: &metapb::Region, peer: &metapb::Peer, failure: PeerFailure) {
        let Some(known) = self.entry(region) else { return };
        let asked = position(&known.region, peer);
        let peers = known.region.peers.len().max(1);
        if let Some(asked) = asked {
            known.next = (asked + 1) % peers;
        }
        if known.leader == asked {
            known.leader = None;
        }
        known.in_vain = if matches!(failure, PeerFailure::NotLeader(_)) { 0 } else { known.in_vain + 1 };
        if let PeerFailure::NotLeader(Some(leader)) = failure {
            known.leader = position(&known.region, &leader).or_else(|| {
                // No member by our knowledge, which is old then: that leader will tell us more.
                let region = Arc::make_mut(&mut known.region);
                region.peers.push(leader);
                region.peers.len().checked_sub(1)
            });
        } else if known.in_vain >= peers {
            // It may have moved away from all of them, whose stores are gone since: the directory knows.
            self.forget(region);
        }
    }

    fn entry(&mut self, region: &metapb::Region) -> Option<&mut CachedRegion> {
        self.regions.get_mut(&region.start_key).filter(|known| known.region.id == region.id)
    }

    /// Start keys of the known regions that share keys with `region`.
    fn overlapping(&self, region: &metapb::Region) -> Vec<Bytes> {
        let mut starts = Vec::new();
        let first: &[u8] = &region.start_key;
        if let Some((start, known)) = self.regions.range::<[u8], _>((Unbounded, Excluded(first))).next_back()
            && contains(&known.region, &region.start_key)
        {
            starts.push(start.clone());
        }
        let behind = self.regions.range::<[u8], _>((Included(first), Unbounded));
        let inside = behind.take_while(|(start, _)| region.end_key.is_empty() || *start < &region.end_key);
        starts.extend(inside.map(|(start, _)| start.clone()));
        starts
    }
}

/// Whether `key`, encoded as bounds are, lies within the region.
pub(crate) fn contains(region: &metapb::Region, key: &[u8]) -> bool {
    key >= region.start_key.as_ref() && (region.end_key.is_empty() || key < region.end_key.as_ref())
}

/// All keys up to `key`, itself included, as the bounds of a map's range.
pub(crate) fn up_to(key: &[u8]) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Unbounded, Included(key))
}

fn position(region: &metapb::Region, peer: &metapb::Peer) -> Option<usize> {
    region.peers.iter().position(|member| member.id == peer.id && member.store_id == peer.store_id)
}

fn on_store(region: &metapb::Region, store_id: u64) -> Option<metapb::Peer> {
    region.peers.iter().find(|peer| peer.store_id == store_id).cloned()
}

/// Whether `region` is older than `known`, which it overlaps. The version grows with every split and merge, the
/// membership's only says something about one and the same region.
fn is_older(region: &metapb::Region, known: &metapb::Region) -> bool {
    let (ours, theirs) = (region.region_epoch.unwrap_or_default(), known.region_epoch.unwrap_or_default());
    ours.version < theirs.version
        || (region.id == known.id && ours.version == theirs.version && ours.conf_ver < theirs.conf_ver)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(id: u64, start: &'static str, end: &'static str, version: u64) -> metapb::Region {
        metapb::Region {
            id,
            start_key: Bytes::from_static(start.as_bytes()),
            end_key: Bytes::from_static(end.as_bytes()),
            region_epoch: Some(metapb::RegionEpoch { conf_ver: 1, version }),
            peers: (1..=3).map(|store| peer(id, store)).collect(),
            ..Default::default()
        }
    }

    fn peer(region: u64, store_id: u64) -> metapb::Peer {
        metapb::Peer { id: region * 10 + store_id, store_id, ..Default::default() }
    }

    fn insert(cache: &mut RegionCache, region: metapb::Region) -> bool {
        cache.insert(Located { region, leader: None })
    }

    fn ids(cache: &RegionCache) -> Vec<u64> {
        cache.regions.values().map(|known| known.region.id).collect()
    }

    fn first(cache: &RegionCache, key: &[u8]) -> u64 {
        cache.find(key).unwrap().candidates().next().unwrap().store_id
    }

    #[test]
    fn a_split_replaces_its_parent_and_an_old_parent_does_not_come_back() {
        let mut cache = RegionCache::default();
        assert!(insert(&mut cache, region(1, "", "", 1)));
        cache.succeeded(&region(1, "", "", 1), &peer(1, 2));
        assert!(insert(&mut cache, region(2, "m", "", 2)));
        assert_eq!(ids(&cache), [2], "the parent is gone, its left half unknown");
        assert_eq!(cache.find(b"a").map(|known| known.region.id), None);
        assert!(insert(&mut cache, region(1, "", "m", 2)));
        assert_eq!(ids(&cache), [1, 2]);
        assert!(!insert(&mut cache, region(1, "", "", 1)));
        assert_eq!(ids(&cache), [1, 2]);
        assert_eq!(first(&cache, b"z"), 2, "the split region is led where its parent was");
    }

    #[test]
    fn an_old_answer_fills_only_the_gap() {
        let mut cache = RegionCache::default();
        insert(&mut cache, region(5, "", "f", 3));
        insert(&mut cache, region(3, "t", "", 3));
        let old = Located { region: region(1, "", "", 1), leader: Some(peer(1, 2)) };
        let found = cache.insert_around(old.clone(), b"m");
        assert_eq!((found.region.start_key.as_ref(), found.region.end_key.as_ref()), (&b"f"[..], &b"t"[..]));
        assert_eq!(ids(&cache), [5, 1, 3]);
        cache.failed(&found.region, &peer(1, 2), PeerFailure::NotLeader(None));
        assert_eq!(first(&cache, b"m"), 3, "its peers are tried in turn like any other's");
        assert!(insert(&mut cache, region(1, "f", "k", 3)));
        let found = cache.insert_around(old, b"m");
        let epoch = found.region.region_epoch.unwrap();
        assert_eq!((found.region.id, epoch.version), (1, 0), "the neighbour is asked for news");
        assert!(insert(&mut cache, region(2, "k", "t", 3)));
        assert_eq!(ids(&cache), [5, 1, 2, 3]);
    }

    #[test]
    fn a_merge_replaces_both() {
        let mut cache = RegionCache::default();
        insert(&mut cache, region(1, "", "m", 4));
        insert(&mut cache, region(2, "m", "t", 2));
        insert(&mut cache, region(3, "t", "", 9));
        assert!(insert(&mut cache, region(1, "", "t", 5)));
        assert_eq!(ids(&cache), [1, 3]);
    }

    #[test]
    fn what_a_store_has_no_more_is_forgotten_even_if_it_says_nothing_of_its_keys() {
        let mut cache = RegionCache::default();
        let merged = region(2, "m", "t", 1);
        insert(&mut cache, merged.clone());
        // It was merged into region 1, which has given its keys to yet another since.
        cache.take_correction(&merged, vec![region(1, "", "m", 5)]);
        assert_eq!(ids(&cache), [1]);
        let known = region(3, "t", "", 4);
        insert(&mut cache, known.clone());
        cache.take_correction(&known, vec![region(3, "m", "", 2)]);
        assert_eq!(ids(&cache), [1, 3], "that store is behind");
        cache.take_correction(&known, Vec::new());
        assert_eq!(ids(&cache), [1]);
    }

    #[test]
    fn every_peer_is_tried_in_turn_until_one_leads() {
        let mut cache = RegionCache::default();
        let one = region(1, "", "", 1);
        insert(&mut cache, one.clone());
        let mut tried = Vec::new();
        for _ in 0..3 {
            let store = first(&cache, b"k");
            tried.push(store);
            cache.failed(&one, &peer(1, store), PeerFailure::Silent);
        }
        assert_eq!(tried, [1, 2, 3]);
        assert!(cache.find(b"k").is_none(), "where it is now, none of them can say");
        insert(&mut cache, one.clone());
        for store in [1, 2, 3, 1, 2] {
            assert_eq!(first(&cache, b"k"), store);
            cache.failed(&one, &peer(1, store), PeerFailure::NotLeader(None));
        }
        assert!(cache.find(b"k").is_some(), "who says that another leads knows the region");
        cache.failed(&one, &peer(1, 1), PeerFailure::NotLeader(Some(peer(1, 3))));
        assert_eq!(first(&cache, b"k"), 3);
        cache.succeeded(&one, &peer(1, 3));
        cache.failed(&one, &peer(1, 1), PeerFailure::NotLeader(None));
        assert_eq!(first(&cache, b"k"), 3, "what a follower does not know says nothing about the leader");
    }

    #[test]
    fn a_region_that_no_peer_knows_is_forgotten_and_an_unknown_leader_is_asked() {
        let mut cache = RegionCache::default();
        let one = region(1, "", "", 1);
        insert(&mut cache, one.clone());
        for store in 1..=3 {
            assert!(cache.find(b"k").is_some());
            cache.failed(&one, &peer(1, store), PeerFailure::Unknown);
        }
        assert!(cache.find(b"k").is_none());
        insert(&mut cache, one.clone());
        cache.failed(&one, &peer(1, 1), PeerFailure::NotLeader(Some(peer(1, 4))));
        assert_eq!(first(&cache, b"k"), 4);
    }
}
