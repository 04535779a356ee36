//! The peers of one raft loop, and what a round of it does: take in messages and time, collect what all peers want
//! done, and carry on once it is on disk. No thread and no disk in here: `raft_loop` and the simulator drive it alike.

mod arrivals;
mod changes;
mod images;
mod liveness;
mod merges;

use std::collections::{BTreeMap, BTreeSet};

use nokv_proto::raft_serverpb::RaftMessage;
use nokv_transport::{RegionId, StoreId};

use crate::apply::ApplyTask;
use crate::message::{StoreMessage, Waiter};
use crate::peer::Peer;
use crate::peer_context::PeerContext;
use crate::round::Round;
use crate::{MonotonicTime, RegionError, StoreError};

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
    /// For apply, with the next round: replicas that came into being, imports that nobody needs.
    tasks: Vec<ApplyTask>,
    /// To be sent with the next round: what peers are told that are none any more.
    outbox: Vec<(StoreId, RaftMessage)>,
    liveness: liveness::Liveness,
    /// Peers that were awake at the last tick.
    awake: usize,
}

pub(crate) use liveness::is_word;

/// Messages kept for regions to come; further ones push out the lowest region's.
const EARLY_MESSAGES_MAX: usize = 1_024;

impl Store {
    /// A store with these peers, whose first tick is one tick from `now`.
    pub fn new(context: PeerContext, peers: Vec<Peer>, now: MonotonicTime) -> Self {
        let dirty = peers.iter().map(Peer::region_id).collect();
        let peers = peers.into_iter().map(|peer| (peer.region_id(), peer)).collect();
        let next_tick = now + context.config.tick;
        Self {
            context,
            peers,
            dirty,
            next_tick,
            early: BTreeMap::new(),
            tasks: Vec::new(),
            outbox: Vec::new(),
            liveness: liveness::Liveness::new(now.0),
            awake: 0,
        }
    }

    /// When [`Store::tick`] is due.
    pub fn next_tick(&self) -> MonotonicTime {
        self.next_tick
    }

    /// See [`crate::Config::round_interval`].
    pub fn round_interval(&self) -> std::time::Duration {
        self.context.config.round_interval
    }

    /// Its peers, by region.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    /// Whether some peer has something to do.
    pub fn has_work(&self) -> bool {
        !self.dirty.is_empty() || !self.tasks.is_empty() || !self.outbox.is_empty()
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
        let sleep_after = self.context.config.hibernate_after(self.awake);
        self.awake = 0;
        for (region, peer) in &mut self.peers {
            let (has_work, words) = peer.tick(now, sleep_after);
            if has_work {
                self.awake += 1;
                self.dirty.insert(*region);
            }
            self.outbox.extend(words);
        }
        self.tick_merges();
        self.tick_liveness();
        self.drop_forgotten();
    }

    /// Takes in one message.
    ///
    /// # Errors
    /// If this store must not go on.
    pub fn handle(&mut self, message: StoreMessage, now: MonotonicTime) -> Result<(), StoreError> {
        match message {
            StoreMessage::Raft(message) => self.raft_message(message, now)?,
            StoreMessage::Propose(proposal, waiter) => {
                self.with_peer(proposal.region_id, waiter, |peer, waiter| peer.propose(proposal, waiter));
            }
            StoreMessage::Read(request) => match self.wake(request.region_id) {
                Some(peer) => peer.read(request),
                None => {
                    let _ = request.done.send(Err(RegionError::RegionNotFound { region: request.region_id }));
                }
            },
            StoreMessage::RenewLease(region) => self.wake(region).into_iter().for_each(Peer::renew_lease),
            // It wakes nobody: where all sleep, all know.
            StoreMessage::TellCommits(region) => self.look_at(region).into_iter().for_each(Peer::tell_commits),
            StoreMessage::Unreachable(store) => self.unreachable(store),
            StoreMessage::Applied(reports) => {
                for report in reports {
                    self.applied(&report, now)?;
                }
            }
            StoreMessage::Split(request, waiter) => {
                self.with_peer(request.region_id, waiter, |peer, waiter| peer.propose_split(&request, waiter));
            }
            StoreMessage::RaiseSafePoint(region, number, waiter) => {
                self.with_peer(region, waiter, |peer, waiter| peer.propose_safe_point(number, waiter));
            }
            StoreMessage::ChangeMembers(request, waiter) => {
                self.with_peer(request.region_id, waiter, |peer, waiter| peer.propose_members(&request, waiter));
            }
            StoreMessage::Merge(..)
            | StoreMessage::CommitMerge(_)
            | StoreMessage::Claim(_)
            | StoreMessage::Sealed { .. }
            | StoreMessage::Unseal(_)
            | StoreMessage::Merged(..) => self.merge_message(message)?,
            StoreMessage::Image(image) => self.image_arrived(*image, now)?,
            StoreMessage::ImageMade { region, image } => {
                if let Some(peer) = self.wake(region) {
                    peer.image_made(image, now);
                }
            }
            StoreMessage::ImageSent { region, peer: to, arrived } => {
                if let Some(peer) = self.wake(region) {
                    peer.image_sent(to.0, arrived);
                }
            }
            StoreMessage::Cleared(region) => self.context.gates.cleared(region),
            StoreMessage::TransferLeader { region, to, done } => {
                let begun = match self.wake(region) {
                    Some(peer) => peer.transfer_leader(to),
                    None => Err(RegionError::RegionNotFound { region }),
                };
                let _ = done.send(begun);
            }
            StoreMessage::Progress { region, done } => {
                let known = self.peers.get(&region).ok_or(RegionError::RegionNotFound { region });
                let _ = done.send(known.and_then(Peer::progress));
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
        // A replica that came into being may have committed entries already: apply must know it first.
        round.apply.append(&mut self.tasks);
        for region in std::mem::take(&mut self.dirty) {
            self.collect_from(region, now, round)?;
        }
        round.apply.append(&mut self.tasks);
        round.first_messages.append(&mut self.outbox);
        Ok(())
    }

    fn collect_from(&mut self, region: RegionId, now: MonotonicTime, round: &mut Round) -> Result<(), StoreError> {
        self.seal_if_due(region);
        let Some(peer) = self.peers.get_mut(&region) else { return Ok(()) };
        if peer.may_leave() {
            self.bury(region, round);
            return Ok(());
        }
        let restores = match peer.take_due_image() {
            Some(image) => self.restore(image)?,
            None => None,
        };
        let Some(peer) = self.peers.get_mut(&region) else { return Ok(()) };
        peer.collect(now, round)?;
        if let Some(successor) = restores {
            self.release_sealed(region, Some(successor));
        }
        let Some(peer) = self.peers.get_mut(&region) else { return Ok(()) };
        if peer.wants_image() {
            self.order_image(region, round);
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

    fn with_peer(&mut self, region: RegionId, waiter: Waiter, act: impl FnOnce(&mut Peer, Waiter)) {
        match self.wake(region) {
            Some(peer) => act(peer, waiter),
            None => waiter.tell(Err(RegionError::RegionNotFound { region })),
        }
    }

    /// The peer of `region`, because of something that it has to do; its sleep is over.
    fn wake(&mut self, region: RegionId) -> Option<&mut Peer> {
        let peer = self.look_at(region)?;
        peer.stir();
        Some(peer)
    }

    /// The peer of `region`, because of something that may leave it more to do.
    fn look_at(&mut self, region: RegionId) -> Option<&mut Peer> {
        let peer = self.peers.get_mut(&region)?;
        self.dirty.insert(region);
        Some(peer)
    }
}
