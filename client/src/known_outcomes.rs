//! Outcomes of transactions that were found out while resolving locks, so that the thousandth lock of a dead
//! transaction costs no question any more. An outcome never changes, so there is nothing to invalidate.

use std::collections::BTreeMap;

use bytes::Bytes;
use nokv_percolator::Timestamp;
use parking_lot::Mutex;

const OUTCOMES_MAX: usize = 4_096;

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TxnOutcome {
    Committed(Timestamp),
    RolledBack,
}

impl TxnOutcome {
    /// As the wire says it: 0 for rolled back.
    pub(crate) fn commit_version(self) -> u64 {
        match self {
            TxnOutcome::Committed(commit_ts) => commit_ts.0,
            TxnOutcome::RolledBack => 0,
        }
    }
}

/// The newest few thousand outcomes. Known by start timestamp *and* primary: callers that bring their own timestamps
/// may use one twice.
#[derive(Debug, Default)]
pub(crate) struct KnownOutcomes(Mutex<BTreeMap<(Timestamp, Bytes), TxnOutcome>>);

impl KnownOutcomes {
    pub(crate) fn get(&self, start_ts: Timestamp, primary: &Bytes) -> Option<TxnOutcome> {
        self.0.lock().get(&(start_ts, primary.clone())).copied()
    }

    pub(crate) fn insert(&self, start_ts: Timestamp, primary: Bytes, outcome: TxnOutcome) {
        let mut outcomes = self.0.lock();
        outcomes.insert((start_ts, primary), outcome);
        if outcomes.len() > OUTCOMES_MAX {
            outcomes.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_outcome_makes_room() {
        let known = KnownOutcomes::default();
        let primary = Bytes::from_static(b"p");
        for ts in 0..=OUTCOMES_MAX as u64 {
            known.insert(Timestamp(ts), primary.clone(), TxnOutcome::RolledBack);
        }
        assert_eq!(known.get(Timestamp(0), &primary), None);
        assert_eq!(known.get(Timestamp(1), &primary), Some(TxnOutcome::RolledBack));
        assert_eq!(known.get(Timestamp(1), &Bytes::from_static(b"q")), None);
    }
}
