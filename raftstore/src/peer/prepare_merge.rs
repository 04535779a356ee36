//! The leader of a region that is to be merged proposes to freeze it. It refuses what could leave a member behind: the
//! target's entry will carry what some replica may still lack, and that must be little, and plain.

use nokv_proto::metapb::Region;
use raft::eraftpb::{Entry, EntryType};
use raft::{GetEntriesContext, ProgressState};

use super::Peer;
use crate::apply::InFlight;
use crate::entry::{Payload, changes_region, prepare_merge};
use crate::merge::{MergeRequest, why_not};
use crate::message::Waiter;
use crate::{RegionError, RegionExt};

/// Entries that a member may lack when a merge begins; all members wait for them.
const GAP_ENTRIES_MAX: u64 = 1_024;

impl Peer {
    /// Takes a merge in, or tells its waiter at once why not. `target` is the neighbour as this store knows it. The
    /// waiter is told when the merge is done here, or is not to be.
    pub fn propose_merge(&mut self, request: &MergeRequest, target: Result<Region, RegionError>, waiter: Waiter) {
        let proposed = self.check_merge(request, target).and_then(|(target, min_index)| {
            let data = prepare_merge(self.region.epoch(), min_index, &target);
            self.raw.propose(Vec::new(), data).map_err(|_| self.why_dropped())
        });
        match proposed {
            Ok(()) => {
                let index = self.raw.raft.raft_log.last_index();
                self.in_flight.push_back(InFlight { index, term: self.term(), waiters: Vec::new() });
                self.merging.waiter = Some((index, waiter));
                self.announce_commits_until(index);
            }
            Err(error) => waiter.tell(Err(error)),
        }
    }

    /// The target, and the first entry that some member may lack.
    fn check_merge(
        &mut self,
        request: &MergeRequest,
        target: Result<Region, RegionError>,
    ) -> Result<(Region, u64), RegionError> {
        self.observe();
        if !self.leads() {
            return Err(self.not_leader());
        }
        self.check_not_merging()?;
        if request.source_epoch != self.region.epoch() {
            return Err(RegionError::EpochNotMatch { current: vec![self.region.as_ref().clone()] });
        }
        let target = target?;
        if request.target_epoch != target.epoch() {
            return Err(RegionError::EpochNotMatch { current: vec![target] });
        }
        let refused = self.why_no_change().or_else(|| why_not(&self.region, &target));
        match refused.map_or_else(|| self.first_missing(), Err) {
            Ok(min_index) => Ok((target, min_index)),
            Err(reason) => Err(RegionError::MergeRefused { region: self.region_id(), reason: reason.to_owned() }),
        }
    }

    /// The first entry that some member may lack, if those from there on may travel in the target's log.
    fn first_missing(&self) -> Result<u64, &'static str> {
        if self.merging.waiter.is_some() {
            return Err("it is being merged already");
        }
        if !self.caught_up_with_term() {
            return Err("its leader is new; try again in a moment");
        }
        let progress = || self.raw.raft.prs().iter().map(|(_, progress)| progress);
        let matched = progress().map(|progress| progress.matched).min().unwrap_or(0);
        let last = self.raw.raft.raft_log.last_index();
        if matched == 0 || progress().any(|progress| progress.state == ProgressState::Snapshot) {
            return Err("a member has not answered its leader, or waits for an image; try again later");
        }
        if last - matched > GAP_ENTRIES_MAX || matched < self.raw.store().truncated_index() {
            return Err("a member lags too far behind; try again when it has caught up");
        }
        let entries = self.raw.raft.raft_log.entries(matched + 1, None, GetEntriesContext::empty(false));
        let entries = entries.map_err(|_| "its log cannot be read now; try again")?;
        let bytes: usize = entries.iter().map(|entry| entry.data.len()).sum();
        if bytes > self.config.entry_bytes_max / 2 {
            return Err("a member lacks too many bytes of the log; try again when it has caught up");
        }
        let blocks = |entry: &Entry| match Payload::decode(&entry.data) {
            _ if entry.get_entry_type() != EntryType::EntryNormal || changes_region(&entry.data) => true,
            Some(Payload::CutLog { index, .. }) => index > matched,
            _ => false,
        };
        if entries.iter().any(blocks) {
            return Err("a change of the region is under way; try again when it is done");
        }
        Ok(matched + 1)
    }
}
