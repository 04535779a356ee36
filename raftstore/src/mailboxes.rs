//! Which raft loop is told: the one that owns the region.
//! A region stays with the loop it was born in while the node runs; after a restart its id decides.

use std::sync::Arc;

use nokv_transport::RegionId;

use crate::gate::Gates;
use crate::message::{Mailbox, Refused, StoreMessage};

/// The mailboxes of all raft loops of a store.
#[derive(Debug)]
pub struct Mailboxes {
    gates: Arc<Gates>,
    by_loop: Vec<Mailbox>,
}

impl Mailboxes {
    pub(crate) fn new(gates: Arc<Gates>, by_loop: Vec<Mailbox>) -> Self {
        Self { gates, by_loop }
    }

    /// The mailbox of the loop that owns `region`, or would own it if it were here.
    pub(crate) fn of(&self, region: RegionId) -> &Mailbox {
        let slot = self.gates.get(region).map_or_else(|_| home_loop(region, self.by_loop.len()), |gate| gate.slot());
        self.of_loop(slot)
    }

    fn of_loop(&self, slot: usize) -> &Mailbox {
        self.by_loop.get(slot).expect("a store has at least one raft loop, as Config::check demands")
    }

    /// Leaves a proposal for `region`. As long as the region's entries under way keep it from being taken up, nobody is
    /// woken for it: their commit does that.
    pub(crate) fn offer_proposal(&self, region: RegionId, message: StoreMessage) -> Result<(), Refused> {
        match self.gates.get(region) {
            Ok(gate) => self.of_loop(gate.slot()).offer_unless(message, || gate.is_crowded()),
            Err(_) => self.of(region).offer(message),
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Mailbox] {
        &self.by_loop
    }
}

/// The loop that owns `region` after a restart.
pub(crate) fn home_loop(region: RegionId, loops: usize) -> usize {
    usize::try_from(region.0).unwrap_or(0) % loops.max(1)
}
