//! The peers of one raft loop, and what a round of it does: take in messages and time, collect what all peers want
//! done, and carry on once it is on disk. No thread and no disk in here: `raft_loop` and the simulator drive it alike.

use std::collections::{BTreeMap, BTreeSet};

use nokv_proto::metapb::Region;
use nokv_proto::raft_serverpb::RaftMessage;
use nokv_transport::{RegionId, StoreId};

use crate::apply::{Applied, ApplyTask, Change};
use crate::message::StoreMessage;
use crate::peer::Peer;
use crate::peer_context::PeerContext;
use crate::records::ApplyRecord;
use crate::round::Round;
use crate::{MonotonicTime, RegionError, RegionExt, StoreError};

/// A raft loop's regions.
///
/// Invariant: a peer that has something to do is in `dirty`.
#[derive(Debug)]
pub struct Store {
    context: PeerContext,
    peers: BTreeMap<RegionId, Peer>,
    dirty: BTreeSet<RegionId>,
    next_tick: MonotonicTime,
    /// The last message to each region that this store does not have yet, since the entry that creates it is not
    /// applied here while its first leader campaigns already.
    early: BTreeMap<RegionId, RaftMessage>,
    /// Replicas that came into being since the last round.
    born: Vec<ApplyTask>,
}

/// Messages kept for regions to come; further ones push out the lowest region's.
const EARLY_MESSAGES_MAX: usize = 1_024;

impl Store {
    /// A store with these peers, whose first tick is one tick from `now`.
    pub fn new(context: PeerContext, peers: Vec<Peer>, now: MonotonicTime) -> Self {
        let dirty = peers.iter().map(Peer::region_id).collect();
        let peers = peers.into_iter().map(|peer| (peer.region_id(), peer)).collect();
        let next_tick = now + context.config.tick;
        Self { context, peers, dirty, next_tick, early: BTreeMap::new(), born: Vec::new() }
    }

    /// When [`Store::tick`] is due.
    pub fn next_tick(&self) -> MonotonicTime {
        self.next_tick
    }

    /// Its peers, by region.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    /// Whether some peer has something to do.
    pub fn has_work(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Ticks all peers if it is time. However late it is, it ticks once: time during which this store was stopped must
    /// not count as time in which it heard nothing.
    pub fn tick(&mut self, now: MonotonicTime) {
        if now < self.next_tick {
            return;
        }
        self.next_tick = (self.next_tick + self.context.config.tick).max(now);
        if self.next_tick == now {
            self.next_tick = now + self.context.config.tick;
        }
        for (region, peer) in &mut self.peers {
            peer.tick(now);
            self.dirty.insert(*region);
        }
    }

    /// Takes in one message.
    ///
    /// # Errors
    /// If this store must not go on.
    pub fn handle(&mut self, message: StoreMessage, now: MonotonicTime) -> Result<(), StoreError> {
        match message {
            StoreMessage::Raft(message) => {
                let region = RegionId(message.region_id);
                match self.wake(region) {
                    Some(peer) => peer.step(message, now)?,
                    None => self.keep_early(region, message),
                }
            }
            StoreMessage::Propose(proposal, waiter) => match self.wake(proposal.region_id) {
                Some(peer) => peer.propose(proposal, waiter),
                None => waiter.tell(Err(RegionError::RegionNotFound { region: proposal.region_id })),
            },
            StoreMessage::Read(request) => match self.wake(request.region_id) {
                Some(peer) => peer.read(request),
                None => {
                    let _ = request.done.send(Err(RegionError::RegionNotFound { region: request.region_id }));
                }
            },
            StoreMessage::RenewLease(region) => {
                if let Some(peer) = self.wake(region) {
                    peer.renew_lease();
                }
            }
            StoreMessage::Unreachable(store) => self.unreachable(store),
            StoreMessage::Applied(reports) => {
                for report in reports {
                    self.applied(&report, now)?;
                }
            }
            StoreMessage::Split(request, waiter) => match self.wake(request.region_id) {
                Some(peer) => peer.propose_split(&request, waiter),
                None => waiter.tell(Err(RegionError::RegionNotFound { region: request.region_id })),
            },
            StoreMessage::TransferLeader { region, to, done } => {
                let begun = match self.wake(region) {
                    Some(peer) => peer.transfer_leader(to),
                    None => Err(RegionError::RegionNotFound { region }),
                };
                let _ = done.send(begun);
            }
            StoreMessage::Stop => {}
        }
        Ok(())
    }

    /// Messages to `store` were lost: its peers will be probed instead of flooded.
    pub fn unreachable(&mut self, store: StoreId) {
        self.peers.values_mut().for_each(|peer| peer.unreachable(store));
    }

    /// Has the named peer of a new group campaign at once.
    ///
    /// # Errors
    /// If raft cannot.
    pub fn campaign_first(&mut self, region: RegionId) -> Result<(), StoreError> {
        self.wake(region).map_or(Ok(()), Peer::campaign_first)
    }

    /// Gathers what all peers want done.
    ///
    /// # Errors
    /// If this store must not go on.
    pub fn collect(&mut self, now: MonotonicTime, round: &mut Round) -> Result<(), StoreError> {
        round.apply.append(&mut self.born);
        for region in std::mem::take(&mut self.dirty) {
            if let Some(peer) = self.peers.get_mut(&region) {
                peer.collect(now, round)?;
            }
        }
        Ok(())
    }

    /// The round's log is written, and synced where it asked for that: adds what had to wait.
    pub fn persisted(&mut self, round: &mut Round) {
        for (region, ready) in std::mem::take(&mut round.readies) {
            if let Some(peer) = self.peers.get_mut(&region) {
                peer.persisted(ready, round);
                if peer.has_more() {
                    self.dirty.insert(region);
                }
            }
        }
    }

    /// Entries of a region were applied: carries out what they did to replicas, then tells the peer.
    fn applied(&mut self, report: &Applied, now: MonotonicTime) -> Result<(), StoreError> {
        for change in &report.changes {
            match change {
                Change::CutLog { index, term } => {
                    if let Some(peer) = self.wake(report.region_id) {
                        peer.cut_log(*index, *term);
                    }
                }
                Change::Split(regions) => self.split(regions, now)?,
            }
        }
        if let Some(peer) = self.wake(report.region_id) {
            peer.applied(report);
        }
        Ok(())
    }

    /// A region became these; the new ones come to life here, and campaign at once where their parent led.
    fn split(&mut self, regions: &[Region], now: MonotonicTime) -> Result<(), StoreError> {
        let Some((first, new)) = regions.split_first() else { return Ok(()) };
        let Some(parent) = self.wake(first.region_id()) else { return Ok(()) };
        parent.set_region(first.clone());
        let led = parent.leads();
        for region in new {
            let record = ApplyRecord::initial();
            let mut peer = Peer::load(&self.context, region.clone(), &record, now)?;
            self.born.push(ApplyTask::Insert(peer.region().clone(), record));
            if led {
                peer.campaign()?;
            }
            if let Some(message) = self.early.remove(&region.region_id()) {
                peer.step(message, now)?;
            }
            self.dirty.insert(region.region_id());
            self.peers.insert(region.region_id(), peer);
        }
        Ok(())
    }

    fn keep_early(&mut self, region: RegionId, message: RaftMessage) {
        self.early.insert(region, message);
        if self.early.len() > EARLY_MESSAGES_MAX {
            self.early.pop_first();
        }
    }

    fn wake(&mut self, region: RegionId) -> Option<&mut Peer> {
        let peer = self.peers.get_mut(&region)?;
        self.dirty.insert(region);
        Some(peer)
    }
}
