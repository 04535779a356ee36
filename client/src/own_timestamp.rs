//! Transactions that choose their own commit timestamp: in one phase, where one request to one region has all of them,
//! or asynchronously, where they are committed as soon as all their keys are locked. Both spare the second phase and
//! its log entry, and are asked for by default; a store that cannot grant it says so, and the transaction goes in two
//! phases.
//!
//! What is committed by a prewrite makes an error of a prewrite harder to read: see [`Client::settle`].

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use nokv_percolator::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::budget::Budget;
use crate::client::Client;
use crate::error::{AbortReason, Error, Result};
use crate::known_outcomes::TxnOutcome;
use crate::mutation::PlacedMutation;
use crate::options::Options;
use crate::spread::Placed as _;
use crate::two_phase::{CommitTs, TwoPhase};

/// How far ahead of the oracle a store may choose. It chooses just above the newest snapshot that it has read, so more
/// than this means that somebody reads at timestamps that nobody gave out.
const AHEAD_MAX_MS: u64 = 2_000;
/// After a store could not let a transaction choose, the next ones go in two phases for so long.
const PAUSE: Duration = Duration::from_secs(1);

/// What a transaction that may choose its own commit timestamp asks for.
#[derive(Clone, Debug)]
pub(crate) struct OwnTimestamp {
    /// It commits here or later: drawn when its commit began, so that whoever read or committed before is before it.
    pub(crate) floor: Timestamp,
    /// In one phase, where a request has all its keys.
    pub(crate) one_phase: bool,
    /// Asynchronously otherwise; all its keys but the primary.
    pub(crate) secondaries: Option<Vec<Bytes>>,
}

impl OwnTimestamp {
    /// It does not choose beyond.
    pub(crate) fn ceiling(&self) -> Timestamp {
        Timestamp(self.floor.0.saturating_add(Timestamp::compose(AHEAD_MAX_MS, 0).0))
    }
}

/// Whether stores were found unable to let a transaction choose.
#[derive(Debug, Default)]
pub(crate) struct OwnTimestampPause(Mutex<Option<Instant>>);

impl OwnTimestampPause {
    pub(crate) fn begin(&self) {
        *self.0.lock() = Some(Instant::now() + PAUSE);
    }

    fn is_on(&self) -> bool {
        self.0.lock().is_some_and(|until| Instant::now() < until)
    }
}

impl Client {
    /// Whether a transaction begun now may choose its own commit timestamp.
    pub(crate) fn may_choose(&self) -> bool {
        let Options { one_phase_commit, async_commit, .. } = self.inner.options;
        (one_phase_commit || async_commit) && !self.inner.own_timestamp_pause.is_on()
    }

    /// What the transaction may ask for, if anything. `floor` is drawn unless the caller has one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is no timestamp by the deadline.
    pub(crate) async fn own_timestamp(
        &self,
        transaction: &TwoPhase,
        budget: &mut Budget,
    ) -> Result<Option<OwnTimestamp>> {
        let CommitTs::Drawn { floor } = transaction.commit_ts else { return Ok(None) };
        if !self.may_choose() {
            return Ok(None);
        }
        let options = &self.inner.options;
        let key_bytes: usize = transaction.mutations.iter().map(|mutation| mutation.key.bytes()).sum();
        let is_small = transaction.mutations.len() <= options.async_commit_keys_max
            && key_bytes <= options.async_commit_key_bytes_max;
        let others = transaction.mutations.iter().filter(|mutation| mutation.key.user != transaction.primary.user);
        let secondaries =
            (options.async_commit && is_small).then(|| others.map(|mutation| mutation.key.user.clone()).collect());
        if secondaries.is_none() && !options.one_phase_commit {
            return Ok(None);
        }
        let floor = match floor {
            Some(floor) => floor,
            None => self.draw(budget).await?,
        };
        Ok(Some(OwnTimestamp { floor, one_phase: options.one_phase_commit, secondaries }))
    }

    /// Finds out what became of a transaction that may have been committed by a prewrite, although `error` came back;
    /// decides it, if nothing else has. `touched` are the keys that may be locked.
    ///
    /// It is certainly not committed if a key of it was never asked for, or was refused for ever: another transaction
    /// has committed it, or it bears the rollback mark. A key that another transaction holds locked may still be
    /// prewritten by a request that is on its way.
    ///
    /// # Errors
    /// `error` if it is rolled back; [`Error::Undetermined`] if that cannot be found out before the deadline.
    pub(crate) async fn settle(
        &self,
        transaction: &TwoPhase,
        touched: BTreeSet<Bytes>,
        error: Error,
        budget: &mut Budget,
    ) -> Result<Timestamp> {
        let refused_for_ever =
            matches!(error, Error::Aborted { reason: AbortReason::Conflict { .. } | AbortReason::RolledBack(_), .. });
        let is_complete = |mutation: &PlacedMutation| touched.contains(&mutation.key.user);
        if refused_for_ever || !transaction.mutations.iter().all(is_complete) {
            self.clean_up(transaction, touched).await;
            return Err(error);
        }
        match self.decide_own(transaction.start_ts, &transaction.primary.user, budget).await {
            Ok(TxnOutcome::Committed(commit_ts)) => {
                self.commit_secondaries(transaction, commit_ts, touched).await;
                Ok(commit_ts)
            }
            Ok(TxnOutcome::RolledBack) => {
                self.clean_up(transaction, touched).await;
                Err(error)
            }
            Err(last) => Err(Error::Undetermined {
                operation: "commit",
                start_ts: Some(transaction.start_ts),
                last: format!("{error}; {last}"),
            }),
        }
    }
}
