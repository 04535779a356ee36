//! A source gives its place on this store to its target: it catches up with what the target's log carries, applies it,
//! and from then on takes part in nothing. Before an image, it does so only if it knows that its region is merged.

use nokv_proto::raft_serverpb::RaftMessage;
use nokv_transport::{RegionId, StoreId};
use raft::StateRole;

use super::Peer;
use super::merge::Claimed;
use crate::StoreError;
use crate::merge::{Fate, Sealed, Source};

/// Ticks without a word after which a peer asks whether it still is one, and again.
const DOUBT_TICKS: usize = 100;

impl Peer {
    /// The target's log has taken this source: it catches up, and is sealed as soon as all of that is applied.
    ///
    /// # Errors
    /// [`StoreError::SourceLost`] if the log here does not lead up to that.
    pub fn claim_by_log(&mut self, target: RegionId, source: &Source) -> Result<(), StoreError> {
        // An image that claimed the place before may come again: the log goes first, for it needs what is here.
        self.unseal();
        if self.dying.is_some() {
            return Err(self.lost(target, "its peer was removed"));
        }
        let log = &self.raw.raft.raft_log;
        if log.committed < source.commit {
            let before = source.commit.saturating_sub(source.entries.len() as u64);
            let known = log.committed.max(before);
            let before_term = if known == before { source.before_term } else { log.term(known).unwrap_or(0) };
            let missing: Vec<_> = source.entries.iter().filter(|entry| entry.index > known).cloned().collect();
            if self.raw.raft.state != StateRole::Follower {
                let term = self.term();
                self.raw.raft.become_follower(term, 0);
            }
            let joined = self.raw.raft.raft_log.maybe_append(known, before_term, source.commit, &missing);
            joined.ok_or_else(|| self.lost(target, "its log does not reach up to what the merge brings"))?;
        }
        self.merging.claim = Some(Claimed { target, commit: source.commit, by_log: true, told: false });
        Ok(())
    }

    /// The target's image of `version` covers this region. Whether it gives way: only if it was merged, by what is
    /// known here.
    pub fn claim_by_image(&mut self, target: RegionId, version: u64) -> bool {
        let gives_way = self.fate().is_some_and(|fate| fate.leads_to(target, version));
        if gives_way && self.merging.claim.is_none() {
            self.merging.claim = Some(Claimed { target, commit: 0, by_log: false, told: false });
        }
        gives_way
    }

    /// Another store says that the region was merged. Of two that differ, the one that knows more counts.
    pub fn learn_fate(&mut self, fate: Fate) {
        let last = |fate: &Fate| fate.successors().last().map(|successor| successor.version);
        if self.merging.fate.as_ref().is_none_or(|known| last(known) <= last(&fate)) {
            self.merging.fate = Some(fate);
        }
    }

    /// What became of the region, if another store said that it was merged, and nobody claims the peer by a log.
    pub fn fate(&self) -> Option<&Fate> {
        let claimed = self.dying.is_some() || self.merging.claim.as_ref().is_some_and(|claim| claim.by_log);
        self.merging.fate.as_ref().filter(|_| !claimed)
    }

    /// Whether nobody has written to this peer for so long that its group may have gone on without it.
    pub fn is_doubtful(&self) -> bool {
        let long = self.quiet_ticks > 0 && self.quiet_ticks.is_multiple_of(DOUBT_TICKS);
        long && self.has_data() && self.dying.is_none()
    }

    /// Questions to all members whether this peer is still one: those that know of its end will answer.
    pub fn doubts(&self) -> Vec<(StoreId, RaftMessage)> {
        let others = self.region.peers.iter().filter(|peer| peer.id != self.me.id);
        others.map(|peer| (StoreId(peer.store_id), self.envelope(*peer))).collect()
    }

    /// Seals the peer if it is claimed and all that must be is applied. Tells whom, and whether its log claimed it.
    pub fn seal_if_due(&mut self) -> Option<(RegionId, Sealed, bool)> {
        let claim = self.merging.claim.as_ref().filter(|claim| !claim.told && self.applied_index >= claim.commit)?;
        let (target, by_log) = (claim.target, claim.by_log);
        self.set_sealed();
        if self.handed_index != self.applied_index {
            return None;
        }
        if let Some(claim) = self.merging.claim.as_mut() {
            claim.told = true;
        }
        let (log_first, log_last) = self.raw.store().on_disk();
        let region = self.region.as_ref().clone();
        Some((target, Sealed { region, me: self.me, log_first, log_last }, by_log))
    }

    /// A message without a raft message in it: asks whether the addressee is there, or carries something of our own.
    pub(super) fn envelope(&self, to: nokv_proto::metapb::Peer) -> RaftMessage {
        RaftMessage {
            region_id: self.region.id,
            from_peer: Some(self.me),
            to_peer: Some(to),
            region_epoch: Some(self.newest_epoch()),
            ..RaftMessage::default()
        }
    }

    fn lost(&self, into: RegionId, reason: &'static str) -> StoreError {
        StoreError::SourceLost { region: self.region_id(), into, reason }
    }
}
