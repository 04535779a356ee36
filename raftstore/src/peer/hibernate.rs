//! A region that nobody touches goes to sleep: no ticks, no heart-beats, nothing that costs. Its leader asks all
//! members whether they are level with it; once each has agreed, it falls silent, and they expect nothing. Whatever is
//! said to one of them wakes it; the leader's first heart-beat wakes the others.
//!
//! Nothing that Raft promises rests on it. A sleeping follower keeps its promises longer, since its time stands still;
//! a sleeping leader's lease ends by the clock like any other, and its next read asks the quorum. What sleep would cost
//! is the time to notice that a leader's store is dead: that is `store/liveness.rs`, which wakes its followers and
//! counts the silence as time that they have waited.

use std::collections::BTreeSet;

use nokv_proto::raft_serverpb::{ExtraMessage, ExtraMessageType, RaftMessage};
use nokv_transport::{PeerId, StoreId};
use protobuf::Message as _;
use raft::eraftpb::Message;
use raft::{ProgressState, StateRole};

use super::Peer;
use crate::RegionExt;

/// How soundly a peer sleeps.
#[derive(Debug, Default)]
pub(super) struct Sleep {
    asleep: bool,
    /// Ticks slept through.
    slept_ticks: usize,
    /// Ticks in which nothing happened.
    idle_ticks: usize,
    /// What was seen at the last tick: term, last index, applied index, questions to the quorum.
    seen: (u64, u64, u64, u64),
    asked: Option<Asked>,
    /// Only the silence of its leader's store has woken it, and nothing has happened since.
    dozes: bool,
}

/// A leader's question whether all are level.
#[derive(Debug, Default)]
struct Asked {
    agreed: BTreeSet<u64>,
    /// Ticks that the answers have taken.
    ticks: usize,
}

impl Peer {
    /// Whether it sleeps.
    pub fn is_asleep(&self) -> bool {
        self.sleep.asleep
    }

    /// A tick of a peer that sleeps or is about to: true if it was that, and raft is not to hear of it.
    pub(super) fn tick_asleep(&mut self) -> bool {
        if self.sleep.asleep {
            self.sleep.slept_ticks += 1;
            return true;
        }
        let Some(asked) = &mut self.sleep.asked else { return false };
        asked.ticks += 1;
        // Those who refused go on ticking, and must not miss so many heart-beats that they look for another leader.
        if asked.ticks <= self.config.election_ticks_min / 2 {
            return true;
        }
        self.stir();
        false
    }

    /// Counts quiet ticks, and asks the others once there were enough of them. Their copies of the question.
    pub(super) fn tick_awake(&mut self, sleep_after: usize) -> Vec<(StoreId, RaftMessage)> {
        if sleep_after == 0 {
            return Vec::new();
        }
        let log = &self.raw.raft.raft_log;
        let seen = (self.term(), log.last_index(), self.applied_index, self.questions());
        let is_quiet = seen == self.sleep.seen;
        self.sleep.seen = seen;
        self.sleep.idle_ticks = if is_quiet { self.sleep.idle_ticks + 1 } else { 0 };
        if self.sleep.idle_ticks < sleep_after || !self.leads() || !self.may_sleep() {
            return Vec::new();
        }
        self.sleep.idle_ticks = 0;
        self.sleep.asked = Some(Asked::default());
        let index = self.raw.raft.raft_log.last_index();
        let others: Vec<_> = self.region.peers.iter().copied().filter(|peer| peer.id != self.me.id).collect();
        if others.is_empty() {
            self.fall_asleep();
        }
        others.into_iter().filter_map(|to| self.whisper(to.id, ExtraMessageType::MsgHibernateRequest, index)).collect()
    }

    /// Whether nothing is left to do for anybody.
    fn may_sleep(&self) -> bool {
        let raft = &self.raw.raft;
        let last = raft.raft_log.last_index();
        let is_level = self.applied_index == last && raft.raft_log.committed == last && self.handed_index == last;
        let others_are = || {
            raft.prs().iter().all(|(id, progress)| {
                let follows = progress.state == ProgressState::Replicate && progress.recent_active;
                progress.matched == last && (*id == self.me.id || follows)
            })
        };
        let members = raft.prs().iter().count() == self.region.peers.len();
        is_level
            && self.has_data()
            && self.dying.is_none()
            && !self.is_merging()
            && !self.is_doubtful()
            && self.fate().is_none()
            && self.proposals.is_empty()
            && self.in_flight.is_empty()
            && self.reads.is_empty()
            && self.apply_backlog_bytes == 0
            && !self.holds_image()
            && self.arrived.is_none()
            && self.restoring.is_none()
            && self.cut.is_none()
            && raft.lead_transferee.is_none()
            && !raft.has_pending_conf()
            && (!self.leads() || (self.caught_up_with_term() && members && others_are()))
    }

