//! The regions as the log entries of all of them say, followed from outside: a small model of what applying does to a
//! region's range and members, merges included, fed with every entry that any replica is about to apply for the first
//! time. It knows nothing of the code under test but how entries are read.

use std::collections::{BTreeMap, BTreeSet};

use nokv_proto::metapb::{Peer, PeerRole, Region, RegionEpoch};
use nokv_raftstore::RegionExt as _;
use nokv_raftstore::entry::{Payload, decode_members_context};
use nokv_raftstore::merge::Source;
use nokv_raftstore::records::INITIAL_INDEX;
use nokv_transport::{PeerId, RegionId, StoreId};
use parking_lot::Mutex;
use raft::eraftpb::{Entry, EntryType};

use crate::invariants::tiles;

/// All regions of a run.
#[derive(Debug)]
pub struct Atlas {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    regions: BTreeMap<RegionId, Known>,
    /// Every peer that ever was, and where.
    peers: BTreeMap<PeerId, (RegionId, StoreId)>,
    /// The entries that removed peers.
    removed: BTreeMap<PeerId, u64>,
    /// Regions and peers whose coming was refused: they must never come.
    refused: BTreeSet<u64>,
    /// Merges that were refused: they must never be.
    merges_refused: BTreeSet<Merge>,
}

#[derive(Debug)]
struct Known {
    region: Region,
    /// The last entry that a replica applied.
    applied: u64,
    /// The region with each of its memberships and ranges, from the entry on that made it so.
    memberships: Vec<(u64, Region)>,
    /// It is to be merged.
    frozen: Option<Frozen>,
    /// Into what it was merged: it is no region any more, though replicas may have some of its entries to apply yet.
    merged: Option<RegionId>,
}

/// What froze a region.
#[derive(Clone, Debug, PartialEq)]
struct Frozen {
    /// The entry.
    commit: u64,
    /// The merge that it began.
    merge: Merge,
    /// The target, and the epoch in which alone it may take the region.
    target: (RegionId, RegionEpoch),
}

/// A merge: the region and its version, the target and both parts of its epoch.
pub type Merge = (RegionId, u64, RegionId, (u64, u64));

/// What is merged if one region in this epoch is merged into another in that.
pub fn merge_of(source: RegionId, from: RegionEpoch, target: RegionId, into: RegionEpoch) -> Merge {
    (source, from.version, target, (into.version, into.conf_ver))
}

impl Known {
    fn new(region: &Region) -> Self {
        let memberships = vec![(INITIAL_INDEX, region.clone())];
        Known { region: region.clone(), applied: INITIAL_INDEX, memberships, frozen: None, merged: None }
    }

    fn becomes(&mut self, index: u64, region: Region) -> Result<(), String> {
        check_rises(self.region.epoch(), region.epoch(), region.region_id())?;
        self.memberships.push((index, region.clone()));
        self.region = region;
        Ok(())
    }
}

impl Atlas {
    /// The first day.
    pub fn new(regions: &[Region]) -> Self {
        let known = regions.iter().map(|region| (region.region_id(), Known::new(region))).collect();
        let peers = regions.iter().flat_map(|region| peers_of(region).collect::<Vec<_>>()).collect();
        Atlas { state: Mutex::new(State { regions: known, peers, ..State::default() }) }
    }

    /// The regions that there are, by id.
    pub fn current(&self) -> Vec<Region> {
        self.state.lock().live().map(|known| known.region.clone()).collect()
    }

    /// One of them.
    pub fn region(&self, id: RegionId) -> Option<Region> {
        let state = self.state.lock();
        state.regions.get(&id).filter(|known| known.merged.is_none()).map(|known| known.region.clone())
    }

    /// Into what a region was merged, if it was.
    pub fn merged_into(&self, id: RegionId) -> Option<RegionId> {
        self.state.lock().regions.get(&id)?.merged
    }

