//! The apply loop reports: entries took effect. Reads that waited for them go on, raft may hand out more, and a log
//! whose beginning nobody needs any more is cut.

use super::Peer;
use crate::apply::Applied;

impl Peer {
    /// The log may be cut up to this entry, with the next round.
    pub fn cut_log(&mut self, index: u64, term: u64) {
        self.cut = Some((index, term));
    }

    /// Has followers told of every commit at once until the entry at `index` is applied here. Else they learn of it
    /// with the next append or heart-beat, which saves a message and a round of theirs for every write; for what must
    /// happen on all stores, that may be a heart-beat too late. (Of changes of members raft itself tells them at once.)
    pub(super) fn announce_commits_until(&mut self, index: u64) {
        self.announced_until = index;
        self.raw.skip_bcast_commit(false);
    }

    /// Tells those followers what is committed that may not know, since one of them waits for it to serve a read.
    pub fn tell_commits(&mut self) {
        if !self.leads() || self.is_asleep() {
            return;
        }
        let committed = self.raw.raft.raft_log.committed;
        let waits = self.heard_followers().filter(|(_, knows)| *knows < committed).map(|(id, _)| id);
        for id in waits.collect::<Vec<_>>() {
            self.raw.raft.send_append(id);
        }
    }

    /// What every follower that answers knows to be committed, as far as this leader knows.
    pub(super) fn told_index(&self) -> u64 {
        if !self.leads() {
            return 0;
        }
        self.heard_followers().map(|(_, knows)| knows).min().unwrap_or(u64::MAX)
    }

    fn heard_followers(&self) -> impl Iterator<Item = (u64, u64)> {
        let others = self.raw.raft.prs().iter().filter(|(id, progress)| **id != self.me.id && progress.recent_active);
        others.map(|(id, progress)| (*id, progress.committed_index))
    }

    /// Takes in a report. What entries did to the replica itself is the store's to carry out, before this.
    pub fn applied(&mut self, report: &Applied) {
        debug_assert!(report.index >= self.applied_index, "apply never goes back");
        (self.applied_index, self.applied_term) = (report.index, report.term);
        self.gate.set_written(report.written_index);
        self.apply_backlog_bytes = self.apply_backlog_bytes.saturating_sub(report.bytes);
        self.raw.advance_apply_to(report.index);
        self.gate.size().add(report.written);
        self.gate.load().applied(report.written);
        self.settle_merge_waiter();
        if self.announced_until != 0 && self.announced_until <= report.index {
            self.announced_until = 0;
            self.raw.skip_bcast_commit(true);
        }
        self.release_reads();
        self.publish_lease();
        self.publish_progress();
        let cache_bytes_max = self.config.cache_bytes_max;
        self.raw.mut_store().shrink_cache(report.index, cache_bytes_max);
    }
}
