//! Which replicas a store may come to hold: no two may own the same key, whichever raft loop they belong to, and none
//! that was removed comes back. Everything that adds or widens a replica asks here first, under one lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use nokv_engine::KeyRange;
use nokv_proto::metapb::{Peer, Region};
use nokv_transport::{PeerId, RegionId, StoreId};

use crate::gate::{Gate, Gates};
use crate::merge::{Fate, Successor};
use crate::{RegionError, RegionExt};

/// What is known beside the regions that live here.
#[derive(Debug, Default)]
pub(crate) struct Admissions {
    /// Ranges of replicas to come: they have no data yet, or less than they will have.
    coming: BTreeMap<RegionId, (Bytes, Bytes)>,
    /// Ranges of removed replicas, whose data is not cleared yet.
    leaving: BTreeMap<RegionId, (Bytes, Bytes)>,
    /// Removed replicas: the peer, and the membership's version that it was removed with.
    buried: BTreeMap<RegionId, Buried>,
    /// Into what regions were merged that had a peer here, and who their members were.
    merged: BTreeMap<RegionId, (Successor, Vec<Peer>)>,
    /// What became of regions that still have a peer here, which does not know by itself.
    fates: BTreeMap<RegionId, Fate>,
    /// Peers up to this id belonged to an earlier directory of this store, of whatever region.
    floor: PeerId,
}

/// A peer of this store that must never come back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buried {
    /// Its id; ids below are as dead.
    pub peer: PeerId,
    /// The members' version by which it was known to be removed.
    pub conf_ver: u64,
    /// The other members then; empty if that is not known.
    pub members: Vec<PeerId>,
}

impl Buried {
    fn of(region: &Region, me: PeerId) -> Self {
        let others = region.peers.iter().map(|peer| PeerId(peer.id)).filter(|peer| *peer != me);
        Self { peer: me, conf_ver: region.epoch().conf_ver, members: others.collect() }
    }

    /// Whether a peer that shows this members' version was removed as well, as far as is surely known.
    pub(crate) fn outlives(&self, peer: PeerId, conf_ver: u64) -> bool {
        conf_ver < self.conf_ver && !self.members.is_empty() && !self.members.contains(&peer)
    }
}

impl Gates {
    /// Lets `region` come to own `start..end` on this store, unless another one here has a part of that, or will, or
    /// its data is still there.
    pub(crate) fn admit(&self, region: RegionId, start: &Bytes, end: &Bytes) -> bool {
        self.admit_over(region, start, end, &[])
    }

    /// The same, where the replicas of `sealed` will be gone by then.
    pub(crate) fn admit_over(&self, region: RegionId, start: &Bytes, end: &Bytes, sealed: &[RegionId]) -> bool {
        let mut table = self.table().write();
        let wanted = KeyRange::new(start, end);
        let lives = |(id, gate): (&RegionId, &Arc<Gate>)| {
            *id != region && !sealed.contains(id) && overlap(gate.state().region.range(), wanted)
        };
        let waits = |(id, range): (&RegionId, &(Bytes, Bytes))| *id != region && overlap(as_range(range), wanted);
        let leaves = |range: &(Bytes, Bytes)| overlap(as_range(range), wanted);
        let admissions = &table.admissions;
        if table.gates.iter().any(lives)
            || admissions.coming.iter().any(waits)
            || admissions.leaving.values().any(leaves)
            || admissions.leaving.contains_key(&region)
        {
            return false;
        }
        table.admissions.coming.insert(region, (start.clone(), end.clone()));
        true
    }

    /// The regions that live here and have a part of `start..end`, but for `region`.
    pub(crate) fn blockers(&self, region: RegionId, start: &Bytes, end: &Bytes) -> Vec<RegionId> {
        let table = self.table().read();
        let wanted = KeyRange::new(start, end);
        let blocks =
            |(id, gate): &(&RegionId, &Arc<Gate>)| **id != region && overlap(gate.state().region.range(), wanted);
        table.gates.iter().filter(blocks).map(|(id, _)| *id).collect()
    }

