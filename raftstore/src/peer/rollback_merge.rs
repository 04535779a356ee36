//! A prepared source whose target went another way serves again. Each member tells the leader what it sees of the
//! target on its store; `merge` says why that is enough to know.

use nokv_proto::metapb::RegionEpoch;
use nokv_proto::raft_serverpb::{ExtraMessage, ExtraMessageType, RaftMessage};
use nokv_transport::{PeerId, StoreId};

use super::Peer;
use crate::apply::InFlight;
use crate::entry::rollback_merge;
use crate::{RegionError, RegionExt};

/// What a store sees of the target that its source peer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetSeen {
    /// It may take the source yet, as far as is known here.
    Before,
    /// It has another epoch, and this store cannot tell whether it took the source on the way.
    Past,
    /// It has another epoch, and did not take the source: it never will.
    SurelyPast,
}

impl TargetSeen {
    /// What a target's replica with `now`, all of whose changes since `known_since` came by its log, is to a source
    /// that waits for `wanted` and still lives beside it.
    pub fn of(wanted: RegionEpoch, now: RegionEpoch, known_since: RegionEpoch) -> Self {
        let beyond = |epoch: RegionEpoch| epoch.version > wanted.version || epoch.conf_ver > wanted.conf_ver;
        match (beyond(now), beyond(known_since)) {
            (false, _) => TargetSeen::Before,
            (true, true) => TargetSeen::Past,
            (true, false) => TargetSeen::SurelyPast,
        }
    }
}

impl Peer {
    /// This store sees the target so: the leader counts it, a follower tells the leader.
    pub fn saw_target(&mut self, seen: TargetSeen) -> Option<(StoreId, RaftMessage)> {
        let commit = self.merging.prepared.as_ref()?.commit;
        if seen == TargetSeen::Before {
            return None;
        }
        let surely = seen == TargetSeen::SurelyPast;
        if self.leads() {
            self.count_past(self.me.id, surely);
            return None;
        }
        let leader = self.leader().filter(|leader| leader.id != self.me.id)?;
        let mut message = self.envelope(leader);
        let kind = ExtraMessageType::MsgWantRollbackMerge.into();
        let extra = ExtraMessage { r#type: kind, index: commit, ..ExtraMessage::default() };
        message.extra_msg = Some(Box::new(extra));
        message.extra_ctx = vec![u8::from(surely)].into();
        Some((StoreId(leader.store_id), message))
    }

    /// A member tells what it sees.
    pub fn want_rollback(&mut self, message: &RaftMessage) {
        let prepared = self.merging.prepared.as_ref().map(|prepared| prepared.commit);
        let told = message.extra_msg.as_ref().map(|extra| extra.index);
        let from = message.from_peer.filter(|from| self.region.peer(PeerId(from.id)).is_some());
        if let Some(from) = from.filter(|_| prepared.is_some() && prepared == told && self.leads()) {
            self.count_past(from.id, message.extra_ctx.first() == Some(&1));
        }
    }

    fn count_past(&mut self, peer: u64, surely: bool) {
        *self.merging.past.entry(peer).or_default() |= surely;
        let all = self.region.peers.iter().all(|member| self.merging.past.contains_key(&member.id));
        let under_way =
            self.merging.rollback_at.is_some_and(|(term, index)| term == self.term() && index > self.applied_index);
        let known = all || self.merging.past.values().any(|surely| *surely);
        let Some(commit) = self.merging.prepared.as_ref().map(|prepared| prepared.commit) else { return };
        // If it is dropped, it is proposed again when the next member tells.
        if known && !under_way && self.raw.propose(Vec::new(), rollback_merge(commit)).is_ok() {
            let (term, index) = (self.term(), self.raw.raft.raft_log.last_index());
            self.in_flight.push_back(InFlight { index, term, waiters: Vec::new() });
            self.merging.rollback_at = Some((term, index));
            self.announce_commits_until(index);
        }
    }

    /// Refuses a merge because of its target: told to the waiter by whoever knows the target.
    pub fn unknown_target(region: nokv_transport::RegionId) -> RegionError {
        let reason = "this store has no such target; ask a store that has both".to_owned();
        RegionError::MergeRefused { region, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passed_by_the_log_is_sure() {
        let epoch = |version, conf_ver| RegionEpoch { version, conf_ver };
        let wanted = epoch(4, 2);
        let of = |now, since| TargetSeen::of(wanted, now, since);
        assert_eq!(of(epoch(4, 2), epoch(4, 2)), TargetSeen::Before);
        assert_eq!(of(epoch(3, 2), epoch(3, 2)), TargetSeen::Before);
        assert_eq!(of(epoch(5, 2), epoch(4, 2)), TargetSeen::SurelyPast);
        assert_eq!(of(epoch(4, 3), epoch(1, 1)), TargetSeen::SurelyPast);
        assert_eq!(of(epoch(6, 2), epoch(5, 2)), TargetSeen::Past);
    }
}
