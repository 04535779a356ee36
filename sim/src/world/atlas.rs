//! The regions as the log entries of all of them say, followed from outside: a small model of what applying does to a
//! region's range and members, fed with every entry that any replica is about to apply for the first time. It knows
//! nothing of the code under test but how entries are read.

use std::collections::{BTreeMap, BTreeSet};

use nokv_proto::metapb::{Peer, PeerRole, Region, RegionEpoch};
use nokv_raftstore::RegionExt as _;
use nokv_raftstore::entry::{Payload, decode_members_context};
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
}

#[derive(Debug)]
struct Known {
    region: Region,
    /// The last entry that a replica applied.
    applied: u64,
    /// The region with each of its memberships and ranges, from the entry on that made it so.
    memberships: Vec<(u64, Region)>,
}

impl Known {
    fn new(region: &Region) -> Self {
        Known { region: region.clone(), applied: INITIAL_INDEX, memberships: vec![(INITIAL_INDEX, region.clone())] }
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
        self.state.lock().regions.values().map(|known| known.region.clone()).collect()
    }

    /// One of them.
    pub fn region(&self, id: RegionId) -> Option<Region> {
        self.state.lock().regions.get(&id).map(|known| known.region.clone())
    }

    /// Whether there ever was such a peer.
    pub fn knows_peer(&self, peer: PeerId) -> bool {
        self.state.lock().peers.contains_key(&peer)
    }

    /// The entry that removed a peer, if one did.
    pub fn removed_at(&self, peer: PeerId) -> Option<u64> {
        self.state.lock().removed.get(&peer).copied()
    }

    /// The region as it is when everything before the entry at `index` is applied.
    pub fn before(&self, region: RegionId, index: u64) -> Option<Region> {
        let state = self.state.lock();
        let known = state.regions.get(&region)?;
        known
            .memberships
            .iter()
            .rfind(|(from, _)| *from < index.max(INITIAL_INDEX + 1))
            .map(|(_, region)| region.clone())
    }

    /// The memberships by one of which the entry at `index` may have been counted as committed, or was confirmed since:
    /// that of the last change before it, the one before that (a leader counts by a change when it has applied it), and
    /// all later ones.
    pub fn memberships(&self, region: RegionId, index: u64) -> Vec<Region> {
        let state = self.state.lock();
        let Some(known) = state.regions.get(&region) else { return Vec::new() };
        let last_before = known.memberships.iter().rposition(|(from, _)| *from <= index).unwrap_or(0);
        known.memberships.iter().skip(last_before.saturating_sub(1)).map(|(_, region)| region.clone()).collect()
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
            match Change::of(entry, &known.region) {
                None => {}
                Some(Change::Members(after)) => state.change_members(region, entry.index, after)?,
                Some(Change::Split(parts)) => state.split(region, entry.index, parts)?,
            }
        }
        Ok(())
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
        let before = std::mem::replace(&mut known.region, after.clone());
        known.memberships.push((index, after.clone()));
        if before.range() != after.range() || before.epoch().version != after.epoch().version {
            return Err(format!("a change of members made {after:?} of {before:?}"));
        }
        check_rises(before.epoch(), after.epoch(), id)?;
        let gone = before.peers.iter().filter(|peer| after.peer(PeerId(peer.id)).is_none());
        self.removed.extend(gone.map(|peer| (PeerId(peer.id), index)));
        self.come(after.peers.iter().filter(|peer| before.peer(PeerId(peer.id)).is_none()), id)
    }

    fn split(&mut self, id: RegionId, index: u64, parts: Vec<Region>) -> Result<(), String> {
        let Some((first, new)) = parts.split_first() else { return Err(format!("region {id} was split into nothing")) };
        if let Some(known) = self.regions.get_mut(&id) {
            check_rises(known.region.epoch(), first.epoch(), id)?;
            known.region = first.clone();
            known.memberships.push((index, first.clone()));
        }
        for region in new {
            if self.regions.insert(region.region_id(), Known::new(region)).is_some() {
                return Err(format!("region {id} was split, and region {} was there before", region.id));
            }
            self.check_not_refused(region.id)?;
            self.come(region.peers.iter(), region.region_id())?;
        }
        tiles(self.regions.values().map(|known| &known.region))
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

enum Change {
    Members(Region),
    Split(Vec<Region>),
}

impl Change {
    /// What an entry does to a region; nothing if it was decided under another epoch.
    fn of(entry: &Entry, region: &Region) -> Option<Change> {
        if entry.get_entry_type() != EntryType::EntryNormal {
            let (epoch, after) = decode_members_context(&entry.context)?;
            return (epoch == region.epoch()).then_some(Change::Members(after));
        }
        match Payload::decode(&entry.data)? {
            Payload::Split { epoch, regions } if epoch == region.epoch() => Some(Change::Split(regions)),
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
    use nokv_raftstore::entry::{members_context, split};

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
