//! One slot: who holds it and who waits for it.
//! Its methods run under its mutex and never wait, wake or call out.

use std::collections::VecDeque;
use std::task::{Context, Waker};

/// A place in a slot's order, never used twice in that slot.
pub(super) type Ticket = u64;

/// A slot. Invariant: nobody waits unless somebody holds.
#[derive(Debug, Default)]
pub(super) struct Slot {
    last_ticket: Ticket,
    holder: Option<Ticket>,
    /// Ascending by ticket.
    queue: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    waker: Waker,
}

/// Where a command stands with a slot.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It holds the slot.
    Holds(Ticket),
    /// It waits; it will be woken once it holds it.
    Waits(Ticket),
}

impl Slot {
    /// Takes the slot if it is free, or queues up.
    pub(super) fn enter(&mut self, context: &Context<'_>) -> Standing {
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        if self.holder.is_none() {
            self.holder = Some(ticket);
            return Standing::Holds(ticket);
        }
        self.queue.push_back(Waiter { ticket, waker: context.waker().clone() });
        Standing::Waits(ticket)
    }

    /// Asks again for `ticket`, from the task that is to be woken from now on.
    pub(super) fn ask(&mut self, ticket: Ticket, context: &Context<'_>) -> Standing {
        if self.holder == Some(ticket) {
            return Standing::Holds(ticket);
        }
        if let Ok(at) = self.queue.binary_search_by_key(&ticket, |waiter| waiter.ticket)
            && let Some(waiter) = self.queue.get_mut(at)
        {
            waiter.waker.clone_from(context.waker());
        }
        Standing::Waits(ticket)
    }

    /// Gives `ticket` up, whether it holds or waits. The returned waker belongs to the new holder, if there is one:
    /// wake it after the mutex is released.
    #[must_use]
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        if self.holder != Some(ticket) {
            self.queue.retain(|waiter| waiter.ticket != ticket);
            return None;
        }
        let next = self.queue.pop_front();
        self.holder = next.as_ref().map(|waiter| waiter.ticket);
        // A burst of waiters may have grown the queue; a slot at rest keeps no memory.
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        next.map(|waiter| waiter.waker)
    }

    /// Whether nobody holds it and nobody waits.
    #[cfg(test)]
    pub(super) fn is_at_rest(&self) -> bool {
        self.holder.is_none() && self.queue.is_empty()
    }
}
