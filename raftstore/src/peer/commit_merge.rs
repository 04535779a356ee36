//! A prepared source offers itself, on every store, to its target there; the one that leads proposes to take it over.
//! It is offered again until that is decided, since leaders change and proposals are lost.

use nokv_transport::RegionId;
use raft::GetEntriesContext;
use raft::Storage as _;

use super::Peer;
use crate::RegionExt;
use crate::apply::InFlight;
use crate::entry::commit_merge;
use crate::merge::{CommitOrder, Source};

impl Peer {
    /// What the target needs to take this prepared source over; `None` if its log cannot be read now.
    pub fn offer(&self) -> Option<CommitOrder> {
        let prepared = self.merging.prepared.as_ref().filter(|_| self.dying.is_none())?;
        let (first, behind) = (prepared.min_index, prepared.commit + 1);
        let log = &self.raw.raft.raft_log;
        let entries = log.slice(first, behind, None, GetEntriesContext::empty(false)).ok()?;
        let before_term = log.term(first - 1).ok()?;
        let whole = entries.len() as u64 == behind - first && self.raw.store().first_index().ok()? <= first;
        let region = self.region.as_ref().clone();
        let source = Source { region, commit: prepared.commit, before_term, entries };
        whole.then(|| CommitOrder { target: RegionId(prepared.target.id), epoch: prepared.target.epoch(), source })
    }

    /// As target: takes the source over if this peer leads and has the epoch that the source named. If the proposal is
    /// lost, the source offers itself again.
    pub fn propose_commit_merge(&mut self, order: &CommitOrder) {
        self.observe();
        let fits = self.leads() && self.region.epoch() == order.epoch && self.merging.prepared.is_none();
        let under_way =
            self.merging.commit_at.is_some_and(|(term, index)| term == self.term() && index > self.applied_index);
        if !fits || under_way {
            return;
        }
        if self.raw.propose(Vec::new(), commit_merge(order.epoch, &order.source)).is_ok() {
            let (term, index) = (self.term(), self.raw.raft.raft_log.last_index());
            self.in_flight.push_back(InFlight { index, term, waiters: Vec::new() });
            self.merging.commit_at = Some((term, index));
            self.announce_commits_until(index);
        }
    }
}
