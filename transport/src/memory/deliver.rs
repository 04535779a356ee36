//! Delivering on the in-memory network: the next due event, in the order of (time, sending).
//! What an event does is decided under the lock; the inbox is called outside of it, so that it may send in turn.

use std::sync::Arc;
use std::time::Duration;

use nokv_proto::raft_serverpb::RaftMessage;

use super::image::Transfer;
use super::{Event, MemoryNetwork, State};
use crate::{Inbox, StoreId};

/// What one step of the network did. The sequence of these is the trace of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A message arrived.
    Delivered {
        /// The sender.
        from: StoreId,
        /// The receiver.
        to: StoreId,
    },
    /// A message met a cut, or a store that is not up.
    Lost {
        /// The sender.
        from: StoreId,
        /// Who would have received it.
        to: StoreId,
    },
    /// A message met a clog and waits for its end.
    Held {
        /// The sender.
        from: StoreId,
        /// The receiver.
        to: StoreId,
    },
    /// `from` was told that `to` is unreachable.
    ReportedUnreachable {
        /// Who was told.
        from: StoreId,
        /// Who is unreachable.
        to: StoreId,
    },
}

impl MemoryNetwork {
    /// When the next event is due; none: nothing will happen until something is sent. It may lie in the past.
    #[must_use]
    pub fn next_event(&self) -> Option<Duration> {
        self.state.lock().events.first_key_value().map(|((at, _), _)| *at)
    }

    /// Moves the clock to `now` (never back) and lets the first event that is due happen.
    pub fn deliver_one(&self, now: Duration) -> Option<Happening> {
        let step = {
            let mut state = self.state.lock();
            state.now = state.now.max(now);
            state.next_step(now)?
        };
        Some(step.finish())
    }

    /// Moves the clock to `now` (never back) and lets happen what is due and was sent before this call; how much it
    /// was. What inboxes send meanwhile waits for the next call, even without a delay.
    pub fn deliver_due(&self, now: Duration) -> usize {
        let newest = {
            let mut state = self.state.lock();
            state.now = state.now.max(now);
            state.sequence
        };
        let mut count = 0;
        loop {
            let step = self.state.lock().next_step_until(now, newest);
            let Some(step) = step else { return count };
            step.finish();
            count += 1;
        }
    }
}

/// An event taken out of the network, with what is left to do about it.
pub(super) struct Step {
    happening: Happening,
    call: Option<Call>,
}

/// A call of an inbox.
enum Call {
    Message(Arc<dyn Inbox>, Box<RaftMessage>),
    Unreachable(Arc<dyn Inbox>, StoreId),
    /// Without an inbox it is lost: dropping it tells its sender.
    Image(Option<Arc<dyn Inbox>>, Box<Transfer>),
}

impl Step {
    pub(super) fn image(happening: Happening, inbox: Option<Arc<dyn Inbox>>, transfer: Option<Box<Transfer>>) -> Step {
        Step { happening, call: transfer.map(|transfer| Call::Image(inbox, transfer)) }
    }

    /// Calls the inbox. Not under the network's lock.
    pub(super) fn finish(self) -> Happening {
        match self.call {
            Some(Call::Message(inbox, message)) => inbox.raft_message(*message),
            Some(Call::Unreachable(inbox, store)) => inbox.unreachable(store),
            Some(Call::Image(Some(inbox), transfer)) => transfer.advance(inbox.as_ref()),
            Some(Call::Image(None, transfer)) => drop(transfer),
            None => {}
        }
        self.happening
    }
}

impl State {
    pub(super) fn next_step(&mut self, now: Duration) -> Option<Step> {
        self.next_step_until(now, u64::MAX)
    }

    fn next_step_until(&mut self, now: Duration, newest: u64) -> Option<Step> {
        let key =
            self.events.range(..=(now, u64::MAX)).map(|(key, _)| *key).find(|(_, sequence)| *sequence <= newest)?;
        let event = self.events.remove(&key)?;
        Some(match event {
            Event::Message { from, to, message } => self.arrive(from, to, message),
            Event::Image(transfer) => self.image_arrives(transfer),
            Event::Unreachable { from, to } => {
                let call = self.inbox(from).map(|inbox| Call::Unreachable(inbox, to));
                Step { happening: Happening::ReportedUnreachable { from, to }, call }
            }
        })
    }

    fn arrive(&mut self, from: StoreId, to: StoreId, message: Box<RaftMessage>) -> Step {
        let inbox = self.inbox(to);
        let link = self.link(from, to);
        if link.cut {
            link.queued -= 1;
            self.lose(from, to);
            return Step { happening: Happening::Lost { from, to }, call: None };
        }
        if link.clogged {
            link.held.push(*message);
            return Step { happening: Happening::Held { from, to }, call: None };
        }
        link.queued -= 1;
        let Some(inbox) = inbox else {
            self.lose(from, to);
            return Step { happening: Happening::Lost { from, to }, call: None };
        };
        link.report_not_before = None;
        Step { happening: Happening::Delivered { from, to }, call: Some(Call::Message(inbox, message)) }
    }

    pub(super) fn inbox(&self, store: StoreId) -> Option<Arc<dyn Inbox>> {
        self.stores.get(&store).and_then(|store| store.inbox.clone())
    }
}
