//! A raft message arrives: everything that its envelope claims is checked before raft sees it, since raft-rs trusts its
//! input and panics, or answers wrongly, where the rules of `docs/invariants.md` are not kept.

use nokv_proto::raft_serverpb::RaftMessage;
use nokv_transport::PeerId;
use protobuf::Message as _;
use raft::ProgressState;
use raft::eraftpb::{Message, MessageType};

use super::Peer;
use crate::{MonotonicTime, RegionExt, StoreError};

/// The context by which raft-rs marks a campaign that its leader ordered.
const CAMPAIGN_TRANSFER: &[u8] = b"CampaignTransfer";

/// Senders that are no members, remembered to be answered.
const GUESTS_MAX: usize = 16;

/// Whose a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressed {
    /// It is for this peer.
    Me,
    /// It is for a later peer on this store: this one was removed.
    MySuccessor,
    /// Its sender was removed and does not know.
    FromTheDead,
    /// It is for nobody here.
    Nobody,
}

impl Peer {
    /// Takes in a message that is [`Addressed::Me`]. Messages that do not fit are dropped: raft repeats what matters.
    ///
    /// # Errors
    /// [`StoreError::LogLost`] if the leader counts on entries that this store does not have.
    pub fn step(&mut self, envelope: &RaftMessage, now: MonotonicTime) -> Result<(), StoreError> {
        let Some(message) = self.open(envelope) else { return Ok(()) };
        if self.keeps_silent(&message, now) || self.would_forget_leader(&message) {
            return Ok(());
        }
        self.check_log_kept(&message)?;
        if !is_answer(&message) {
            self.stir();
        }
        self.meet(envelope);
        let accepted =
            (message.get_msg_type() == MessageType::MsgAppendResponse && !message.reject).then_some(message.from);
        self.step_raft(message)?;
        accepted.into_iter().for_each(|peer| self.feed_from_log(peer));
        Ok(())
    }

    /// A peer that has all, and said so while its image was still held to be under way, is probed by raft until there
    /// is something new to send it: in an idle region that takes for ever, and until then it may neither vote nor lead.
    fn feed_from_log(&mut self, peer: u64) {
        let last_index = self.raw.raft.raft_log.last_index();
        if !self.leads() {
            return;
        }
        let progress = self.raw.raft.mut_prs().get_mut(peer);
        if let Some(progress) = progress.filter(|it| it.state == ProgressState::Probe && it.matched == last_index) {
            progress.become_replicate();
        }
    }

    pub(super) fn step_raft(&mut self, message: Message) -> Result<(), StoreError> {
        match self.raw.step(message) {
            Ok(()) | Err(raft::Error::StepPeerNotFound | raft::Error::StepLocalMsg | raft::Error::ProposalDropped) => {
                Ok(())
            }
            Err(error) => Err(StoreError::Raft { region: self.region_id(), reason: error.to_string() }),
        }
    }

    /// Whose a message is, by what its envelope says.
    pub fn addressed(&self, envelope: &RaftMessage) -> Addressed {
        let (Some(from), Some(to)) = (envelope.from_peer, envelope.to_peer) else { return Addressed::Nobody };
        if self.dying.is_some() {
            return Addressed::Nobody;
        }
        let known = self.newest_epoch().conf_ver;
        let shown = envelope.region_epoch.map_or(0, |epoch| epoch.conf_ver);
        if to.id != self.me.id {
            // Ids only rise: a later peer of this store means that this one was removed.
            let replaced = to.id > self.me.id && to.store_id == self.me.store_id && shown > known;
            return if replaced && self.has_applied_all() { Addressed::MySuccessor } else { Addressed::Nobody };
        }
        // A sender that is no member here may be one by a change that we have not applied yet, but only if it knows
        // more than we do.
        if self.region.peer(PeerId(from.id)).is_some() || shown > self.region.epoch().conf_ver {
            Addressed::Me
        } else if shown < known && self.has_data() {
            // Without data it cannot tell: the epoch is hearsay then, and the members are unknown.
            Addressed::FromTheDead
        } else {
            Addressed::Nobody
        }
    }

    /// The raft message, if its envelope fits and it is of a kind that peers send.
    fn open(&self, envelope: &RaftMessage) -> Option<Message> {
        debug_assert_eq!(self.addressed(envelope), Addressed::Me, "the store looks at the envelope");
        let message = Message::parse_from_carllerche_bytes(&envelope.message).ok()?;
        let from = envelope.from_peer?.id;
        let fits = message.from == from && message.to == self.me.id;
        (fits && peers_send(message.get_msg_type()) && is_continuous(&message)).then_some(message)
    }

