//! What raft wants done, as data: `collect` gathers what this round must write and may send; `persisted` tells raft
//! that it is on disk, and gathers what had to wait for that. Between the two the caller syncs once for all regions.

use nokv_engine::is_planted;
use nokv_proto::raft_serverpb::RaftMessage;
use nokv_transport::{PeerId, StoreId};
use protobuf::Message as _;
use raft::eraftpb::{Entry, HardState, Message, MessageType};
use raft::{Ready, Storage as _};

use super::Peer;
use super::step::is_continuous;
use crate::apply::{ApplyTask, CommittedEntries};
use crate::log_cache::entry_bytes;
use crate::round::Round;
use crate::{MonotonicTime, RegionExt, StoreError};

impl Peer {
    /// Adds this peer's share to the round. Nothing of it may leave out of order: first messages any time, the log
    /// synced, then [`Peer::persisted`].
    pub fn collect(&mut self, now: MonotonicTime, round: &mut Round) -> Result<(), StoreError> {
        if self.dying.is_some() {
            return Ok(());
        }
        self.observe();
        self.flush_proposals(now);
        self.publish_crowded();
        self.ask_quorum(now);
        if let Some((index, term)) = self.cut.take() {
            self.raw.mut_store().cut(index, term, &mut round.log);
        }
        self.raw.mut_store().cut_once_more(&mut round.log);
        if std::mem::take(&mut self.gave_birth) && !is_planted("forget what is committed behind a split") {
            self.write_commit(round);
        }
        let owed = self.pay_commit(round);
        if self.apply_backlog_bytes > self.config.apply_backlog_bytes_max || !self.raw.has_ready() {
            return Ok(());
        }
        let mut ready = self.raw.ready();
        self.confirm_reads(ready.take_read_states());
        self.post(ready.take_messages(), round, if owed { When::Last } else { When::First });
        let early = is_planted("send before sync");
        self.post(ready.take_persisted_messages(), round, if early { When::First } else { When::Last });
        if !ready.snapshot().is_empty() {
            self.restore(ready.snapshot(), round);
        }
        let entries = self.hand_over(ready.take_committed_entries());
        // A leader's clients wait for the effects; of a follower, the leader waits for its word only.
        let to = if self.leads() { &mut round.apply_first } else { &mut round.apply };
        to.extend(entries);
        self.write(&ready, round)?;
        self.publish_lease();
        round.readies.push((self.region_id(), ready));
        Ok(())
    }

    /// The round is on disk: adds what had to wait for it.
    pub fn persisted(&mut self, ready: Ready, round: &mut Round) {
        let mut light = self.raw.advance_append(ready);
        if self.owes_commit() {
            self.hold(light.take_messages(), round);
        } else {
            self.post(light.take_messages(), round, When::Last);
        }
        if let Some(index) = self.restored_to.take() {
            // For raft, whose log begins there; whoever looks at the data waits for the report.
            self.raw.advance_apply_to(index);
        }
        round.apply.extend(self.hand_over(light.take_committed_entries()));
        if self.leads() {
            self.lease.committed(self.raw.raft.raft_log.committed, self.config.lease());
        }
        self.publish_lease();
        self.publish_crowded();
        self.publish_progress();
    }

    /// Whether raft has more to do.
    pub fn has_more(&self) -> bool {
        self.dying.is_none()
            && (self.cut.is_some()
                || self.raw.has_ready()
                || self.has_due_proposals()
                || !self.held.is_empty()
                || self.owes_commit())
    }

    fn post(&mut self, messages: Vec<Message>, round: &mut Round, when: When) {
        for message in messages {
            if message.get_msg_type() == MessageType::MsgSnapshot {
                self.order_image(&message, round);
                continue;
            }
            let to = if when == When::First { &mut round.first_messages } else { &mut round.last_messages };
            to.extend(self.seal(&message));
        }
    }

