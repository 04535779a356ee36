//! Where the two regions of a merge meet: on each store the source offers itself to its target, the target claims the
//! source's place, and what is merged goes. Each may belong to another raft loop, so they only leave each other
//! messages.

use nokv_proto::raft_serverpb::{ExtraMessageType, RaftMessage};
use nokv_transport::RegionId;

use super::Store;
use crate::apply::ApplyTask;
use crate::gate::Gate;
use crate::image::ArrivedImage;
use crate::merge::{Cause, Claim, Fate, MergeRequest, Sealed, Successor};
use crate::message::{StoreMessage, Waiter};
use crate::peer::{Peer, TargetSeen};
use crate::{RegionExt, StoreError};

impl Store {
    /// What the regions of a merge leave each other, and who wants one.
    ///
    /// # Errors
    /// If this store must not go on.
    pub(super) fn merge_message(&mut self, message: StoreMessage) -> Result<(), StoreError> {
        match message {
            StoreMessage::Merge(request, waiter) => self.merge(&request, waiter),
            StoreMessage::CommitMerge(order) => {
                if let Some(peer) = self.wake(order.target) {
                    peer.propose_commit_merge(&order);
                }
            }
            StoreMessage::Claim(claim) => return self.claimed(*claim),
            StoreMessage::Sealed { target, sealed, by_log } => self.source_sealed(target, *sealed, by_log),
            StoreMessage::Unseal(source) => {
                if let Some(peer) = self.wake(source) {
                    peer.unseal();
                }
            }
            StoreMessage::Merged(source, successor) => self.source_merged(source, successor),
            _ => {}
        }
        Ok(())
    }

    fn merge(&mut self, request: &MergeRequest, waiter: Waiter) {
        let target = self.context.gates.get(request.target).map(|gate| gate.state().region.as_ref().clone());
        let target = target.map_err(|_| Peer::unknown_target(request.source));
        self.with_peer(request.source, waiter, |peer, waiter| peer.propose_merge(request, target, waiter));
    }

    /// Every prepared source looks where its target is, and every peer that learned that it was merged whether it may
    /// go.
    pub(super) fn tick_merges(&mut self) {
        let concerned = |peer: &&Peer| peer.is_merging() || peer.fate().is_some();
        let regions: Vec<_> = self.peers.values().filter(concerned).map(Peer::region_id).collect();
        for region in regions {
            self.step_merge(region);
        }
        let doubtful = self.peers.values().filter(|peer| peer.is_doubtful());
        self.outbox.extend(doubtful.flat_map(Peer::doubts));
    }

    /// Looks where the target of a prepared source is on this store.
    pub(super) fn step_merge(&mut self, source: RegionId) {
        self.end_if_orphaned(source, false);
        let gates = self.context.gates.clone();
        let Some(peer) = self.peers.get_mut(&source) else { return };
        let Some((target, wanted)) = peer.target() else { return };
        let seen = match gates.get(target) {
            Ok(gate) => seen(&gate, wanted),
            // It was here, and was removed or merged into yet another.
            Err(_) if gates.buried(target).is_some() => TargetSeen::Past,
            Err(_) => TargetSeen::Before,
        };
        let message = peer.saw_target(seen);
        let leads = |gate: &Gate| gate.state().check_leads().is_ok();
        if seen == TargetSeen::Before
            && gates.get(target).is_ok_and(|gate| leads(&gate))
            && let Some(order) = peer.offer()
        {
            self.tell(target, StoreMessage::CommitMerge(Box::new(order)));
        }
        self.dirty.insert(source);
        self.outbox.extend(message);
    }

    /// A target wants the place of a source on this store.
    ///
    /// # Errors
    /// If the target's log needs a source that is not here.
    fn claimed(&mut self, claim: Claim) -> Result<(), StoreError> {
        let Claim { source, target, cause } = claim;
        let Some(peer) = self.wake(source) else {
            let reason = "it is not here";
            let lost = StoreError::SourceLost { region: source, into: target, reason };
            return if matches!(cause, Cause::Commit(_)) { Err(lost) } else { Ok(()) };
        };
        let gives_way = match cause {
            Cause::Commit(carried) => return peer.claim_by_log(target, &carried),
            Cause::Image(version) => peer.claim_by_image(target, version),
            Cause::Contact { version, alone } => {
                let gives_way = peer.fate().is_some_and(|fate| fate.leads_to(target, version));
                if gives_way && alone {
                    self.end_if_orphaned(source, true);
                }
                gives_way
            }
        };
        if !gives_way && let Some(peer) = self.peers.get(&source) {
            self.outbox.extend(peer.doubts());
        }
        Ok(())
    }

    /// A claimed peer is sealed, and says so, as soon as nothing of it is under way.
    pub(super) fn seal_if_due(&mut self, source: RegionId) {
        let Some(peer) = self.peers.get_mut(&source) else { return };
        if let Some((target, sealed, by_log)) = peer.seal_if_due() {
            self.tell(target, StoreMessage::Sealed { target, sealed: Box::new(sealed), by_log });
        }
    }