    /// The replica is there, or will not come after all.
    pub(crate) fn end_coming(&self, region: RegionId) {
        self.table().write().admissions.coming.remove(&region);
    }

    /// Removes a replica: its gate, at once; its range stays taken until [`Gates::cleared`]; its peer is buried.
    pub(crate) fn leave(&self, region: &Region, me: PeerId) {
        let mut table = self.table().write();
        let id = region.region_id();
        table.gates.remove(&id);
        table.admissions.coming.remove(&id);
        table.admissions.leaving.insert(id, (region.start_key.clone(), region.end_key.clone()));
        table.admissions.bury(id, Buried::of(region, me));
    }

    /// The data of a removed replica is gone.
    pub(crate) fn cleared(&self, region: RegionId) {
        self.table().write().admissions.leaving.remove(&region);
    }

    /// Remembers a replica that was removed in an earlier life of this process, or that never had data.
    pub(crate) fn bury(&self, region: &Region, store: StoreId) {
        self.bury_merged(region, store, None);
    }

    /// The same; `merged` if the region is merged, and its data another's from now on: its gate goes.
    pub(crate) fn bury_merged(&self, region: &Region, store: StoreId, merged: Option<Successor>) {
        let Some(me) = region.peer_on(store) else { return };
        let buried = Buried::of(region, PeerId(me.id));
        let mut table = self.table().write();
        let id = region.region_id();
        if let Some(successor) = merged {
            table.gates.remove(&id);
            table.admissions.merged.insert(id, (successor, region.peers.clone()));
        }
        table.admissions.coming.remove(&id);
        table.admissions.bury(id, buried);
    }

    /// Another store said what became of a region that has a peer here.
    pub(crate) fn note_fate(&self, region: RegionId, fate: &Fate) {
        self.table().write().admissions.fates.insert(region, fate.clone());
    }

    /// Whether all that lives here in `start..end` is known to be merged into `region`, up to this version. If not, one
    /// of them may yet give birth to it here, and its log then needs those that were merged into it.
    pub(crate) fn only_merged_block(&self, region: RegionId, version: u64, start: &Bytes, end: &Bytes) -> bool {
        let blockers = self.blockers(region, start, end);
        let table = self.table().read();
        let fates = &table.admissions.fates;
        blockers.iter().all(|blocker| fates.get(blocker).is_some_and(|fate| fate.leads_to(region, version)))
    }

    /// The replica goes because its region was merged elsewhere: from now on this store can tell.
    pub(crate) fn remember(&self, region: RegionId, fate: &Fate) {
        self.table().write().admissions.merged.insert(region, (fate.first, fate.members.clone()));
    }

    /// What to tell a peer on the store `asks` of a region that was merged.
    pub(crate) fn fate(&self, region: RegionId, asks: StoreId) -> Option<Fate> {
        let table = self.table().read();
        let merged = &table.admissions.merged;
        let (first, members) = merged.get(&region)?.clone();
        let mut fate = Fate { members, first, later: Vec::new(), absent: false };
        let mut last = first;
        // Versions only rise along the way, so that it ends.
        while let Some((next, _)) = merged.get(&last.region).filter(|(next, _)| next.version > last.version) {
            fate.later.push(*next);
            last = *next;
        }
        let lives = table.gates.get(&last.region).map(|gate| gate.state().region.clone());
        fate.absent = lives.is_some_and(|region| region.peer_on(asks).is_none());
        Some(fate)
    }

    /// What to answer who asks for a region that was merged into one that is here.
    pub(crate) fn successor(&self, region: RegionId) -> Option<RegionError> {
        let fate = self.fate(region, self.store())?;
        let table = self.table().read();
        let gate = fate.successors().find_map(|successor| table.gates.get(&successor.region))?;
        Some(RegionError::EpochNotMatch { current: vec![Region::clone(&gate.state().region)] })
    }

