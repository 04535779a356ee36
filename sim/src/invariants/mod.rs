//! What must hold at every moment, looked at from outside: not by asking the code under test whether all is well, but
//! by comparing what the nodes do, send and keep. One file a rule; the hooks that feed them are here.
//!
//! | file | what |
//! | --- | --- |
//! | `one_leader.rs`, `lease_reads.rs` | who leads, and until when |
//! | `log_matching.rs`, `acknowledged_on_quorum.rs` | the logs |
//! | `applied_prefix.rs`, `same_state.rs`, `own_range.rs` | what replicas make of them |
//! | `regions_tile.rs`, `epochs.rs`, `tombstones.rs` | what becomes of regions and their members |
//! | `no_lock_left.rs`, `timestamps.rs` | transactions, and their time |
//! | `bounds.rs` | what waits |
//! | `healed.rs` | what must be so in the end |

mod acknowledged_on_quorum;
mod applied_prefix;
mod bounds;
mod epochs;
mod healed;
mod lease_reads;
mod log_matching;
mod no_lock_left;
mod one_leader;
mod own_range;
mod regions_tile;
mod same_state;
mod timestamps;
mod tombstones;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use nokv_engine::Engine as _;
use nokv_raftstore::apply::{Applied, ApplyTask, Change};
use nokv_raftstore::message::StoreMessage;
use nokv_raftstore::store::Store;
use nokv_transport::RegionId;

use crate::world::{Node, Slot, World};

pub use acknowledged_on_quorum::LastLogs;
pub use applied_prefix::AppliedPrefix;
pub use epochs::Epochs;
pub use lease_reads::LeaseReads;
pub use one_leader::OneLeader;
pub use regions_tile::tiles;
pub use same_state::SameState;
pub use timestamps::Timestamps;
pub use tombstones::Tombstones;

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
    /// Epochs grow, and each means one thing.
    pub epochs: Epochs,
    /// Removed replicas stay away.
    pub tombstones: Tombstones,
    /// What removed replicas had in their logs.
    pub last_logs: LastLogs,
}

impl World {
    /// A node has come up on its disk.
    pub fn check_after_start(&self, slot: &Slot) {
        let Some(node) = slot.node() else { return };
        for region in node.applied.lock().keys() {
            self.expect("equally applied replicas are equal", self.invariants.same_state.look(&node, *region));
        }
        self.check_tombstones(slot);
    }

    /// A raft loop has ended a round; `waiting` messages are in its mailbox.
    pub fn check_after_round(&self, node: &Node, store: &Store, waiting: usize) {
        node.see(store);
        for peer in store.peers() {
            let (region, me) = (peer.region_id(), peer.me().id);
            self.expect("removed replicas stay away", self.invariants.tombstones.lives(node.store, region, me));
            let shown = self.invariants.epochs.shows(node.store, node.life, me, peer.region());
            self.expect("epochs only grow", shown);
            if peer.leads() {
                let held = self.invariants.one_leader.leads(region, peer.term(), node.store);
                self.expect("one leader a term", held);
                self.expect("lease reads are never stale", self.invariants.lease_reads.check(self, region));
                self.expect("a key has one owner", regions_tile::check_leases(self, node, region));
            }
        }
        self.expect("queues keep their bounds", bounds::check(self, node, waiting));
    }

    /// Committed entries are about to be applied.
    pub fn check_before_apply(&self, node: &Node, task: &ApplyTask) {
        let ApplyTask::Entries(task) = task else { return };
        let held = self.invariants.applied_prefix.applies(task.region_id, node.store, &task.entries);
        self.expect("all replicas apply the same entries", held);
        if let Some(slot) = self.slot(node.store) {
            self.invariants.last_logs.note(slot, task.region_id, &task.entries);
        }
        self.expect("regions tile the keyspace", self.atlas.applies(task.region_id, &task.entries));
        if let Some(last) = task.entries.last() {
            let held = acknowledged_on_quorum::check(self, node, task.region_id, last.index);
            self.expect("what is committed is on a quorum's disks", held);
        }
    }

    /// The entries of `region` from `first` to `last` lead to these operations, which are not written yet.
    pub fn check_operations(&self, region: RegionId, first: u64, last: u64, operations: &[u8]) {
        let held = own_range::check(self, region, first, last, operations);
        self.expect("entries keep to their region", held);
    }

    /// Entries were applied: their effects are in the node's engine, and nobody was told yet.
    pub fn check_after_apply(&self, node: &Node, applied: &[Applied]) {
        for report in applied {
            self.note(format_args!("store {} applied region {} to {}", node.store, report.region_id, report.index));
            node.applied.lock().insert(report.region_id, report.index);
            self.expect("lease reads are never stale", self.invariants.lease_reads.check(self, report.region_id));
            if report.index % 8 == 0 || !report.changes.is_empty() {
                let held = self.invariants.same_state.look(node, report.region_id);
                self.expect("equally applied replicas are equal", held);
            }
        }
    }

    /// An apply loop reports to its raft loop. Entries were looked at already; images were not.
    pub fn check_after_action(&self, node: &Node, report: &StoreMessage) {
        let StoreMessage::Applied(reports) = report else { return };
        for report in reports.iter().filter(|report| report.changes.contains(&Change::Image)) {
            self.counts.images.fetch_add(1, Ordering::Relaxed);
            self.check_after_apply(node, std::slice::from_ref(report));
        }
    }

    /// From time to time: what takes longer to look at.
    pub fn check_from_time_to_time(&self) {
        let nodes = self.nodes();
        for region in self.atlas.current() {
            self.expect("logs match", log_matching::check(&nodes, region.id));
        }
        self.slots().into_iter().for_each(|slot| self.check_tombstones(slot));
    }

    fn check_tombstones(&self, slot: &Slot) {
        let durable = slot.durable_data();
        // Before its first start, a store's disk says nothing.
        if durable.imports().is_ok() {
            let node = slot.node();
            let goes = |region| node.as_ref().is_some_and(|node| node.gate(region).is_some());
            let held = self.invariants.tombstones.read(slot.store, &durable, goes);
            self.expect("removed replicas stay away", held);
        }
    }

    /// All faults are over and everything had its time: nothing may be left undone.
    ///
    /// # Errors
    /// What is not as it should be yet.
    pub fn is_healed(&self) -> Result<(), String> {
        healed::check(self)
    }

    /// After [`World::is_healed`]: the replicas of each region are the same, byte for byte.
    pub fn check_replicas(&self) {
        for region in self.atlas.current() {
            for node in self.nodes() {
                let held = self.invariants.same_state.look(&node, nokv_raftstore::RegionExt::region_id(&region));
                self.expect("equally applied replicas are equal", held);
            }
        }
        self.check_from_time_to_time();
    }
}

/// Shorthand for the tests of the rules.
pub(crate) type Nodes<'a> = &'a [Arc<Node>];
