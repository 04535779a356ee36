//! How many writes may be under way on this node, and how large together. A write is counted until its fate is known,
//! even if nobody waits for it any more: what is bounded is memory, not patience.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nokv_raftstore::RegionError;

/// What a client is told to wait when the budget is used up.
const BACKOFF_MS: u64 = 50;

/// Counts what is under way.
#[derive(Debug)]
pub(super) struct Budget {
    commands: AtomicUsize,
    bytes: AtomicUsize,
    commands_max: usize,
    bytes_max: usize,
}

/// A write's share; given back when dropped.
#[derive(Debug)]
pub(super) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(commands_max: usize, bytes_max: usize) -> Self {
        Self { commands: AtomicUsize::new(0), bytes: AtomicUsize::new(0), commands_max, bytes_max }
    }

    /// Commands under way, and their bytes.
    pub(super) fn in_use(&self) -> (usize, usize) {
        (self.commands.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    /// Counts a write of `bytes`.
    ///
    /// # Errors
    /// [`RegionError::ServerIsBusy`] with the bound that it would exceed.
    pub(super) fn charge(self: &Arc<Self>, bytes: usize) -> Result<Charge, RegionError> {
        // Counted first and looked at afterwards, so that two at a time cannot both take the last place.
        let commands = self.commands.fetch_add(1, Ordering::Relaxed) + 1;
        let total = self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let charge = Charge { budget: self.clone(), bytes };
        let reason = if commands > self.commands_max {
            format!("{} writes are under way on this store, the most it takes", self.commands_max)
        } else if total > self.bytes_max {
            format!("writes of {} bytes are under way on this store, the most it takes", self.bytes_max)
        } else {
            return Ok(charge);
        };
        Err(RegionError::ServerIsBusy { reason, backoff_ms: BACKOFF_MS })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.commands.fetch_sub(1, Ordering::Relaxed);
        self.budget.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(result: Result<Charge, RegionError>) -> String {
        match result {
            Err(RegionError::ServerIsBusy { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_bound_refuses_with_its_reason_and_a_refusal_costs_nothing() {
        let budget = Arc::new(Budget::new(2, 100));
        let first = budget.charge(60).unwrap();
        assert!(reason(budget.charge(41)).contains("100 bytes"));
        assert_eq!(budget.in_use(), (1, 60));
        let second = budget.charge(40).unwrap();
        assert!(reason(budget.charge(0)).contains("2 writes"));
        drop(first);
        assert_eq!(budget.in_use(), (1, 40));
        drop(second);
        assert_eq!(budget.in_use(), (0, 0));
    }
}
