//! Stands in for a raft loop's thread: the same steps in the same order, with time, hold-ups and death in between.
//! What it stands in for is `RaftLoop::run`; the two must be kept alike.

use std::sync::Arc;

use nokv_proto::raft_serverpb::RaftMessage;
use nokv_raftstore::image::ImageOrder;
use nokv_raftstore::message::{Mailbox, MailboxReceiver};
use nokv_raftstore::round::Round;
use nokv_raftstore::store::Store;
use nokv_raftstore::{Clock as _, StoreError};
use nokv_transport::memory::MemoryEndpoint;
use nokv_transport::{Network as _, StoreId};

use super::apply_task::ApplyQueue;
use super::{Node, World};
use crate::random::Random;

/// Most messages taken into one round, as in the production loop.
const MESSAGES_PER_ROUND_MAX: usize = 4_096;

/// Rounds at one virtual instant after which a loop is taken to spin. Without disk time, every message may be a round.
const ROUNDS_AT_ONCE_MAX: u32 = 20_000;

/// A raft loop.
pub(super) struct RaftTask {
    pub(super) world: Arc<World>,
    pub(super) node: Arc<Node>,
    pub(super) store: Store,
    pub(super) receiver: MailboxReceiver,
    pub(super) mailbox: Mailbox,
    pub(super) endpoint: Arc<MemoryEndpoint>,
    pub(super) queue: Arc<ApplyQueue>,
    pub(super) random: Random,
}

impl RaftTask {
    /// Runs until the node dies.
    pub(super) async fn run(mut self) -> Result<(), StoreError> {
        let mut round = Round::default();
        let (mut instant, mut rounds) = (self.world.now(), 0);
        loop {
            self.wait().await;
            rounds = if instant == self.world.now() { rounds + 1 } else { 0 };
            instant = self.world.now();
            if rounds > ROUNDS_AT_ONCE_MAX {
                self.world.violate("loops come to rest", format!("the raft loop of store {} spins", self.node.store));
                return std::future::pending().await;
            }
            self.step().await;
            self.take_in()?;
            self.store.collect(self.node.clock.now(), &mut round)?;
            if !round.is_empty() {
                self.carry_out(&mut round).await?;
            }
            round.clear();
            self.world.check_after_round(&self.node, &self.store, self.receiver.waiting());
        }
    }

    /// Until there is something to do.
    async fn wait(&mut self) {
        while !self.store.has_work() && self.receiver.waiting() == 0 {
            let wait = self.node.clock.until(self.store.next_tick());
            if wait.is_zero() {
                return;
            }
            tokio::select! {
                biased;
                () = self.node.process.stirred.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn take_in(&mut self) -> Result<(), StoreError> {
        let now = self.node.clock.now();
        self.store.tick(now);
        for _ in 0..MESSAGES_PER_ROUND_MAX {
            let Some(message) = self.receiver.try_next() else { break };
            self.store.handle(message, now)?;
        }
        Ok(())
    }

    async fn carry_out(&mut self, round: &mut Round) -> Result<(), StoreError> {
        self.send(&mut round.first_messages);
        self.step().await;
        self.queue.add(round.apply_first.drain(..));
        self.step().await;
        if !round.log.is_empty() {
            self.disk_time(round.sync).await;
            self.node.log.write(&round.log, round.sync)?;
            self.world.note(format_args!(
                "store {} writes {} changes of its logs, synced: {}",
                self.node.store,
                round.log.ops.len(),
                round.sync
            ));
            self.disk_time(round.sync).await;
        }
        self.step().await;
        self.store.persisted(round);
        self.send(&mut round.last_messages);
        self.send_images(&mut round.images);
        self.step().await;
        self.queue.add(round.apply.drain(..));
        Ok(())
    }

    fn send(&mut self, messages: &mut Vec<(StoreId, RaftMessage)>) {
        if messages.is_empty() {
            return;
        }
        // The network only knows the time that it is told, and delays count from there.
        self.world.move_network();
        for (to, message) in messages.drain(..) {
            if self.endpoint.send(to, message).is_err() {
                self.store.unreachable(to);
            }
        }
        self.world.network_was_used();
    }

    fn send_images(&mut self, images: &mut Vec<ImageOrder>) {
        if images.is_empty() {
            return;
        }
        self.world.move_network();
        for image in images.drain(..) {
            image.send(self.endpoint.as_ref(), &self.mailbox);
        }
        self.world.network_was_used();
    }

    async fn step(&mut self) {
        let Self { world, node, random, .. } = self;
        node.step(world, random).await;
    }

    /// Half of a write's time passes before it is done, half after: a kill in the one loses it, in the other not.
    async fn disk_time(&mut self, sync: bool) {
        let Some(slot) = self.world.slot(self.node.store) else { return };
        let delay = slot.disk.delay(sync, &mut self.random) / 2;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }
}