    /// Remembers how to answer a sender that is no member as far as this peer knows.
    pub(super) fn meet(&mut self, envelope: &RaftMessage) {
        self.quiet_ticks = 0;
        let Some(from) = envelope.from_peer.filter(|from| self.region.peer(PeerId(from.id)).is_none()) else { return };
        let shown = envelope.region_epoch.unwrap_or_default();
        if shown.conf_ver >= self.seen_epoch.conf_ver {
            self.seen_epoch = shown;
        }
        if !self.guests.contains(&from) {
            self.guests.truncate(GUESTS_MAX - 1);
            self.guests.insert(0, from);
        }
    }

    /// Whether a vote is asked for while this store may still be bound by a promise that it has forgotten.
    fn keeps_silent(&self, message: &Message, now: MonotonicTime) -> bool {
        let asks = matches!(message.get_msg_type(), MessageType::MsgRequestVote | MessageType::MsgRequestPreVote);
        asks && now < self.silent_until && message.context != CAMPAIGN_TRANSFER
    }

    /// Whether a mere answer from a later term would make this peer forget its leader, and with it the promise not to
    /// vote on which the leader's lease rests. raft keeps that promise against requests for votes, but takes the term
    /// of any answer: one that rejects a pre-vote of long ago is enough. It counts as lost; a leader of that term shows
    /// itself.
    fn would_forget_leader(&self, message: &Message) -> bool {
        let raft = &self.raw.raft;
        let is_bound = raft.leader_id != 0 && !self.leads() && raft.election_elapsed < raft.election_timeout();
        let votes = [MessageType::MsgRequestVoteResponse, MessageType::MsgRequestPreVoteResponse];
        is_bound && message.term > raft.term && (is_answer(message) || votes.contains(&message.get_msg_type()))
    }

    /// A heart-beat carries no more than what this peer once acknowledged; if that is beyond our log, we lost data.
    fn check_log_kept(&self, message: &Message) -> Result<(), StoreError> {
        let last = self.raw.raft.raft_log.last_index();
        if message.get_msg_type() == MessageType::MsgHeartbeat && message.term >= self.term() && message.commit > last {
            return Err(StoreError::LogLost { region: self.region_id(), expected: message.commit, actual: last });
        }
        Ok(())
    }
}

/// Whether an append's entries follow the entry that it names as the one before them.
///
/// With `batch_append`, raft-rs 0.7 adds entries to an append that waits to leave, and if that one has no entries yet
/// it does not look whether they follow it. A leader whose follower has just rejected an empty append makes such a
/// message; the receiver would count from the wrong place and acknowledge entries that it does not have.
pub(super) fn is_continuous(message: &Message) -> bool {
    let first = message.entries.first();
    message.get_msg_type() != MessageType::MsgAppend || first.is_none_or(|first| first.index == message.index + 1)
}

/// The kinds that cross between nodes. Read indexes and proposals are never forwarded by raft: a forwarded read index
/// can confirm a later read, and a forwarded proposal has nobody who waits for it.
fn peers_send(kind: MessageType) -> bool {
    matches!(
        kind,
        MessageType::MsgAppend
            | MessageType::MsgAppendResponse
            | MessageType::MsgRequestVote
            | MessageType::MsgRequestVoteResponse
            | MessageType::MsgRequestPreVote
            | MessageType::MsgRequestPreVoteResponse
            | MessageType::MsgHeartbeat
            | MessageType::MsgHeartbeatResponse
            | MessageType::MsgTimeoutNow
    )
}

/// Whether a message only answers one that its receiver sent before it fell asleep.
fn is_answer(message: &Message) -> bool {
    matches!(message.get_msg_type(), MessageType::MsgHeartbeatResponse | MessageType::MsgAppendResponse)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(before: u64, indexes: &[u64]) -> Message {
        let entry = |index: &u64| raft::eraftpb::Entry { index: *index, ..Default::default() };
        let mut message = Message { index: before, ..Default::default() };
        message.set_msg_type(MessageType::MsgAppend);
        message.set_entries(indexes.iter().map(entry).collect::<Vec<_>>().into());
        message
    }

    #[test]
    fn an_append_must_follow_the_entry_that_it_names() {
        assert!(is_continuous(&append(74, &[])));
        assert!(is_continuous(&append(74, &[75, 76])));
        assert!(!is_continuous(&append(74, &[73, 74])));
    }
}