    /// The version that `target` has at least, as far as regions tell that were merged into it and are gone from here.
    pub(crate) fn version_at_least(&self, target: RegionId) -> u64 {
        let table = self.table().read();
        let into = table.admissions.merged.values().filter(|(into, _)| into.region == target);
        into.map(|(into, _)| into.version).max().unwrap_or(0)
    }

    /// The peer of `region` that was removed from here last.
    pub fn buried(&self, region: RegionId) -> Option<Buried> {
        if nokv_engine::is_planted("forget the dead") {
            return None;
        }
        let table = self.table().read();
        let Admissions { buried, floor, .. } = &table.admissions;
        match buried.get(&region) {
            Some(buried) => Some(Buried { peer: buried.peer.max(*floor), ..buried.clone() }),
            // When it was removed, if it was, nobody here knows: the others find out by themselves.
            None => (*floor > PeerId(0)).then(|| Buried { peer: *floor, ..Buried::default() }),
        }
    }

    /// No peer up to this id, of any region, ever lives here.
    pub(crate) fn bury_up_to(&self, floor: PeerId) {
        self.table().write().admissions.floor = floor;
    }
}

impl Admissions {
    fn bury(&mut self, region: RegionId, buried: Buried) {
        let known = self.buried.entry(region).or_insert_with(|| buried.clone());
        known.peer = known.peer.max(buried.peer);
        self.fates.remove(&region);
        if known.conf_ver < buried.conf_ver {
            (known.conf_ver, known.members) = (buried.conf_ver, buried.members);
        }
    }
}

fn as_range(range: &(Bytes, Bytes)) -> KeyRange<'_> {
    KeyRange::new(&range.0, &range.1)
}

/// Whether some key can lie in both.
fn overlap(one: KeyRange<'_>, other: KeyRange<'_>) -> bool {
    let before = |end: &[u8], start: &[u8]| !end.is_empty() && end <= start;
    !before(one.end, other.start) && !before(other.end, one.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(gates: &Gates, region: u64, start: &str, end: &str) -> bool {
        let key = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        gates.admit(RegionId(region), &key(start), &key(end))
    }

    #[test]
    fn peers_of_an_earlier_directory_are_as_dead_as_removed_ones() {
        let gates = Gates::new(StoreId(1));
        assert_eq!(gates.buried(RegionId(1)), None);
        gates.bury_up_to(PeerId(50));
        let peer = |region| gates.buried(RegionId(region)).map(|buried| buried.peer);
        assert_eq!(peer(1), Some(PeerId(50)));
        let member = nokv_proto::metapb::Peer { id: 60, store_id: 1, ..Default::default() };
        gates.bury(&Region { id: 2, peers: vec![member], ..Region::default() }, StoreId(1));
        assert_eq!((peer(1), peer(2)), (Some(PeerId(50)), Some(PeerId(60))));
    }

    #[test]
    fn what_comes_and_what_leaves_keeps_its_range_to_itself() {
        let gates = Gates::new(StoreId(1));
        assert!(admits(&gates, 1, "b", "d"));
        assert!(admits(&gates, 1, "b", "e"), "the same region may change its mind");
        assert!(!admits(&gates, 2, "d", ""));
        assert!(admits(&gates, 2, "e", ""));
        assert!(!admits(&gates, 3, "x", "y"));
        assert!(admits(&gates, 3, "", "b"));
        let region = Region {
            id: 1,
            start_key: Bytes::from_static(b"b"),
            end_key: Bytes::from_static(b"e"),
            ..Region::default()
        };
        gates.leave(&region, PeerId(11));
        assert!(!admits(&gates, 1, "b", "c"), "its own old data is still there");
        assert!(!admits(&gates, 4, "c", "d"));
        gates.cleared(RegionId(1));
        assert!(admits(&gates, 4, "c", "d"));
        assert_eq!(gates.buried(RegionId(1)), Some(Buried { peer: PeerId(11), conf_ver: 0, members: Vec::new() }));
    }
}