    /// The commit index alone is not worth a write: it is learned again, and what was applied is known to be committed.
    /// But whoever holds a change of members must never again count by a membership older than the one before it: two
    /// such steps apart, majorities need not meet. Its leader had applied the change before, and said so with this one;
    /// so what is known to be committed goes to disk with it, and raft does not campaign before that is applied.
    fn write(&mut self, ready: &Ready, round: &mut Round) -> Result<(), StoreError> {
        self.raw.mut_store().append(ready.entries(), &mut round.log)?;
        let hard_state: HardState = match ready.hs() {
            Some(state) => state.clone(),
            None => self.raw.raft.hard_state(),
        };
        let term_and_vote = (hard_state.term, hard_state.vote);
        let changes_members = self.changes.note(ready.entries(), self.written_commit)
            && !is_planted("forget what is committed behind a change of members");
        let is_new = term_and_vote != self.written_term_and_vote && !is_planted("forget the vote");
        if is_new || changes_members {
            self.written_term_and_vote = term_and_vote;
            self.written_commit = hard_state.commit;
            self.raw.mut_store().set_hard_state(&hard_state, &mut round.log);
        }
        round.sync |= ready.must_sync() && !is_planted("do not sync");
        Ok(())
    }

    /// A region was born from this one, and writes to its log from this round on. The data that says so may be lost in
    /// a crash while that log is kept, in an engine of its own. So it must be known from this region's log alone that
    /// its birth is committed: the region's group may be gone by then, and nobody left to say so.
    pub(super) fn write_commit(&mut self, round: &mut Round) {
        let log = &self.raw.raft.raft_log;
        let commit = log.committed.min(log.persisted);
        let hard_state = HardState { commit, ..self.raw.raft.hard_state() };
        self.written_commit = commit;
        self.raw.mut_store().set_hard_state(&hard_state, &mut round.log);
    }

    /// The task that applies these, if there are any.
    fn hand_over(&mut self, entries: Vec<Entry>) -> Option<ApplyTask> {
        let is_next = entries.first()?.index == self.applied_index + 1;
        let last = entries.last()?.index;
        self.close_for_range_change(&entries);
        self.handed_index = last;
        let mut in_flight = Vec::new();
        while self.in_flight.front().is_some_and(|front| front.index <= last) {
            in_flight.extend(self.in_flight.pop_front());
        }
        let bytes = entries.iter().map(entry_bytes).sum();
        self.apply_backlog_bytes += bytes;
        let region_id = self.region_id();
        Some(ApplyTask::Entries(CommittedEntries { region_id, entries, in_flight, bytes, is_next }))
    }

    /// Puts a raft message into our envelope. `None` if its addressee is no member (any more), or if raft-rs made it
    /// wrongly: it then counts as lost, and raft sends what is still needed.
    pub(super) fn seal(&self, message: &Message) -> Option<(StoreId, RaftMessage)> {
        if !is_continuous(message) {
            return None;
        }
        let guest = || self.guests.iter().find(|guest| guest.id == message.to);
        let to = *self.region.peer(PeerId(message.to)).or_else(guest)?;
        let bytes = message.write_to_bytes().expect("raft fills every field of the messages it makes");
        let mut envelope = RaftMessage {
            region_id: self.region.id,
            from_peer: Some(self.me),
            to_peer: Some(to),
            message: bytes.into(),
            region_epoch: Some(self.newest_epoch()),
            ..Default::default()
        };
        if is_first_contact(message) {
            // By this a store that has no peer of the region yet knows whether there is room for one.
            envelope.start_key = self.region.start_key.clone();
            envelope.end_key = self.region.end_key.clone();
        }
        Some((StoreId(to.store_id), envelope))
    }

    /// Tells raft that messages to the peer on `store` were lost.
    pub fn unreachable(&mut self, store: StoreId) {
        if let Some(peer) = self.region.peer_on(store).map(|peer| peer.id).filter(|_| self.leads()) {
            self.raw.report_unreachable(peer);
        }
    }

    /// First index of the log, for tests and tools.
    pub fn first_index(&self) -> u64 {
        self.raw.store().first_index().unwrap_or(0)
    }
}

/// Whether a message may be the first that a peer gets from its group: a leader's heart-beat to one that has
/// acknowledged nothing, or a campaign.
pub fn is_first_contact(message: &Message) -> bool {
    match message.get_msg_type() {
        MessageType::MsgHeartbeat => message.commit == 0,
        MessageType::MsgRequestVote | MessageType::MsgRequestPreVote => true,
        _ => false,
    }
}

/// When a message may leave.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// At once.
    First,
    /// After the round's write.
    Last,
}