    /// The leader asks whether this peer is level with it. If so, this peer sleeps, and says so.
    pub fn asked_to_sleep(&mut self, envelope: &RaftMessage, leader_is_heard: bool) -> Option<(StoreId, RaftMessage)> {
        let (from, term, index) = opened(envelope)?;
        let follows = self.raw.raft.state == StateRole::Follower && self.raw.raft.leader_id == from;
        let is_level = index == self.raw.raft.raft_log.last_index() && self.may_sleep();
        if !follows || term != self.term() || !is_level || !leader_is_heard {
            return None;
        }
        self.fall_asleep();
        self.whisper(from, ExtraMessageType::MsgHibernateResponse, index)
    }

    /// A follower agrees. With the last one, the leader sleeps.
    pub fn agreed_to_sleep(&mut self, envelope: &RaftMessage) {
        let Some((from, term, index)) = opened(envelope) else { return };
        let is_current = self.leads() && term == self.term() && index == self.raw.raft.raft_log.last_index();
        if !is_current || !self.may_sleep() {
            return;
        }
        let Some(asked) = &mut self.sleep.asked else { return };
        asked.agreed.insert(from);
        let agreed = &asked.agreed;
        if self.region.peers.iter().all(|peer| peer.id == self.me.id || agreed.contains(&peer.id)) {
            self.fall_asleep();
        }
    }

    fn fall_asleep(&mut self) {
        self.sleep = Sleep { asleep: true, seen: self.sleep.seen, ..Sleep::default() };
        self.gate.set_asleep(true);
    }

    /// Somebody wants something, or a question whether all may sleep has no answer: the peer is awake, and if it leads,
    /// the others are with its next heart-beat, which leaves now.
    pub fn stir(&mut self) {
        self.sleep.dozes = false;
        let was_quiet = self.sleep.asleep || self.sleep.asked.is_some();
        if !was_quiet {
            return;
        }
        self.sleep = Sleep { seen: self.sleep.seen, ..Sleep::default() };
        self.gate.set_asleep(false);
        if self.leads() {
            // Nobody could answer meanwhile: that must not count against the quorum.
            self.raw.raft.election_elapsed = 0;
            // And only who answers from now on counts for it.
            let me = self.me.id;
            let others = self.raw.raft.mut_prs().iter_mut().filter(|(id, _)| **id != me);
            others.for_each(|(_, progress)| progress.recent_active = false);
            self.raw.ping();
        }
    }

    /// The leader's store has said nothing for so many ticks: that counts as time waited for the leader, as far as this
    /// peer has slept that long.
    pub fn miss_leader(&mut self, silent_ticks: usize) {
        let missed = silent_ticks.min(self.sleep.slept_ticks);
        let slept = self.sleep.asleep;
        self.stir();
        if slept && !self.leads() {
            self.raw.raft.election_elapsed += missed;
            self.sleep.dozes = missed > 0;
        }
    }

    /// The leader's store was only late: a follower that woke for nothing else goes on sleeping. If its leader is
    /// awake, its next heart-beat tells. Else, on a machine so busy that stores are late now and then, all that slept
    /// would soon be awake, and keep it busy.
    pub fn doze_on(&mut self) {
        let follows = self.raw.raft.state == StateRole::Follower && self.leader_store().is_some();
        if self.sleep.dozes && follows && self.may_sleep() {
            self.raw.raft.election_elapsed = 0;
            self.fall_asleep();
        }
    }

    /// The store of the leader that this peer follows.
    pub fn leader_store(&self) -> Option<StoreId> {
        self.leader().filter(|leader| leader.id != self.me.id).map(|leader| StoreId(leader.store_id))
    }

    /// A word to a member, beside Raft: with the term, and the last index.
    fn whisper(&self, to: u64, kind: ExtraMessageType, index: u64) -> Option<(StoreId, RaftMessage)> {
        let to = *self.region.peer(PeerId(to))?;
        let term = Message { from: self.me.id, to: to.id, term: self.term(), ..Message::default() };
        let envelope = RaftMessage {
            region_id: self.region.id,
            from_peer: Some(self.me),
            to_peer: Some(to),
            message: term.write_to_bytes().ok()?.into(),
            region_epoch: Some(self.region.epoch()),
            extra_msg: Some(ExtraMessage { r#type: kind.into(), index, ..ExtraMessage::default() }.into()),
            ..RaftMessage::default()
        };
        Some((StoreId(to.store_id), envelope))
    }
}

/// Sender, term and index of a word beside Raft.
fn opened(envelope: &RaftMessage) -> Option<(u64, u64, u64)> {
    let message = Message::parse_from_carllerche_bytes(&envelope.message).ok()?;
    let index = envelope.extra_msg.as_ref()?.index;
    Some((envelope.from_peer?.id, message.term, index))
}