    /// The regions that wait for being merged or not.
    pub fn frozen(&self) -> Vec<RegionId> {
        let state = self.state.lock();
        state.live().filter(|known| known.frozen.is_some()).map(|known| known.region.region_id()).collect()
    }

    /// How many regions were merged into others so far.
    pub fn merges(&self) -> u64 {
        self.state.lock().regions.values().filter(|known| known.merged.is_some()).count() as u64
    }

    /// Whether there ever was such a peer.
    pub fn knows_peer(&self, peer: PeerId) -> bool {
        self.state.lock().peers.contains_key(&peer)
    }

    /// The entry that removed a peer, if one did.
    pub fn removed_at(&self, peer: PeerId) -> Option<u64> {
        self.state.lock().removed.get(&peer).copied()
    }

    /// The region as each of the entries from `first` to `last` finds it.
    pub fn during(&self, region: RegionId, first: u64, last: u64) -> Vec<Region> {
        let state = self.state.lock();
        let Some(known) = state.regions.get(&region) else { return Vec::new() };
        let before = known.memberships.iter().rposition(|(from, _)| *from < first.max(INITIAL_INDEX + 1)).unwrap_or(0);
        let until = known.memberships.iter().skip(before).take_while(|(from, _)| *from < last.max(INITIAL_INDEX + 1));
        until.map(|(_, region)| region.clone()).collect()
    }

    /// The entry by which a region came to have the members that it has now.
    pub fn members_since(&self, region: RegionId) -> u64 {
        let state = self.state.lock();
        let Some(known) = state.regions.get(&region) else { return 0 };
        let now = known.region.epoch().conf_ver;
        let first = known.memberships.iter().find(|(_, region)| region.epoch().conf_ver == now);
        first.map_or(0, |(from, _)| *from)
    }

    /// The memberships by one of which the entry at `index` may have been counted as committed, or was confirmed since:
    /// that of the last change before it, the one before that (a leader counts by a change when it has applied it), and
    /// all later ones.
    pub fn memberships(&self, region: RegionId, index: u64) -> Vec<Region> {
        let state = self.state.lock();
        let Some(known) = state.regions.get(&region) else { return Vec::new() };
        let last_before = known.memberships.iter().rposition(|(from, _)| *from <= index).unwrap_or(0);
        let members = |(_, region): &(u64, Region)| region.epoch().conf_ver;
        let last = known.memberships.get(last_before).map_or(0, members);
        // Splits and merges leave the members as they are, and may lie between.
        let before = known.memberships.iter().take(last_before).rposition(|it| members(it) != last);
        known.memberships.iter().skip(before.unwrap_or(0)).map(|(_, region)| region.clone()).collect()
    }

    /// Replicas are about to apply `entries` of a region. Those that are new are followed here.
    ///
    /// # Errors
    /// What these entries must not do to the regions.
    pub fn applies(&self, region: RegionId, entries: &[Entry]) -> Result<(), String> {
        let mut state = self.state.lock();
        for entry in entries {
            let known = state.regions.get_mut(&region).ok_or_else(|| format!("region {region} came from nowhere"))?;
            if entry.index <= known.applied {
                continue;
            }
            if entry.index != known.applied + 1 {
                return Err(format!("nobody applied what is before entry {} of region {region}", entry.index));
            }
            known.applied = entry.index;
            match Change::of(entry, known) {
                None => {}
                Some(Change::Members(after)) => state.change_members(region, entry.index, after)?,
                Some(Change::Split(parts)) => state.split(region, entry.index, parts)?,
                Some(Change::Freeze(frozen)) => {
                    known.becomes(entry.index, newer(&known.region))?;
                    known.frozen = Some(frozen);
                }
                Some(Change::Thaw) => {
                    if let Some(target) = known.merged {
                        return Err(format!("region {region} was merged into {target}, and goes back"));
                    }
                    known.becomes(entry.index, newer(&known.region))?;
                    known.frozen = None;
                }
                Some(Change::Take(epoch, source)) => state.take(region, entry.index, epoch, &source)?,
            }
        }
        Ok(())
    }

