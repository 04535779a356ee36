//! A region becomes several: the leader proposes the outcome, and every replica changes when it applies it.
//!
//! From the moment the entry is committed until it is applied here, the lease is no good: another store may have
//! applied it already and lead a new region, whose keys this gate still shows as ours. So the gate closes before any
//! message of the round in which the commit is learned leaves (the other stores learn it from these messages, or from a
//! later leader, whose election the lease excludes).

use std::sync::Arc;

use bytes::Bytes;
use nokv_proto::metapb::{Peer as Member, Region, RegionEpoch};
use nokv_transport::PeerId;
use raft::eraftpb::Entry;

use super::Peer;
use crate::apply::InFlight;
use crate::entry::{changes_range, split};
use crate::gate::GateState;
use crate::message::{NewRegion, SplitRequest, Waiter};
use crate::{RegionError, RegionExt, StoreError};

impl Peer {
    /// Takes a split in, or tells its waiter at once why not. It is done when it is applied here.
    pub fn propose_split(&mut self, request: &SplitRequest, waiter: Waiter) {
        let proposed = self.check_split(request).and_then(|regions| {
            let data = split(self.region.epoch(), &regions);
            self.raw.propose(Vec::new(), data).map_err(|_| self.why_dropped())
        });
        match proposed {
            Ok(()) => {
                let index = self.raw.raft.raft_log.last_index();
                self.in_flight.push_back(InFlight { index, term: self.term(), waiters: vec![waiter] });
                // The new regions' leader campaigns as soon as they are born here; their other peers should be, too.
                self.announce_commits_until(index);
            }
            Err(error) => waiter.tell(Err(error)),
        }
    }

    /// The regions that it would become.
    fn check_split(&mut self, request: &SplitRequest) -> Result<Vec<Region>, RegionError> {
        self.observe();
        if !self.leads() {
            return Err(self.not_leader());
        }
        self.check_not_merging()?;
        if request.epoch != self.region.epoch() {
            return Err(RegionError::EpochNotMatch { current: vec![self.region.as_ref().clone()] });
        }
        let mut previous = &self.region.start_key;
        for new in &request.new {
            self.region.check_key(&new.start_key)?;
            if new.start_key <= *previous {
                return Err(RegionError::KeyNotInRegion {
                    key: new.start_key.clone(),
                    region: self.region_id(),
                    start_key: previous.clone(),
                    end_key: self.region.end_key.clone(),
                });
            }
            previous = &new.start_key;
        }
        self.regions_after(&request.new)
    }

    fn regions_after(&self, new: &[NewRegion]) -> Result<Vec<Region>, RegionError> {
        let epoch = self.region.epoch();
        let version = epoch.version + new.len() as u64;
        let ends: Vec<Bytes> =
            new.iter().map(|new| new.start_key.clone()).chain([self.region.end_key.clone()]).collect();
        let mut regions = vec![Region::clone(&self.region)];
        for new in new {
            if new.peer_ids.len() != self.region.peers.len() {
                let reason = format!("a split of region {} needs {} peer ids", self.region.id, self.region.peers.len());
                return Err(RegionError::ServerIsBusy { reason, backoff_ms: 1_000 });
            }
            let members = self.region.peers.iter().zip(&new.peer_ids);
            let reuses = nokv_engine::is_planted("use the parent's peer ids again");
            let peers = members.map(|(member, id)| Member { id: if reuses { member.id } else { id.0 }, ..*member });
            let peers = peers.collect();
            let start_key = new.start_key.clone();
            regions.push(Region { id: new.id.0, start_key, peers, ..Region::clone(&self.region) });
        }
        for (region, end) in regions.iter_mut().zip(ends) {
            region.end_key = end;
            region.region_epoch = Some(RegionEpoch { version, ..epoch });
        }
        Ok(regions)
    }

    /// Entries are committed: if one of them changes the range, the gate stays closed until it is applied.
    pub(super) fn close_for_range_change(&mut self, entries: &[Entry]) {
        if nokv_engine::is_planted("keep the lease through a split") {
            return;
        }
        if let Some(entry) = entries.iter().rev().find(|entry| changes_range(&entry.data)) {
            self.closed_until = entry.index;
            self.publish_lease();
        }
    }

    /// The region was changed by an applied entry.
    pub fn set_region(&mut self, region: Region) {
        if self.region.range() != region.range() {
            self.gate.size().forget();
            self.gate.load().forget_keys();
        }
        self.region = Arc::new(region);
        if let Some(me) = self.region.peer(PeerId(self.me.id)) {
            self.me = *me;
        }
        let region = self.region.clone();
        self.guests.retain(|guest| region.peer(PeerId(guest.id)).is_none());
        let seen = self.gate.state();
        let state = GateState { region, peer: self.me, ..GateState::clone(&seen) };
        drop(seen);
        self.gate.set_state(state);
        self.publish_lease();
    }

    /// Another region was born of this one. The store collects from both in the same round.
    pub fn has_given_birth(&mut self) {
        self.gave_birth = true;
    }

    /// Campaigns without waiting for the timeout, as the new region's peer on the store that led its parent.
    ///
    /// # Errors
    /// If raft cannot.
    pub fn campaign(&mut self) -> Result<(), StoreError> {
        self.raw.campaign().map_err(|error| StoreError::Raft { region: self.region_id(), reason: error.to_string() })
    }
}
