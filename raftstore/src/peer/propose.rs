//! A write wants to be replicated. Proposals that wait together become as few log entries as their size allows, and
//! wait no longer than until the entries before them are committed.
//! Each is refused if the term or the epoch of the view that it was made from has moved.

use nokv_engine::is_planted;
use nokv_proto::metapb::RegionEpoch;

use super::Peer;
use crate::apply::InFlight;
use crate::entry::{WRITE_HEADER_BYTES, begin_write, cut_log};
use crate::message::{Proposal, Waiter};
use crate::{MonotonicTime, RegionError, RegionExt};

impl Peer {
    /// Takes a proposal in, or tells its waiter at once why not.
    pub fn propose(&mut self, proposal: Proposal, waiter: Waiter) {
        match self.check(&proposal) {
            Ok(()) => {
                self.proposals_bytes += proposal.batch.encoded_bytes();
                self.proposals.push((proposal, waiter));
            }
            Err(error) => waiter.tell(Err(error)),
        }
    }

    fn check(&self, proposal: &Proposal) -> Result<(), RegionError> {
        if !self.leads() {
            return Err(self.not_leader());
        }
        self.check_not_merging()?;
        if proposal.term != self.term() {
            return Err(RegionError::StaleCommand);
        }
        if proposal.epoch.version != self.region.epoch().version {
            return Err(RegionError::EpochNotMatch { current: vec![self.region.as_ref().clone()] });
        }
        let bytes = proposal.batch.encoded_bytes() + WRITE_HEADER_BYTES;
        if bytes > self.config.entry_bytes_max {
            return Err(RegionError::RaftEntryTooLarge {
                region: self.region_id(),
                entry_bytes: bytes as u64,
                entry_bytes_max: self.config.entry_bytes_max as u64,
            });
        }
        Ok(())
    }

    /// Whether as many entries are under way as may be at a time. What arrives meanwhile becomes one entry: to commit
    /// many small ones costs every replica a write, a sync and a message each.
    fn is_crowded(&self) -> bool {
        let log = &self.raw.raft.raft_log;
        self.leads() && log.last_index() - log.committed >= self.config.entries_under_way_max
    }

    /// Whether proposals wait that need not wait any longer.
    pub(super) fn has_due_proposals(&self) -> bool {
        let full = self.proposals_bytes >= self.config.entry_bytes_target;
        !self.proposals.is_empty() && (full || !self.is_crowded())
    }

    /// Publishes whether proposals wait for a commit; until then the loop is not woken for them.
    pub(super) fn publish_crowded(&self) {
        self.gate.set_crowded(self.is_crowded());
    }

    /// Hands the waiting proposals to raft, as entries of about the target size. `observe` has run: if this peer lost
    /// its leadership since they were taken in, they are gone, so that raft never forwards one.
    pub(super) fn flush_proposals(&mut self, now: MonotonicTime) {
        if !self.has_due_proposals() {
            return;
        }
        self.proposals_bytes = 0;
        let mut proposals = std::mem::take(&mut self.proposals);
        let mut data = Vec::new();
        let mut epoch = RegionEpoch::default();
        let mut waiters = Vec::new();
        for (proposal, waiter) in proposals.drain(..) {
            let full = data.len() + proposal.batch.encoded_bytes() > self.config.entry_bytes_target;
            if !data.is_empty() && (full || proposal.epoch != epoch) {
                self.propose_entry(std::mem::take(&mut data), std::mem::take(&mut waiters));
            }
            if data.is_empty() {
                epoch = proposal.epoch;
                begin_write(&mut data, epoch);
            }
            data.extend_from_slice(proposal.batch.as_slice());
            waiters.push(waiter);
        }
        self.propose_entry(data, waiters);
        self.proposals = proposals;
        self.lease.appended(self.raw.raft.raft_log.last_index(), now);
    }

    fn propose_entry(&mut self, data: Vec<u8>, waiters: Vec<Waiter>) {
        let last_before = self.raw.raft.raft_log.last_index();
        let outcome = self.raw.propose(Vec::new(), data);
        let index = self.raw.raft.raft_log.last_index();
        match outcome {
            Ok(()) => {
                debug_assert_eq!(index, last_before + 1, "a leader appends what it accepts");
                if is_planted("answer before commit") {
                    return waiters.into_iter().for_each(|waiter| waiter.tell(Ok(())));
                }
                self.in_flight.push_back(InFlight { index, term: self.term(), waiters });
            }
            Err(_) => {
                let error = self.why_dropped();
                waiters.into_iter().for_each(|waiter| waiter.tell(Err(error.clone())));
            }
        }
    }

    /// raft-rs drops proposals without saying why; these are its reasons.
    pub(super) fn why_dropped(&self) -> RegionError {
        if !self.leads() {
            return self.not_leader();
        }
        if let Some(heir) = self.raw.raft.lead_transferee {
            let leader = self.region.peer(nokv_transport::PeerId(heir)).copied();
            return RegionError::NotLeader { region: self.region_id(), leader };
        }
        let reason = format!("region {} has too many bytes that are not committed yet", self.region.id);
        RegionError::ServerIsBusy { reason, backoff_ms: 100 }
    }

    /// Proposes to cut the log once all replicas hold more than the slack beyond its beginning, or once it has
    /// outgrown its bounds: then whoever has not got it gets an image.
    pub(super) fn propose_log_cut(&mut self) {
        if !self.leads() || self.raw.raft.lead_transferee.is_some() || self.merging.prepared.is_some() {
            return;
        }
        let truncated = self.raw.store().truncated_index();
        let matched = self.raw.raft.prs().iter().map(|(_, progress)| progress.matched).min().unwrap_or(0);
        let mut index = matched.min(self.applied_index);
        if index < truncated + self.config.log_entries_slack {
            let entries = self.applied_index.saturating_sub(truncated);
            if entries <= self.config.log_entries_max && self.raw.store().bytes() <= self.config.log_bytes_max {
                return;
            }
            index = index.max(self.applied_index.min(self.spared_by_images(entries)));
        }
        if index <= truncated {
            return;
        }
        if let Ok(term) = self.raw.raft.raft_log.term(index) {
            // If it is dropped, the next tick proposes it again.
            let _ = self.raw.propose(Vec::new(), cut_log(index, term));
        }
    }
}
