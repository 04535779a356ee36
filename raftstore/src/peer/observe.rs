//! raft's role, term or leader may have changed: the gate learns of it, and whoever waited on the old leadership is
//! told. It runs before any message of the round leaves, so that a vote never overtakes the closing of the gate.

use raft::StateRole;

use super::Peer;
use crate::RegionError;
use crate::gate::{GateState, Role};

impl Peer {
    /// Publishes what changed. Returns whether anything did.
    pub(super) fn observe(&mut self) -> bool {
        let role = role(self.raw.raft.state);
        let (term, leader) = (self.term(), self.leader());
        let seen = self.gate.state();
        if seen.role == role && seen.term == term && seen.leader == leader {
            return false;
        }
        let lost = seen.role == Role::Leader && (role != Role::Leader || seen.term != term);
        let new_term = seen.term != term;
        let won = role == Role::Leader && (seen.role != Role::Leader || new_term);
        drop(seen);
        self.gate.set_state(GateState { region: self.region.clone(), peer: self.me, role, term, leader });
        if new_term || lost {
            self.lease.reset();
        }
        if lost {
            self.abandon_leadership();
        }
        if won {
            // Its first entry: a region in which nothing else happens is then at rest on all stores.
            self.announce_commits_until(self.raw.raft.raft_log.last_index());
        }
        true
    }

    /// Opens the gate as far as the lease goes, or keeps it closed.
    pub(super) fn publish_lease(&mut self) {
        let caught_up = self.caught_up_with_term() || nokv_engine::is_planted("read before the own term is applied");
        let open =
            self.leads() && caught_up && self.closed_until <= self.applied_index && self.merging.prepared.is_none();
        let until = if open { self.lease.until() } else { crate::MonotonicTime::default() };
        if self.gate.lease_until() != until {
            self.gate.set_lease(until);
        }
    }

    /// Publishes how far the log has come.
    pub(super) fn publish_progress(&self) {
        let log = &self.raw.raft.raft_log;
        self.gate.set_progress(self.applied_index, log.committed, log.last_index());
        self.gate.set_told(self.told_index());
    }

    /// What was proposed may or may not survive in another leader's log; only that leader can tell.
    pub(super) fn abandon_leadership(&mut self) {
        let proposed = std::mem::take(&mut self.in_flight).into_iter().flat_map(|entry| entry.waiters);
        proposed.for_each(|waiter| waiter.tell(Err(RegionError::StaleCommand)));
        self.proposals_bytes = 0;
        self.gate.set_crowded(false);
        for (_, waiter) in std::mem::take(&mut self.proposals) {
            waiter.tell(Err(self.not_leader()));
        }
        self.refuse_reads();
        self.abandon_merge();
    }
}

fn role(state: StateRole) -> Role {
    match state {
        StateRole::Leader => Role::Leader,
        StateRole::Follower => Role::Follower,
        StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
    }
}