    /// To a target: a source is out of its way.
    fn source_sealed(&mut self, target: RegionId, sealed: Sealed, by_log: bool) {
        let source = sealed.region.region_id();
        if by_log {
            self.tasks.push(ApplyTask::Sealed { target, source });
        } else if let Some(peer) = self.wake(target) {
            peer.add_sealed(sealed);
        }
    }

    /// To a source: its record says that it is merged, and its target has its data.
    fn source_merged(&mut self, source: RegionId, successor: Successor) {
        if let Some(peer) = self.wake(source) {
            peer.merged(successor);
        }
    }

    /// An image waits for replicas that it overlaps: they are asked to give way. Returns it if it must not wait longer.
    pub(super) fn claim_for_image(&mut self, image: ArrivedImage, sealed: &[RegionId]) -> Option<ArrivedImage> {
        let target = image.region.region_id();
        let blockers = self.context.gates.blockers(target, &image.region.start_key, &image.region.end_key);
        let version = image.region.epoch().version;
        for source in blockers.iter().filter(|source| !sealed.contains(source)) {
            self.claim(*source, target, Cause::Image(version));
        }
        if blockers.is_empty() {
            return Some(image);
        }
        match self.peers.get_mut(&target) {
            Some(peer) => peer.hold_image(image),
            None => Some(image),
        }
    }

    /// The image of `target` is restored, or is not needed: those who gave way to it go, or come back.
    pub(super) fn release_sealed(&mut self, target: RegionId, restored: Option<Successor>) {
        let Some(sealed) = self.peers.get_mut(&target).map(Peer::take_sealed) else { return };
        for source in sealed {
            let region = source.region.region_id();
            match restored {
                Some(successor) => {
                    self.context.gates.bury_merged(&source.region, self.context.gates.store(), Some(successor));
                    self.tell(region, StoreMessage::Merged(region, successor));
                }
                None => self.tell(region, StoreMessage::Unseal(region)),
            }
        }
    }

    /// A first word of a region, of this version, that has no room here: who has its range may be merged into it.
    pub(super) fn claim_for_contact(&mut self, region: RegionId, message: &RaftMessage) {
        let version = message.region_epoch.unwrap_or_default().version;
        let (start, end) = (&message.start_key, &message.end_key);
        let alone = self.context.gates.only_merged_block(region, version, start, end);
        for source in self.context.gates.blockers(region, start, end) {
            self.claim(source, region, Cause::Contact { version, alone });
        }
    }

    /// Something that peers tell each other beside raft. True if the message was of that kind.
    pub(super) fn extra(&mut self, message: &RaftMessage) -> bool {
        let region = RegionId(message.region_id);
        if let Some(fate) = Fate::of(message) {
            if let Some(peer) = self.wake(region).filter(|peer| message.to_peer.is_some_and(|to| to.id == peer.id().0))
            {
                peer.learn_fate(fate.clone());
                self.context.gates.note_fate(region, &fate);
                self.end_if_orphaned(region, false);
            }
            return true;
        }
        let kind = message.extra_msg.as_ref().map(|extra| extra.r#type());
        if kind == Some(ExtraMessageType::MsgWantRollbackMerge) {
            if let Some(peer) = self.wake(region) {
                peer.want_rollback(message);
            }
            return true;
        }
        false
    }

    /// A peer whose region was merged elsewhere goes with its data, if nothing on this store can ask for its log any
    /// more: it was no member in the end; or its target is here and beyond that, or was here and is gone; or its target
    /// never was here, and a later one is, or comes with all of the range (`contact`), or has no peer here.
    fn end_if_orphaned(&mut self, source: RegionId, contact: bool) {
        let gates = &self.context.gates;
        let Some((peer, fate)) = self.peers.get(&source).and_then(|peer| Some((peer, peer.fate()?))) else { return };
        if !peer.has_applied_all() {
            return;
        }
        let lives = |successor: &Successor| gates.get(successor.region).is_ok();
        let is_past = |successor: &Successor| match gates.get(successor.region) {
            Ok(gate) => gate.state().region.epoch().version >= successor.version,
            Err(_) => gates.buried(successor.region).is_some(),
        };
        let removed = fate.members.iter().all(|member| member.id != peer.id().0);
        let nobody = !fate.successors().any(lives) && (contact || fate.absent);
        if !removed && !is_past(&fate.first) && (lives(&fate.first) || !(fate.later.iter().any(is_past) || nobody)) {
            return;
        }
        let (region, fate) = (peer.region().as_ref().clone(), fate.clone());
        gates.remember(source, &fate);
        if let Some(peer) = self.wake(source) {
            peer.die(region, false);
        }
    }

    fn claim(&self, source: RegionId, target: RegionId, cause: Cause) {
        self.tell(source, StoreMessage::Claim(Box::new(Claim { source, target, cause })));
    }

    /// Leaves a message for the raft loop that owns `region`. What is under way in the loops bounds these.
    pub(super) fn tell(&self, region: RegionId, message: StoreMessage) {
        // A loop that has ended stops the node; then nobody waits.
        let _ = self.context.mailboxes.of(region).push(message);
    }
}

fn seen(gate: &Gate, wanted: nokv_proto::metapb::RegionEpoch) -> TargetSeen {
    let since = gate.known_since();
    TargetSeen::of(wanted, gate.state().region.epoch(), since)
}