    /// Somebody asks for a merge, perhaps once more: it may come about.
    pub fn ask_merge(&self, merge: Merge) {
        self.state.lock().merges_refused.remove(&merge);
    }

    /// Somebody was told that a merge does not come about.
    ///
    /// # Errors
    /// It did.
    pub fn refuse_merge(&self, merge: Merge) -> Result<(), String> {
        let mut state = self.state.lock();
        state.merges_refused.insert(merge);
        state.check_merge_not_refused(merge.0)
    }

    /// Somebody was told that a region or peer of this id does not come into being.
    ///
    /// # Errors
    /// It did.
    pub fn refuse(&self, id: u64) -> Result<(), String> {
        let mut state = self.state.lock();
        state.refused.insert(id);
        state.check_not_refused(id)
    }
}

impl State {
    fn change_members(&mut self, id: RegionId, index: u64, after: Region) -> Result<(), String> {
        let Some(known) = self.regions.get_mut(&id) else { return Ok(()) };
        let before = known.region.clone();
        if before.range() != after.range() || before.epoch().version != after.epoch().version {
            return Err(format!("a change of members made {after:?} of {before:?}"));
        }
        known.becomes(index, after.clone())?;
        let gone = before.peers.iter().filter(|peer| after.peer(PeerId(peer.id)).is_none());
        self.removed.extend(gone.map(|peer| (PeerId(peer.id), index)));
        self.come(after.peers.iter().filter(|peer| before.peer(PeerId(peer.id)).is_none()), id)
    }

    fn split(&mut self, id: RegionId, index: u64, parts: Vec<Region>) -> Result<(), String> {
        let Some((first, new)) = parts.split_first() else { return Err(format!("region {id} was split into nothing")) };
        if let Some(known) = self.regions.get_mut(&id) {
            known.becomes(index, first.clone())?;
        }
        for region in new {
            if self.regions.insert(region.region_id(), Known::new(region)).is_some() {
                return Err(format!("region {id} was split, and region {} was there before", region.id));
            }
            self.check_not_refused(region.id)?;
            self.come(region.peers.iter(), region.region_id())?;
        }
        tiles(self.live().map(|known| &known.region))
    }

    /// Region `id`, which has `epoch`, takes a neighbour over.
    fn take(&mut self, id: RegionId, index: u64, epoch: RegionEpoch, source: &Source) -> Result<(), String> {
        let source_id = source.region.region_id();
        let known = self.regions.get_mut(&source_id).ok_or_else(|| format!("region {source_id} is to be merged"))?;
        let waits = known
            .frozen
            .as_ref()
            .filter(|frozen| frozen.commit == source.commit && frozen.target == (id, epoch) && known.merged.is_none());
        if waits.is_none() || known.region != source.region {
            return Err(format!("region {id} takes {:?} over, which is {known:?}", source.region));
        }
        known.merged = Some(id);
        if let Some(target) = self.regions.get_mut(&id) {
            let union = union(&source.region, &target.region).ok_or("those that are merged were neighbours")?;
            target.becomes(index, union)?;
        }
        self.check_merge_not_refused(source_id)?;
        tiles(self.live().map(|known| &known.region))
    }

    fn live(&self) -> impl Iterator<Item = &Known> {
        self.regions.values().filter(|known| known.merged.is_none())
    }

    fn check_merge_not_refused(&self, source: RegionId) -> Result<(), String> {
        let merged = self.regions.get(&source).filter(|known| known.merged.is_some());
        match merged.and_then(|known| known.frozen.as_ref()) {
            Some(frozen) if self.merges_refused.contains(&frozen.merge) => {
                Err(format!("the merge of region {source} was refused and came about"))
            }
            _ => Ok(()),
        }
    }

