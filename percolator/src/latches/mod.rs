//! Latches: which command may read and then write which keys, in this process's memory. (A *lock* is a record that
//! outlives the process; a latch lives from a command's read to its applied write, so that commands on the same keys
//! run one after another.)
//!
//! ```text
//!   keys ──hash──▶ slots, sorted, each once          slot:  holder: ticket 7
//!   acquire: slot 3 ✓, slot 8 ✓, slot 21 … waits            queue:  [8, 9, 12]   first come, first served
//! ```
//! Slots are taken in ascending order, so two commands never wait for each other. A released slot is handed to the
//! first in its queue, so nobody overtakes. Everything about a slot is decided under its mutex, which is never held
//! while anything waits or wakes: a wake-up cannot be lost, and a waiter that gives up leaves the queue or, if the slot
//! was handed to it meanwhile, hands it on.
//!
//! `slot.rs` is one slot; `acquire.rs` takes those of a command's keys.

mod acquire;
mod slot;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use parking_lot::Mutex;

use self::slot::Slot;

pub use acquire::{Acquire, LatchGuard};

/// The latches of one node. Cheap to clone: clones share the same slots.
#[derive(Clone, Debug)]
pub struct Latches {
    table: Arc<Table>,
}

#[derive(Debug)]
struct Table {
    slots: Box<[Mutex<Slot>]>,
}

impl Latches {
    /// A table with at least `slots` slots (rounded up to a power of two, at least 1). Different keys share a slot at
    /// times, which costs a wait, never a mistake; so take many times the number of commands under way.
    pub fn new(slots: usize) -> Self {
        let slots = slots.max(1).next_power_of_two();
        Self { table: Arc::new(Table { slots: (0..slots).map(|_| Mutex::default()).collect() }) }
    }

    /// Waits for the latches of all `keys`; drop the future to give up. The keys are read at once, not kept.
    pub fn acquire<'k>(&self, keys: impl IntoIterator<Item = &'k [u8]>) -> Acquire {
        Acquire::new(self.table.clone(), keys)
    }
}

impl Table {
    /// The slot of a key. FNV-1a with its standard seed: the same in every process, so that runs can be repeated.
    fn slot_of(&self, key: &[u8]) -> usize {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in key {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        // The low bits of FNV depend on the low bits of the bytes only; fold the high ones in.
        hash ^= hash >> 32;
        hash as usize & (self.slots.len() - 1)
    }

    fn slot(&self, index: usize) -> &Mutex<Slot> {
        self.slots.get(index).expect("an index comes from slot_of, which masks it to the table's length")
    }
}
