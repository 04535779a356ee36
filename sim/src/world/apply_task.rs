//! Stands in for an apply loop's thread: takes what waits, writes it as one batch, tells the waiters, reports to the
//! raft loop. Time, hold-ups and death come in between.

use std::collections::VecDeque;
use std::sync::Arc;

use nokv_engine::Engine as _;
use nokv_raftstore::apply::{Applier, ApplyRound, ApplyTask};
use nokv_raftstore::message::Mailbox;
use nokv_raftstore::records::INITIAL_INDEX;
use nokv_raftstore::{RegionId, StoreError, TellHere};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Node, World};
use crate::random::Random;

/// Entries of about this size are put into one batch, as in the production loop.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Committed entries on their way from the raft loop to the apply loop.
#[derive(Debug, Default)]
pub(super) struct ApplyQueue {
    tasks: Mutex<VecDeque<ApplyTask>>,
    filled: Notify,
}

impl ApplyQueue {
    /// Leaves tasks.
    pub(super) fn add(&self, tasks: impl Iterator<Item = ApplyTask>) {
        let mut queue = self.tasks.lock();
        queue.extend(tasks);
        if !queue.is_empty() {
            self.filled.notify_one();
        }
    }

    fn take(&self) -> Option<ApplyTask> {
        self.tasks.lock().pop_front()
    }
}

/// An apply loop.
pub(super) struct ApplyTaskLoop {
    pub(super) world: Arc<World>,
    pub(super) node: Arc<Node>,
    pub(super) applier: Applier,
    pub(super) mailbox: Mailbox,
    pub(super) queue: Arc<ApplyQueue>,
    pub(super) random: Random,
}

impl ApplyTaskLoop {
    /// Runs until the node dies.
    pub(super) async fn run(mut self) -> Result<(), StoreError> {
        loop {
            let Some(first) = self.queue.take() else {
                self.queue.filled.notified().await;
                continue;
            };
            self.step().await;
            let mut round = ApplyRound::default();
            self.add(first, &mut round)?;
            while round.action.is_none() && round.batch.encoded_bytes() < BATCH_BYTES_MAX {
                let Some(next) = self.queue.take() else { break };
                self.add(next, &mut round)?;
            }
            self.disk_time().await;
            self.node.engine.write(&round.batch, false)?;
            self.world.check_after_apply(&self.node, &round.applied);
            round.batch.clear();
            self.disk_time().await;
            self.step().await;
            std::mem::take(&mut round.fates).tell();
            self.step().await;
            for report in round.carry_out(&self.node.engine, &TellHere)? {
                self.world.check_after_action(&self.node, &report);
                if self.mailbox.push(report).is_err() {
                    return Ok(());
                }
            }
        }
    }

    fn add(&mut self, task: ApplyTask, round: &mut ApplyRound) -> Result<(), StoreError> {
        self.world.check_before_apply(&self.node, &task);
        let region = match &task {
            ApplyTask::Entries(task) => Some(task.region_id),
            // It goes on with what waited behind the entry that took a source over.
            ApplyTask::Sealed { target, .. } => Some(*target),
            _ => None,
        };
        let (written, reported) = (round.batch.encoded_bytes(), round.applied.len());
        let applied = |round: &ApplyRound, region| {
            round.applied.iter().rev().find(|applied| applied.region_id == region).map(|applied| applied.index)
        };
        let before = region.map(|region| applied(round, region).unwrap_or_else(|| self.applied(region)));
        self.applier.apply(task, round)?;
        if let (Some(region), Some(before)) = (region, before)
            && round.applied.len() > reported
        {
            let operations = round.batch.as_slice().get(written..).unwrap_or_default();
            let last = applied(round, region).unwrap_or(before);
            self.world.check_operations(region, before + 1, last, operations);
        }
        Ok(())
    }

    /// How far the region was applied by the round before; one that was just born, as far as a birth goes.
    fn applied(&self, region: RegionId) -> u64 {
        self.node.applied.lock().get(&region).copied().unwrap_or(INITIAL_INDEX)
    }

    async fn step(&mut self) {
        let Self { world, node, random, .. } = self;
        node.step(world, random).await;
    }

    async fn disk_time(&mut self) {
        let Some(slot) = self.world.slot(self.node.store) else { return };
        let delay = slot.disk.delay(false, &mut self.random) / 2;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }
}