    fn come<'a>(&mut self, peers: impl Iterator<Item = &'a Peer>, region: RegionId) -> Result<(), String> {
        for peer in peers {
            let (id, store) = (PeerId(peer.id), StoreId(peer.store_id));
            if let Some((other, there)) = self.peers.insert(id, (region, store)) {
                return Err(format!("peer {id} of region {region} was one of region {other} on store {there} before"));
            }
            self.check_not_refused(peer.id)?;
        }
        Ok(())
    }

    fn check_not_refused(&self, id: u64) -> Result<(), String> {
        let came = self.regions.contains_key(&RegionId(id)) || self.peers.contains_key(&PeerId(id));
        if came && self.refused.contains(&id) { Err(format!("{id} was refused and came")) } else { Ok(()) }
    }
}

fn peers_of(region: &Region) -> impl Iterator<Item = (PeerId, (RegionId, StoreId))> {
    let id = region.region_id();
    region.peers.iter().map(move |peer| (PeerId(peer.id), (id, StoreId(peer.store_id))))
}

fn check_rises(before: RegionEpoch, after: RegionEpoch, region: RegionId) -> Result<(), String> {
    let falls = after.version < before.version || after.conf_ver < before.conf_ver || after == before;
    if falls { Err(format!("region {region} went from {before:?} to {after:?}")) } else { Ok(()) }
}

/// A region that is frozen, or goes back.
fn newer(region: &Region) -> Region {
    let epoch = region.epoch();
    Region { region_epoch: Some(RegionEpoch { version: epoch.version + 1, ..epoch }), ..region.clone() }
}

/// What a region becomes that takes a neighbour over.
fn union(source: &Region, target: &Region) -> Option<Region> {
    let mut union = target.clone();
    if target.start_key == source.end_key && !source.end_key.is_empty() {
        union.start_key = source.start_key.clone();
    } else if source.start_key == target.end_key && !target.end_key.is_empty() {
        union.end_key = source.end_key.clone();
    } else {
        return None;
    }
    let version = source.epoch().version.max(target.epoch().version) + 1;
    union.region_epoch = Some(RegionEpoch { version, ..target.epoch() });
    Some(union)
}

/// Whether both have the same members, none of whom is on the way in or out.
pub fn have_same_members(one: &Region, other: &Region) -> bool {
    let members = |region: &Region| -> BTreeSet<(u64, i32)> {
        region.peers.iter().map(|peer| (peer.store_id, peer.role)).collect()
    };
    let is_plain = |peer: &Peer| matches!(peer.role(), PeerRole::Voter | PeerRole::Learner);
    members(one) == members(other) && one.peers.iter().all(is_plain)
}

enum Change {
    Members(Region),
    Split(Vec<Region>),
    Freeze(Frozen),
    Thaw,
    Take(RegionEpoch, Source),
}

impl Change {
    /// What an entry does to a region; nothing if it was decided under another epoch, or if the region is frozen.
    fn of(entry: &Entry, known: &Known) -> Option<Change> {
        let (region, frozen) = (&known.region, known.frozen.as_ref());
        if entry.get_entry_type() != EntryType::EntryNormal {
            let (epoch, after) = decode_members_context(&entry.context)?;
            return (epoch == region.epoch() && frozen.is_none()).then_some(Change::Members(after));
        }
        match Payload::decode(&entry.data)? {
            Payload::RollbackMerge { commit } => frozen.filter(|it| it.commit == commit).map(|_| Change::Thaw),
            _ if frozen.is_some() => None,
            Payload::Split { epoch, regions } if epoch == region.epoch() => Some(Change::Split(regions)),
            Payload::PrepareMerge { epoch, target, .. }
                if epoch == region.epoch()
                    && union(region, &target).is_some()
                    && have_same_members(region, &target) =>
            {
                let merge = merge_of(region.region_id(), epoch, target.region_id(), target.epoch());
                let target = (target.region_id(), target.epoch());
                Some(Change::Freeze(Frozen { commit: entry.index, merge, target }))
            }
            Payload::CommitMerge { epoch, source }
                if epoch == region.epoch() && union(&source.region, region).is_some() =>
            {
                Some(Change::Take(epoch, source))
            }
            _ => None,
        }
    }
}

