//! Acquiring the slots of a command's keys, one after another, and holding them.
//! However it ends, by use, by cancellation or by a panic, every slot entered is left again.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Table;
use super::slot::{Standing, Ticket};

/// The slots of one command, ascending, with its ticket in each as far as it has entered them (0 = not entered).
/// A command on one key, the most common, needs no allocation.
enum Places {
    One([(usize, Ticket); 1]),
    Many(Box<[(usize, Ticket)]>),
}

impl Places {
    fn as_mut(&mut self) -> &mut [(usize, Ticket)] {
        match self {
            Places::One(one) => one,
            Places::Many(many) => many,
        }
    }
}

/// Slots entered, and left again on drop.
struct Entered {
    table: Arc<Table>,
    places: Places,
}

impl Drop for Entered {
    fn drop(&mut self) {
        for (slot, ticket) in self.places.as_mut() {
            if *ticket != 0 {
                let next = self.table.slot(*slot).lock().leave(*ticket);
                if let Some(waker) = next {
                    waker.wake();
                }
            }
        }
    }
}

/// The future of [`Latches::acquire`](super::Latches::acquire). Dropped before it is ready, it leaves every slot and
/// queue again.
#[must_use = "nothing is acquired until it is awaited"]
pub struct Acquire {
    /// Taken out when ready.
    entered: Option<Entered>,
    /// How many of the slots are held.
    held: usize,
}

impl Acquire {
    pub(super) fn new<'k>(table: Arc<Table>, keys: impl IntoIterator<Item = &'k [u8]>) -> Self {
        let mut keys = keys.into_iter().map(|key| (table.slot_of(key), 0));
        let places = match (keys.next(), keys.next()) {
            (Some(one), None) => Places::One([one]),
            (first, second) => {
                let mut many: Vec<(usize, Ticket)> = first.into_iter().chain(second).chain(keys).collect();
                many.sort_unstable();
                many.dedup();
                Places::Many(many.into())
            }
        };
        Self { entered: Some(Entered { table, places }), held: 0 }
    }
}

impl Future for Acquire {
    type Output = LatchGuard;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<LatchGuard> {
        let this = &mut *self;
        let entered = this.entered.as_mut().expect("a future is not polled again after it was ready");
        for (slot, ticket) in entered.places.as_mut().iter_mut().skip(this.held) {
            let mut slot = entered.table.slot(*slot).lock();
            let standing = if *ticket == 0 { slot.enter(context) } else { slot.ask(*ticket, context) };
            drop(slot);
            match standing {
                Standing::Holds(held) => {
                    *ticket = held;
                    this.held += 1;
                }
                Standing::Waits(waits) => {
                    *ticket = waits;
                    return Poll::Pending;
                }
            }
        }
        let entered = this.entered.take().expect("taken only here, on the way out");
        Poll::Ready(LatchGuard { _entered: entered })
    }
}

impl fmt::Debug for Acquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").field("held", &self.held).finish_non_exhaustive()
    }
}

/// Holds the latches of a command's keys; dropping it hands each to the next in its queue. Send it along with the
/// write: it must live until that is applied.
#[must_use = "dropping the guard releases the latches"]
pub struct LatchGuard {
    _entered: Entered,
}

impl fmt::Debug for LatchGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LatchGuard")
    }
}
