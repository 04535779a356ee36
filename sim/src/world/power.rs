//! Nodes go up and down: started on their disks, killed with what they did not sync, and stopped by failures of theirs.
//! Each start is a new life on what the disk kept of those before.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nokv_engine::Error as EngineError;
use nokv_raftstore::StoreError;
use nokv_transport::StoreId;

use super::{Node, Slot, Standing, World};

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
        if slot.node.lock().is_some() || slot.standing() != Standing::Used {
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
        let kept = slot.crash(loss, &mut self.random.lock());
        self.note(format_args!("store {} is down; {kept}", slot.store));
    }

    /// A store's machine is gone for good, and its disk with it. The first spare one takes its place, as another store,
    /// which nobody knows yet.
    pub fn lose(self: &Arc<Self>, store: StoreId) {
        self.kill(store, Loss::Everything, None);
        let Some(slot) = self.slot(store) else { return };
        slot.set_standing(Standing::Lost);
        self.note(format_args!("store {store} is lost"));
        if let Some(spare) = self.slots.iter().find(|slot| slot.standing() == Standing::Spare) {
            spare.set_standing(Standing::Used);
            self.start(spare.store);
        }
    }

    /// Ends all nodes: nothing of them is left, and nothing of what they held.
    pub fn end(&self) {
        for slot in &self.slots {
            if let Some(node) = slot.node.lock().take() {
                node.process.kill();
            }
            // What is on its way holds on to the network, which holds on to it.
            self.network.crash(slot.store);
        }
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
                match self.slot(store).filter(|slot| slot.node().is_none()) {
                    // It failed while it started. A process that ends takes the failure of its disk with it.
                    Some(slot) => self.crash_disk(slot, Loss::AllBut(permille)),
                    None => self.kill(store, Loss::AllBut(permille), None),
                }
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
                slot.set_faults(nokv_engine::FaultPlan::default(), None);
            }
            world.start(store);
        });
    }
}
