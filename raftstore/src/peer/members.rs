//! A region gets other members: one at a time, or several by joint consensus, which the leader leaves again by itself.
//! What raft would refuse in silence is refused here with a reason.

use nokv_engine::is_planted;
use nokv_proto::metapb::{Peer as Member, PeerRole, Region, RegionEpoch};
use nokv_proto::raft_serverpb::RaftMessage;
use nokv_transport::{PeerId, StoreId};
use raft::ProgressState;
use raft::eraftpb::{ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2};

use super::Peer;
use crate::apply::InFlight;
use crate::entry::members_context;
use crate::message::{MemberChange, MembersRequest, Waiter};
use crate::{RegionError, RegionExt, StoreError};

impl Peer {
    /// Takes a change of members in, or tells its waiter at once why not. It is done when it is applied here.
    pub fn propose_members(&mut self, request: &MembersRequest, waiter: Waiter) {
        let proposed = self.check_members(request).and_then(|region| {
            let change = raft_change(&request.changes);
            self.propose_change(&change, &region)
        });
        match proposed {
            Ok(index) => {
                self.in_flight.push_back(InFlight { index, term: self.term(), waiters: vec![waiter] });
            }
            Err(error) => waiter.tell(Err(error)),
        }
    }

    /// Leaves the joint state, as a leader does as soon as it can.
    pub(super) fn leave_joint(&mut self) {
        if !self.leads() || !is_joint(&self.region) || self.why_no_change().is_some() {
            return;
        }
        let mut region = Region::clone(&self.region);
        for peer in &mut region.peers {
            match peer.role() {
                PeerRole::IncomingVoter => peer.set_role(PeerRole::Voter),
                PeerRole::DemotingVoter => peer.set_role(PeerRole::Learner),
                PeerRole::Voter | PeerRole::Learner => {}
            }
        }
        region.region_epoch = Some(RegionEpoch { conf_ver: region.epoch().conf_ver + 1, ..region.epoch() });
        // If it is dropped, the next tick proposes it again.
        let _ = self.propose_change(&ConfChangeV2::default(), &region);
    }

    fn propose_change(&mut self, change: &ConfChangeV2, region: &Region) -> Result<u64, RegionError> {
        let context = members_context(self.region.epoch(), region);
        self.raw.propose_conf_change(context, change.clone()).map_err(|_| self.why_dropped())?;
        if is_planted("count by a change before it is applied") {
            // Where raft refuses, the mistake has no effect.
            let _ = self.raw.apply_conf_change(change);
        }
        Ok(self.raw.raft.raft_log.last_index())
    }

    pub(super) fn why_no_change(&self) -> Option<&'static str> {
        if self.raw.raft.lead_transferee.is_some() {
            return Some("its leader hands over; ask the new one");
        }
        self.raw.raft.has_pending_conf().then_some("another change is under way; try again when it is done")
    }

    fn check_members(&mut self, request: &MembersRequest) -> Result<Region, RegionError> {
        self.observe();
        if !self.leads() {
            return Err(self.not_leader());
        }
        self.check_not_merging()?;
        if request.epoch != self.region.epoch() {
            return Err(RegionError::EpochNotMatch { current: vec![self.region.as_ref().clone()] });
        }
        let refuse = |reason: &str| RegionError::MembersRefused { region: self.region_id(), reason: reason.to_owned() };
        if let Some(reason) = self.why_no_change() {
            return Err(refuse(reason));
        }
        if is_joint(&self.region) {
            return Err(refuse("another change is under way; try again when it is done"));
        }
        let me = PeerId(if is_planted("a removed leader goes on") { 0 } else { self.me.id });
        if request
            .changes
            .iter()
            .any(|c| matches!(c, MemberChange::Remove(peer) | MemberChange::Demote(peer) if *peer == me))
        {
            return Err(refuse("the peer leads; transfer the leadership first"));
        }
        let region = region_after(&self.region, &request.changes, request.forced).map_err(refuse)?;
        if !request.forced {
            self.check_promoted(&request.changes).and_then(|()| self.check_quorum(&region)).map_err(refuse)?;
        }
        Ok(region)
    }

    /// A learner becomes a voter only when it is fed from the log: until then it could not stand in for another.
    fn check_promoted(&self, changes: &[MemberChange]) -> Result<(), &'static str> {
        for change in changes {
            let MemberChange::AddVoter { peer, .. } = change else { continue };
            let progress = self.raw.raft.prs().get(peer.0);
            if !progress.is_some_and(|progress| progress.state == ProgressState::Replicate && progress.matched > 0) {
                return Err("the learner has not caught up; try again later, or force it");
            }
        }
        Ok(())
    }

    /// Of every set of voters that will decide, most must have been heard of lately.
    fn check_quorum(&self, region: &Region) -> Result<(), &'static str> {
        let is_up = |peer: &&Member| {
            peer.id == self.me.id || self.raw.raft.prs().get(peer.id).is_some_and(|progress| progress.recent_active)
        };
        for left_out in [PeerRole::DemotingVoter, PeerRole::IncomingVoter] {
            let votes = |peer: &&Member| !matches!(peer.role(), PeerRole::Learner) && peer.role() != left_out;
            let voters = region.peers.iter().filter(votes);
            if voters.clone().filter(is_up).count() * 2 <= voters.count() {
                return Err("too few of the voters were heard of lately; try again in a moment, or force it");
            }
        }
        Ok(())
    }

    /// The region has other members, by an applied entry. Those that are none any more are told when this leader's disk
    /// knows that it is so.
    ///
    /// # Errors
    /// If raft cannot follow.
    pub fn change_members(&mut self, change: &ConfChangeV2, region: &Region) -> Result<(), StoreError> {
        let before = self.region.clone();
        if region.peer(PeerId(self.me.id)).is_none() && !(self.leads() && is_planted("a removed leader goes on")) {
            self.die(region.clone(), true);
            return Ok(());
        }
        let fault = |error: raft::Error| StoreError::Raft { region: before.region_id(), reason: error.to_string() };
        self.raw.apply_conf_change(change).map_err(fault)?;
        self.set_region(region.clone());
        if self.leads() && self.me.role() == PeerRole::Learner {
            let term = self.term();
            self.raw.raft.become_follower(term, 0);
        }
        self.leave_joint();
        let gone = before.peers.iter().filter(|peer| self.leads() && region.peer(PeerId(peer.id)).is_none());
        let farewells = gone.map(|peer| self.farewell(*peer)).collect::<Vec<_>>();
        self.held.extend(farewells);
        Ok(())
    }

    /// Tells `peer` that it is a member no more.
    pub fn farewell(&self, peer: Member) -> (StoreId, RaftMessage) {
        farewell(self.region.id, self.me, peer, self.region.epoch())
    }
}

