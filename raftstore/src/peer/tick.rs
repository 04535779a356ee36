//! Time passes: raft's tick, and what must not wait for ever.
//! Election timeouts are drawn from the seed, in place of raft-rs' own entropy.

use nokv_proto::raft_serverpb::RaftMessage;
use nokv_transport::StoreId;
use raft::StateRole;

use super::Peer;
use crate::records::INITIAL_TERM;
use crate::{MonotonicTime, StoreError};

/// Ticks without a word after which a peer without data is dropped; it is created again when a word comes.
const FORGOTTEN_AFTER_TICKS: usize = 100;

impl Peer {
    /// One raft tick, which a peer that sleeps does not notice; one that was quiet for `sleep_after` of them (0: never)
    /// goes to sleep. Returns whether there may be something to do, and what the others are to be told beside Raft.
    pub fn tick(&mut self, now: MonotonicTime, sleep_after: usize) -> (bool, Vec<(StoreId, RaftMessage)>) {
        if self.dying.is_some() {
            return (true, Vec::new());
        }
        if self.tick_asleep() {
            return (false, Vec::new());
        }
        self.quiet_ticks += 1;
        self.image_waits_ticks += usize::from(self.arrived.is_some());
        self.draw_timeout();
        self.raw.tick();
        self.tick_reads(now);
        self.leave_joint();
        self.tick_shelf(now);
        self.propose_log_cut();
        let spare =
            if self.applied_index == self.raw.raft.raft_log.last_index() { 0 } else { self.config.cache_bytes_max };
        let held_by_all = self.held_by_all();
        self.raw.mut_store().shrink_cache(held_by_all, spare);
        (true, self.tick_awake(sleep_after))
    }

    /// Whether this peer waits for its first image, and nobody has written to it for long: its group may have gone on
    /// without it.
    pub fn is_forgotten(&self) -> bool {
        !self.has_data()
            && self.quiet_ticks > FORGOTTEN_AFTER_TICKS
            && self.arrived.is_none()
            && self.restoring.is_none()
    }

    /// Campaigns without waiting for the timeout, if the group has never had a leader: for the peer that the topology
    /// names as the first one.
    ///
    /// # Errors
    /// If raft cannot.
    pub fn campaign_first(&mut self) -> Result<(), StoreError> {
        if self.term() != INITIAL_TERM {
            return Ok(());
        }
        self.campaign()
    }

    /// Draws an election timeout on every change of term or role that a tick sees and for every campaign, and sets it
    /// at every tick: between two ticks raft-rs may have drawn one of its own and be back in the same term and role.
    fn draw_timeout(&mut self) {
        let era = (self.term(), self.raw.raft.state);
        let campaigns_anew =
            matches!(era.1, StateRole::Candidate | StateRole::PreCandidate) && self.raw.raft.election_elapsed == 0;
        if campaigns_anew || self.timeout_drawn_for != Some(era) {
            self.timeout_drawn_for = Some(era);
            self.timeout_ticks = self.timeouts.usize(self.config.election_ticks_min..self.config.election_ticks_max);
        }
        self.raw.raft.set_randomized_election_timeout(self.timeout_ticks);
    }

    /// The last entry that is applied here and, as far as a leader knows, held by every replica.
    fn held_by_all(&self) -> u64 {
        let applied = self.applied_index;
        if !self.leads() {
            return applied;
        }
        self.raw.raft.prs().iter().map(|(_, progress)| progress.matched).min().unwrap_or(0).min(applied)
    }
}
