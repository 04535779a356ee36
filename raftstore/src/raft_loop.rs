//! A raft loop's thread. Each round takes everything that has arrived, writes all regions' logs with one sync, and
//! sends what had to wait for it. Whatever arrives during the sync is the next round: it batches without ever waiting
//! to.

use std::collections::BTreeSet;
use std::sync::Arc;

use nokv_engine::{Engine, RaftLog};
use nokv_proto::raft_serverpb::RaftMessage;
use nokv_transport::{Network, StoreId};

use crate::apply::ApplyDesk;
use crate::message::{Mailbox, MailboxReceiver, StoreMessage};
use crate::metrics::RaftMetrics;
use crate::round::Round;
use crate::store::Store;
use crate::{Clock, StoreError};

/// Most messages taken into one round: bounds the time between two syncs.
const MESSAGES_PER_ROUND_MAX: usize = 4_096;

/// Regions that make a round worth waiting for: fewer have nobody to share it with.
const REGIONS_MANY: usize = 3;

/// What a raft loop works with.
#[derive(Debug)]
pub struct RaftLoop<E> {
    /// Its regions.
    pub store: Store,
    /// What it is told.
    pub mailbox: MailboxReceiver,
    /// The sending end of that, for those who report to it.
    pub reports: Mailbox,
    /// Where it writes.
    pub log: Arc<dyn RaftLog>,
    /// Where it sends.
    pub network: Arc<dyn Network>,
    /// Where it leaves what is to be applied.
    pub(crate) apply: ApplyDesk<E>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Arc<RaftMetrics>,
}

impl<E: Engine> RaftLoop<E> {
    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// If the disk fails or a peer's state is broken: the node must stop.
    pub fn run(mut self) -> Result<(), StoreError> {
        let mut round = Round::default();
        while self.take_in()? {
            let now = self.clock.now();
            self.store.collect(now, &mut round)?;
            let is_shared = round.sync && round.readies.len() >= REGIONS_MANY;
            if !round.is_empty() {
                self.carry_out(&mut round)?;
            }
            round.clear();
            if is_shared {
                // What comes meanwhile shares the next round's write, its messages and the wake-ups that these cost.
                std::thread::sleep(self.store.round_interval().saturating_sub(self.clock.now().since(now)));
            }
        }
        Ok(())
    }

    /// Waits for something to do, and takes in everything that has arrived. False = stop.
    fn take_in(&mut self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let idle = if self.store.has_work() { std::time::Duration::ZERO } else { self.store.next_tick().since(now) };
        let mut next = self.mailbox.next_within(idle);
        let now = self.clock.now();
        self.store.tick(now);
        let mut taken = 0;
        while let Some(message) = next {
            if matches!(message, StoreMessage::Stop) {
                return Ok(false);
            }
            self.store.handle(message, now)?;
            taken += 1;
            if taken >= MESSAGES_PER_ROUND_MAX {
                break;
            }
            next = self.mailbox.try_next();
        }
        if taken > 0 {
            self.metrics.messages_per_round.observe(taken as f64);
        }
        Ok(true)
    }

    fn carry_out(&mut self, round: &mut Round) -> Result<(), StoreError> {
        self.send(&mut round.first_messages);
        let mut reports = self.apply.hand_over(&mut round.apply_first)?;
        if !round.log.is_empty() {
            let started = self.clock.now();
            self.log.write(&round.log, round.sync)?;
            let seconds = self.clock.now().since(started).as_secs_f64();
            self.metrics.log_write(round.sync).observe(seconds);
        }
        self.store.persisted(round);
        self.send(&mut round.last_messages);
        for image in round.images.drain(..) {
            image.send(self.network.as_ref(), &self.reports);
        }
        reports.append(&mut self.apply.hand_over(&mut round.apply)?);
        if !reports.is_empty() {
            let now = self.clock.now();
            reports.into_iter().try_for_each(|report| self.store.handle(report, now))?;
        }
        Ok(())
    }

    fn send(&mut self, messages: &mut Vec<(StoreId, RaftMessage)>) {
        let mut refused = BTreeSet::new();
        for (to, message) in messages.drain(..) {
            if self.network.send(to, message).is_err() {
                self.metrics.messages_refused.inc();
                refused.insert(to);
            }
        }
        // Once for each store: it looks at every region.
        refused.into_iter().for_each(|store| self.store.unreachable(store));
    }
}
