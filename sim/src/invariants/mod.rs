//! What must hold at every moment, looked at from outside: not by asking the code under test whether all is well, but
//! by comparing what the nodes do, send and keep. One file a rule; the hooks that feed them are here.
//!
//! | file | what |
//! | --- | --- |
//! | `one_leader.rs`, `lease_reads.rs` | who leads, and until when |
//! | `log_matching.rs`, `acknowledged_on_quorum.rs` | the logs |
//! | `applied_prefix.rs`, `same_state.rs` | what replicas make of them |
//! | `no_lock_left.rs`, `timestamps.rs` | transactions, and their time |
//! | `bounds.rs` | what waits |

mod acknowledged_on_quorum;
mod applied_prefix;
mod bounds;
mod lease_reads;
mod log_matching;
mod no_lock_left;
mod one_leader;
mod same_state;
mod timestamps;

use std::sync::Arc;

use nokv_raftstore::apply::{Applied, ApplyTask};
use nokv_raftstore::store::Store;
use nokv_transport::StoreId;

use crate::world::{Node, Slot, World};

pub use applied_prefix::AppliedPrefix;
pub use lease_reads::LeaseReads;
pub use one_leader::OneLeader;
pub use same_state::SameState;
pub use timestamps::Timestamps;

/// The rules that remember something.
#[derive(Debug, Default)]
pub struct Invariants {
    /// One leader a term.
    pub one_leader: OneLeader,
    /// All replicas apply the same entries.
    pub applied_prefix: AppliedPrefix,
    /// Replicas that applied equally far hold the same bytes.
    pub same_state: SameState,
    /// Reads under a lease show everything.
    pub lease_reads: LeaseReads,
    /// Timestamps are unique and rise.
    pub timestamps: Timestamps,
}

impl World {
    /// A node has come up on its disk.
    pub fn check_after_start(&self, slot: &Slot) {
        let Some(node) = slot.node() else { return };
        for region in &self.options.regions {
            self.expect("equally applied replicas are equal", self.invariants.same_state.look(&node, region));
        }
    }

    /// A raft loop has ended a round; `waiting` messages are in its mailbox.
    pub fn check_after_round(&self, node: &Node, store: &Store, waiting: usize) {
        for peer in store.peers().filter(|peer| peer.leads()) {
            let held = self.invariants.one_leader.leads(peer.region_id(), peer.term(), node.store);
            self.expect("one leader a term", held);
            self.expect("lease reads are never stale", self.invariants.lease_reads.check(self, peer.region_id()));
        }
        self.expect("queues keep their bounds", bounds::check(self, node, waiting));
    }

    /// Committed entries are about to be applied.
    pub fn check_before_apply(&self, node: &Node, task: &ApplyTask) {
        let ApplyTask::Entries(task) = task else { return };
        let held = self.invariants.applied_prefix.applies(task.region_id, node.store, &task.entries);
        self.expect("all replicas apply the same entries", held);
        if let Some(last) = task.entries.last() {
            let held = acknowledged_on_quorum::check(self, node, task.region_id, last.index);
            self.expect("what is committed is on a quorum's disks", held);
        }
    }

    /// Entries were applied: their effects are in the node's engine, and nobody was told yet.
    pub fn check_after_apply(&self, node: &Node, applied: &[Applied]) {
        for report in applied {
            self.note(format_args!("store {} applied region {} to {}", node.store, report.region_id, report.index));
            node.applied.lock().insert(report.region_id, report.index);
            self.expect("lease reads are never stale", self.invariants.lease_reads.check(self, report.region_id));
            if report.index % 8 != 0 {
                continue;
            }
            let region = self.options.regions.iter().find(|region| region.id == report.region_id.0);
            if let Some(region) = region {
                let held = self.invariants.same_state.look(node, region);
                self.expect("equally applied replicas are equal", held);
            }
        }
    }

    /// From time to time: what takes longer to look at.
    pub fn check_from_time_to_time(&self) {
        let nodes = self.nodes();
        for region in &self.options.regions {
            self.expect("logs match", log_matching::check(&nodes, region.id));
        }
    }

    /// All faults are over and everything had its time: nothing may be left undone.
    ///
    /// # Errors
    /// What is not as it should be yet.
    pub fn is_healed(&self) -> Result<(), String> {
        let nodes = self.nodes();
        if nodes.len() != self.slots().len() {
            return Err("a store is down".to_owned());
        }
        for region in &self.options.regions {
            let mut applied: Vec<(StoreId, u64, u64)> = Vec::new();
            let mut leaders = 0;
            for node in &nodes {
                let statuses = node.handle.regions();
                let Some(status) = statuses.iter().find(|status| status.state.region.id == region.id) else {
                    return Err(format!("store {} does not have region {}", node.store, region.id));
                };
                leaders += usize::from(status.state.check_leads().is_ok());
                applied.push((node.store, status.applied_index, status.last_index));
            }
            if leaders != 1 {
                return Err(format!("region {} has {leaders} leaders", region.id));
            }
            let last = applied.iter().map(|(_, _, last)| *last).max().unwrap_or(0);
            if applied.iter().any(|(_, applied, _)| *applied != last) {
                return Err(format!("region {}: (store, applied, last) {applied:?}", region.id));
            }
        }
        no_lock_left::check(&nodes)
    }

    /// After [`World::is_healed`]: the replicas of each region are the same, byte for byte.
    pub fn check_replicas(&self) {
        for region in &self.options.regions {
            for node in self.nodes() {
                let held = self.invariants.same_state.look(&node, region);
                self.expect("equally applied replicas are equal", held);
            }
        }
        self.check_from_time_to_time();
    }
}

/// Shorthand for the tests of the rules.
pub(crate) type Nodes<'a> = &'a [Arc<Node>];
