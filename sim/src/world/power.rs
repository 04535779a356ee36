//! Nodes go up and down: started on their disks, killed with what they did not sync, and stopped by failures of theirs.
//! Each start is a new life on what the disk kept of those before.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nokv_engine::Error as EngineError;
use nokv_raftstore::StoreError;
use nokv_transport::StoreId;

use super::{Node, Slot, World};

/// What a kill takes of what was written and not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: the process dies, its operating system lives on and writes everything out.
    Nothing,
    /// Everything: a power failure at its worst.
    Everything,
    /// All but the first so many per mille of the unsynced writes.
    AllBut(u64),
}

impl World {
    /// Starts a store that is down.
    pub fn start(self: &Arc<Self>, store: StoreId) {
        let Some(slot) = self.slot(store) else { return };
        if slot.node.lock().is_some() {
            return;
        }
        let life = slot.lives.fetch_add(1, Ordering::Relaxed) + 1;
        self.note(format_args!("store {store} starts, life {life}"));
        match Node::start(self, slot, life) {
            Ok(node) => {
                *slot.node.lock() = Some(node.clone());
                node.run(self);
                self.check_after_start(slot);
            }
            // Its disk may fail while it starts; whoever mends disks starts it again.
            Err(error) => self.store_failed(store, &error),
        }
    }

    /// Starts every store that is down.
    pub fn start_all(self: &Arc<Self>) {
        for slot in self.slots() {
            self.start(slot.store);
        }
    }

    /// Kills a store; it comes back by itself after `downtime`, if that is given.
    pub fn kill(self: &Arc<Self>, store: StoreId, loss: Loss, downtime: Option<Duration>) {
        let Some(slot) = self.slot(store) else { return };
        let Some(node) = slot.node.lock().take() else { return };
        node.process.kill();
        self.network.crash(store);
        self.crash_disk(slot, loss);
        self.counts.kills.fetch_add(1, Ordering::Relaxed);
        if let Some(downtime) = downtime {
            self.start_later(store, downtime);
        }
    }

    /// Starts a store after a while, if nobody does so earlier.
    pub fn start_later(self: &Arc<Self>, store: StoreId, downtime: Duration) {
        let world = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(downtime).await;
            world.start(store);
        });
    }

    fn crash_disk(&self, slot: &Slot, loss: Loss) {
        let mut engine = slot.engine.lock();
        let unsynced = engine.unsynced_batches();
        let keep = match loss {
            Loss::Nothing => usize::MAX,
            Loss::Everything => 0,
            Loss::AllBut(permille) => {
                usize::try_from(unsynced as u64 * permille.min(1_000) / 1_000).unwrap_or(usize::MAX)
            }
        };
        self.note(format_args!("store {} is down; keeps {} of {unsynced} writes", slot.store, keep.min(unsynced)));
        *engine = engine.crash(keep);
    }

    /// A node cannot go on, by its own account. That is right if its disk was made to fail, and a defect otherwise.
    pub(super) fn store_failed(self: &Arc<Self>, store: StoreId, error: &StoreError) {
        match error {
            StoreError::Engine(EngineError::Closed) => {}
            StoreError::Engine(EngineError::Disk(reason)) => {
                self.note(format_args!("store {store} stops: {reason}"));
                self.counts.disk_failures.fetch_add(1, Ordering::Relaxed);
                let (permille, downtime) = {
                    let mut random = self.random.lock();
                    (random.below(1_001), random.millis(100, 4_000))
                };
                self.kill(store, Loss::AllBut(permille), None);
                self.mend_and_start_later(store, downtime);
            }
            other => self.violate("a node only stops for its disk", format!("store {store}: {other}")),
        }
    }

    fn mend_and_start_later(self: &Arc<Self>, store: StoreId, downtime: Duration) {
        let world = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(downtime).await;
            if let Some(slot) = world.slot(store) {
                slot.engine().set_faults(nokv_engine::FaultPlan::default());
            }
            world.start(store);
        });
    }
}
