//! Sending on the in-memory network: a message is refused, lost, held, or gets its times of arrival.
//! All of it is decided here; delivering only looks at cuts, clogs and crashes that came later.

use std::time::Duration;

use nokv_proto::raft_serverpb::RaftMessage;

use super::{Delivery, Event, MemoryNetwork, State};
use crate::{Network, OutgoingImage, SendRefused, StoreId};

/// One store's access to a [`MemoryNetwork`], for one life of the store.
#[derive(Debug)]
pub struct MemoryEndpoint {
    network: MemoryNetwork,
    store: StoreId,
    life: u64,
}

impl MemoryEndpoint {
    pub(super) fn new(network: MemoryNetwork, store: StoreId, life: u64) -> MemoryEndpoint {
        MemoryEndpoint { network, store, life }
    }

    fn is_alive(&self) -> bool {
        self.network.state.lock().stores.get(&self.store).is_some_and(|store| store.life == self.life)
    }
}

impl Network for MemoryEndpoint {
    fn send(&self, to: StoreId, message: RaftMessage) -> Result<(), SendRefused> {
        if !self.is_alive() {
            return Err(SendRefused::Disconnected);
        }
        let mut state = self.network.state.lock();
        state.send(self.store, to, message)?;
        drop(state);
        self.network.deliver_if_instant();
        Ok(())
    }

    fn send_image(&self, to: StoreId, message: RaftMessage, image: OutgoingImage) {
        if self.is_alive() {
            self.network.begin_image(self.store, to, message, image);
        }
    }
}

impl State {
    fn send(&mut self, from: StoreId, to: StoreId, message: RaftMessage) -> Result<(), SendRefused> {
        let now = self.now;
        let queue_messages_max = self.options.queue_messages_max;
        if !self.stores.contains_key(&to) {
            return Err(SendRefused::UnknownStore);
        }
        let link = self.link(from, to);
        if link.queued >= queue_messages_max {
            return Err(SendRefused::QueueFull);
        }
        if link.cut {
            self.lose(from, to);
            return Ok(());
        }
        let fate = link.fate(now);
        let clogged = link.clogged;
        let second = fate.second.map(|at| (at, message.clone()));
        for (at, message) in fate.first.map(|at| (at, message)).into_iter().chain(second) {
            let link = self.link(from, to);
            link.queued += 1;
            if clogged {
                link.held.push(message);
            } else {
                self.schedule(at, Event::Message { from, to, message: Box::new(message) });
            }
        }
        Ok(())
    }

    /// A message was lost because nothing reaches `to`: lets `from` know, unless an attempt already does.
    pub(super) fn lose(&mut self, from: StoreId, to: StoreId) {
        let (now, interval) = (self.now, self.options.attempt_interval);
        let link = self.link(from, to);
        if link.report_not_before.is_some_and(|at| now < at) {
            return;
        }
        link.report_not_before = Some(now + interval);
        self.schedule(now + interval, Event::Unreachable { from, to });
    }
}

impl MemoryNetwork {
    /// In instant mode, delivers all that is due, unless another call (on this thread or another) is at it.
    pub(super) fn deliver_if_instant(&self) {
        let now: Duration = {
            let mut state = self.state.lock();
            if state.options.delivery != Delivery::Instant || state.delivering {
                return;
            }
            state.delivering = true;
            state.now
        };
        loop {
            let mut state = self.state.lock();
            let Some(step) = state.next_step(now) else {
                // In the same hold of the lock that found nothing due, so that no message is left behind.
                state.delivering = false;
                return;
            };
            drop(state);
            step.finish();
        }
    }
}