/// Whether the stores of `holders` are a quorum of `region`: of both its halves while it goes from one to the other.
pub fn is_quorum(region: &Region, holders: &BTreeSet<StoreId>) -> bool {
    [PeerRole::DemotingVoter, PeerRole::IncomingVoter].iter().all(|left_out| {
        let votes = |peer: &&Peer| peer.role() != PeerRole::Learner && peer.role() != *left_out;
        let voters: Vec<&Peer> = region.peers.iter().filter(votes).collect();
        let have = voters.iter().filter(|peer| holders.contains(&StoreId(peer.store_id))).count();
        have * 2 > voters.len()
    })
}

#[cfg(test)]
mod tests {
    use nokv_raftstore::entry::{commit_merge, members_context, prepare_merge, rollback_merge, split};

    use super::*;

    fn region(id: u64, start: &'static str, end: &'static str, version: u64, peers: &[u64]) -> Region {
        Region {
            id,
            start_key: start.as_bytes().into(),
            end_key: end.as_bytes().into(),
            region_epoch: Some(RegionEpoch { conf_ver: 1, version }),
            peers: peers.iter().map(|peer| Peer { id: *peer, store_id: peer % 10, ..Peer::default() }).collect(),
            ..Region::default()
        }
    }

    fn split_entry(index: u64, parts: &[Region]) -> Entry {
        let mut entry = Entry { index, ..Entry::default() };
        entry.data = split(RegionEpoch { conf_ver: 1, version: 1 }, parts).into();
        entry
    }

    fn atlas() -> Atlas {
        Atlas::new(&[region(1, "", "", 1, &[11, 12, 13])])
    }

    #[test]
    fn a_split_is_followed_once_and_ids_are_new() {
        let (left, right) = (region(1, "", "m", 2, &[11, 12, 13]), region(2, "m", "", 2, &[21, 22, 23]));
        let entry = split_entry(6, &[left.clone(), right.clone()]);
        let world = atlas();
        assert_eq!(world.applies(RegionId(1), std::slice::from_ref(&entry)), Ok(()));
        assert_eq!(world.applies(RegionId(1), &[entry]), Ok(()), "another replica");
        assert_eq!(world.current(), [left.clone(), right.clone()]);
        let late = split_entry(7, &[left.clone(), right.clone()]);
        assert_eq!(world.applies(RegionId(1), &[late]), Ok(()), "decided under an old epoch: nothing happens");
        assert!(world.refuse(2).is_err(), "refused, and there");
        let gap = split_entry(6, &[left.clone(), region(3, "n", "", 2, &[31, 32, 33])]);
        assert!(atlas().applies(RegionId(1), &[gap]).is_err(), "a gap between m and n");
        let again = split_entry(6, &[left.clone(), region(2, "m", "", 2, &[21, 12, 23])]);
        assert!(atlas().applies(RegionId(1), &[again]).is_err(), "peer 12 was there before");
        assert!(atlas().applies(RegionId(1), &[split_entry(8, &[left, right])]).is_err(), "6 and 7 were not applied");
    }

    fn entry(index: u64, data: Vec<u8>) -> Entry {
        Entry { index, data: data.into(), ..Entry::default() }
    }

    /// A world of two regions, the first of which is frozen to be merged into the second.
    fn frozen() -> (Atlas, Region, Source) {
        let (left, right) = (region(1, "", "m", 4, &[11, 12, 13]), region(2, "m", "", 2, &[21, 22, 23]));
        let world = Atlas::new(&[left.clone(), right.clone()]);
        let prepare = entry(6, prepare_merge(left.epoch(), 6, &right));
        assert_eq!(world.applies(RegionId(1), &[prepare]), Ok(()));
        assert_eq!(world.frozen(), [RegionId(1)]);
        let source = Source { region: newer(&left), commit: 6, before_term: 5, entries: Vec::new() };
        (world, right, source)
    }