/// The message by which a peer learns that it was removed.
pub fn farewell(region_id: u64, from: Member, to: Member, epoch: RegionEpoch) -> (StoreId, RaftMessage) {
    let message = RaftMessage {
        region_id,
        from_peer: Some(from),
        to_peer: Some(to),
        region_epoch: Some(epoch),
        is_tombstone: true,
        ..RaftMessage::default()
    };
    (StoreId(to.store_id), message)
}

fn is_joint(region: &Region) -> bool {
    region.peers.iter().any(|peer| matches!(peer.role(), PeerRole::IncomingVoter | PeerRole::DemotingVoter))
}

/// The region with these changes made, or why they cannot be.
fn region_after(region: &Region, changes: &[MemberChange], forced: bool) -> Result<Region, &'static str> {
    let joint = changes.len() > 1;
    let voter = if joint { PeerRole::IncomingVoter } else { PeerRole::Voter };
    let mut after = region.clone();
    for change in changes {
        match change {
            MemberChange::AddLearner { store, peer } => add(&mut after, *store, *peer, PeerRole::Learner)?,
            MemberChange::AddVoter { store, peer } => match after.peers.iter_mut().find(|known| known.id == peer.0) {
                Some(known) if known.role() == PeerRole::Learner && known.store_id == store.0 => known.set_role(voter),
                Some(_) => return Err("the peer is a voter already, or on another store"),
                None if forced => add(&mut after, *store, *peer, voter)?,
                None => return Err("the peer is no member; add it as a learner first, or force it"),
            },
            MemberChange::Demote(peer) => match after.peers.iter_mut().find(|known| known.id == peer.0) {
                Some(known) if known.role() == PeerRole::Voter => {
                    known.set_role(if joint { PeerRole::DemotingVoter } else { PeerRole::Learner });
                }
                _ => return Err("the peer is no voter"),
            },
            MemberChange::Remove(peer) => match after.peers.iter().position(|known| known.id == peer.0) {
                Some(at) if !joint || after.peers.get(at).is_some_and(|known| known.role() == PeerRole::Learner) => {
                    after.peers.remove(at);
                }
                Some(_) => return Err("among several changes a voter is demoted, and removed later"),
                None => return Err("the peer is no member"),
            },
        }
    }
    if changes.is_empty() || (joint && !is_joint(&after)) {
        return Err("changes that no vote depends on are made one at a time");
    }
    if !after.peers.iter().any(|peer| matches!(peer.role(), PeerRole::Voter | PeerRole::IncomingVoter)) {
        return Err("a voter has to remain");
    }
    let epoch = region.epoch();
    after.region_epoch = Some(RegionEpoch { conf_ver: epoch.conf_ver + changes.len() as u64, ..epoch });
    Ok(after)
}

fn add(region: &mut Region, store: StoreId, peer: PeerId, role: PeerRole) -> Result<(), &'static str> {
    if region.peer_on(store).is_some() || region.peer(peer).is_some() {
        return Err("the store has a peer of the region already, or the id is taken");
    }
    region.peers.push(Member { id: peer.0, store_id: store.0, role: role.into(), ..Member::default() });
    Ok(())
}

fn raft_change(changes: &[MemberChange]) -> ConfChangeV2 {
    let single = |change: &MemberChange| {
        let (kind, peer) = match change {
            MemberChange::AddLearner { peer, .. } => (ConfChangeType::AddLearnerNode, peer),
            MemberChange::AddVoter { peer, .. } => (ConfChangeType::AddNode, peer),
            MemberChange::Demote(peer) => (ConfChangeType::AddLearnerNode, peer),
            MemberChange::Remove(peer) => (ConfChangeType::RemoveNode, peer),
        };
        let mut single = ConfChangeSingle::default();
        single.set_change_type(kind);
        single.node_id = peer.0;
        single
    };
    let mut change = ConfChangeV2::default();
    change.set_changes(changes.iter().map(single).collect::<Vec<_>>().into());
    // The leader leaves the joint state by an entry of ours, which carries the region that results.
    let explicit = changes.len() > 1;
    change.set_transition(if explicit { ConfChangeTransition::Explicit } else { ConfChangeTransition::Auto });
    change
}