    #[test]
    fn a_merge_is_followed_and_never_goes_back() {
        let (world, right, source) = frozen();
        let late = entry(7, split(newer(&source.region).epoch(), &[]));
        assert_eq!(world.applies(RegionId(1), &[late]), Ok(()), "what is frozen refuses");
        let take = entry(6, commit_merge(right.epoch(), &source));
        assert_eq!(world.applies(RegionId(2), std::slice::from_ref(&take)), Ok(()));
        assert_eq!(world.current(), [region(2, "", "", 6, &[21, 22, 23])]);
        assert_eq!((world.merged_into(RegionId(1)), world.merges()), (Some(RegionId(2)), 1));
        assert_eq!(world.during(RegionId(2), 6, 6).len(), 1);
        assert_eq!(world.during(RegionId(2), 6, 7).len(), 2);
        let merge = |version| (RegionId(1), version, RegionId(2), (2, 1));
        assert_eq!(world.refuse_merge(merge(5)), Ok(()), "another one");
        assert!(world.refuse_merge(merge(4)).is_err(), "refused, and came about");
        assert!(world.applies(RegionId(1), &[entry(8, rollback_merge(6))]).is_err(), "merged, and back");
    }

    #[test]
    fn only_what_waits_is_taken() {
        let (world, right, source) = frozen();
        assert_eq!(world.applies(RegionId(1), &[entry(7, rollback_merge(6))]), Ok(()));
        let take = || entry(6, commit_merge(right.epoch(), &source));
        assert!(world.applies(RegionId(2), &[take()]).is_err(), "it went back");
        let (world, right, source) = frozen();
        let other = Source { commit: 5, ..source };
        assert!(world.applies(RegionId(2), &[entry(6, commit_merge(right.epoch(), &other))]).is_err());
        let (world, right, source) = frozen();
        let old = RegionEpoch { version: 1, ..right.epoch() };
        assert_eq!(world.applies(RegionId(2), &[entry(6, commit_merge(old, &source))]), Ok(()), "counts for nothing");
        assert_eq!(world.merges(), 0);
    }

    #[test]
    fn quorums_are_those_of_the_memberships_around_an_entry() {
        let world = atlas();
        let mut after = region(1, "", "", 1, &[11, 12, 14]);
        after.region_epoch = Some(RegionEpoch { conf_ver: 2, version: 1 });
        let mut entry = Entry { index: 6, ..Entry::default() };
        entry.set_entry_type(EntryType::EntryConfChangeV2);
        entry.context = members_context(RegionEpoch { conf_ver: 1, version: 1 }, &after).into();
        assert_eq!(world.applies(RegionId(1), &[entry]), Ok(()));
        assert_eq!(world.memberships(RegionId(1), 5).len(), 2);
        let of_three: BTreeSet<StoreId> = [StoreId(1), StoreId(4)].into();
        assert!(is_quorum(&after, &of_three));
        assert!(!is_quorum(&region(1, "", "", 1, &[11, 12, 13]), &of_three));
    }

    #[test]
    fn in_between_both_halves_must_agree() {
        let mut joint = region(1, "", "", 1, &[11, 12, 13, 14]);
        joint.peers.iter_mut().filter(|peer| peer.id == 13).for_each(|peer| peer.set_role(PeerRole::DemotingVoter));
        joint.peers.iter_mut().filter(|peer| peer.id == 14).for_each(|peer| peer.set_role(PeerRole::IncomingVoter));
        let stores = |ids: &[u64]| ids.iter().map(|id| StoreId(*id)).collect::<BTreeSet<_>>();
        assert!(is_quorum(&joint, &stores(&[1, 2])));
        assert!(!is_quorum(&joint, &stores(&[1, 3])));
        assert!(!is_quorum(&joint, &stores(&[1, 4])));
        assert!(is_quorum(&joint, &stores(&[1, 3, 4])));
    }
}
