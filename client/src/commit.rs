//! Phase two: the primary's commit decides; the secondaries follow.
//! The one place where an outcome can become unknown, and where it is found out if that can be done.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use nokv_percolator::Timestamp;
use nokv_proto::kvrpcpb;

use crate::budget::{Budget, Wait};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::key_error;
use crate::known_outcomes::TxnOutcome;
use crate::mutation::PlacedKey;
use crate::region_cache::contains;
use crate::router::Route;
use crate::spread::{Batch, OnError, Placed, Step};
use crate::two_phase::{CommitTs, TwoPhase};

/// A committed primary.
pub(crate) struct PrimaryCommitted {
    pub(crate) commit_ts: Timestamp,
    /// The keys committed with it: the primary, and its neighbours that shared the request.
    pub(crate) keys: BTreeSet<Bytes>,
}

impl Client {
    /// Draws the commit timestamp and commits the primary, with as many keys of its region as one request takes.
    ///
    /// # Errors
    /// [`Error::Undetermined`] if a commit was sent and what became of it cannot be found out before the deadline.
    /// Every other error means: not committed, and it never will be.
    pub(crate) async fn commit_primary(&self, transaction: &TwoPhase, budget: &mut Budget) -> Result<PrimaryCommitted> {
        let committed = self.try_commit_primary(transaction, budget).await;
        match committed {
            Err(error)
                if budget.may_have_run()
                    && !matches!(error, Error::Aborted { .. })
                    && !nokv_percolator::is_planted("call unknown commits failed") =>
            {
                Err(Error::Undetermined {
                    operation: "commit",
                    start_ts: Some(transaction.start_ts),
                    last: error.to_string(),
                })
            }
            committed => committed,
        }
    }

    async fn try_commit_primary(&self, transaction: &TwoPhase, budget: &mut Budget) -> Result<PrimaryCommitted> {
        let start_ts = transaction.start_ts;
        let mut commit_ts = self.commit_ts(transaction, budget).await?;
        loop {
            let route = self.inner.router.locate(transaction.primary.encoded(), budget).await?;
            let keys = self.primary_batch(transaction, &route);
            let request = kvrpcpb::CommitRequest {
                start_version: start_ts.0,
                commit_version: commit_ts.0,
                keys: keys.clone(),
                ..Default::default()
            };
            let Some(answer) = self.attempt(&route, request, budget).await? else { continue };
            let Some(error) = answer.error else {
                return Ok(PrimaryCommitted { commit_ts, keys: keys.into_iter().collect() });
            };
            if error.commit_ts_expired.is_some() && matches!(transaction.commit_ts, CommitTs::Drawn { .. }) {
                // A reader of a later snapshot pushed the lock. It is still there, so nothing was committed, and an
                // earlier try that is still on its way will be refused like this one.
                budget.now_known();
                budget.back_off(Wait::Moved, Duration::ZERO).await?;
                commit_ts = self.commit_ts(transaction, budget).await?;
                continue;
            }
            if !budget.may_have_run() {
                return Err(Error::Aborted { start_ts, reason: key_error::reason(*error) });
            }
            // Forbids what is still on its way, if nothing is decided yet.
            return match self.decide_own(start_ts, &transaction.primary.user, budget).await? {
                TxnOutcome::Committed(commit_ts) => {
                    Ok(PrimaryCommitted { commit_ts, keys: BTreeSet::from([transaction.primary.user.clone()]) })
                }
                TxnOutcome::RolledBack => Err(Error::Aborted { start_ts, reason: key_error::reason(*error) }),
            };
        }
    }

    /// # Errors
    /// [`Error::Protocol`] if the oracle gives a timestamp that is not above the start timestamp.
    async fn commit_ts(&self, transaction: &TwoPhase, budget: &mut Budget) -> Result<Timestamp> {
        let start_ts = transaction.start_ts;
        match transaction.commit_ts {
            CommitTs::Given(commit_ts) => Ok(commit_ts),
            CommitTs::Drawn { .. } => match self.draw(budget).await? {
                commit_ts if commit_ts > start_ts => Ok(commit_ts),
                commit_ts => Err(Error::Protocol(format!("timestamp oracle: it gave {commit_ts} after {start_ts}"))),
            },
        }
    }

    /// The primary, then the other keys of its region that fit its request: they share its one log entry.
    fn primary_batch(&self, transaction: &TwoPhase, route: &Route) -> Vec<Bytes> {
        let options = &self.inner.options;
        let primary = &transaction.primary.user;
        let mut keys = vec![primary.clone()];
        let mut bytes = primary.len();
        for mutation in &transaction.mutations {
            let key = &mutation.key;
            if key.user == *primary || !contains(&route.region, key.encoded()) {
                continue;
            }
            bytes += key.bytes();
            if keys.len() >= options.batch_keys_max || bytes > options.batch_bytes_max {
                break;
            }
            keys.push(key.user.clone());
        }
        keys
    }

    /// Commits the other keys, behind the caller's back: the transaction is decided, and whoever meets one of these
    /// locks first can resolve it as well.
    pub(crate) async fn commit_secondaries(&self, transaction: &TwoPhase, commit_ts: Timestamp, keys: BTreeSet<Bytes>) {
        if keys.is_empty() {
            return;
        }
        let client = self.clone();
        let start_ts = transaction.start_ts;
        let keys: Vec<PlacedKey> = keys.into_iter().map(PlacedKey::from).collect();
        let work = async move {
            let budget = client.budget("commit of secondaries");
            let send = |batch| client.commit_batch(start_ts, commit_ts, batch);
            client.spread(keys, &budget, OnError::GoOn, send).await
        };
        self.inner.background.run(work).await;
    }

    async fn commit_batch(
        &self,
        start_ts: Timestamp,
        commit_ts: Timestamp,
        batch: Batch<PlacedKey>,
    ) -> Result<Step<PlacedKey>> {
        let Batch { route, items, mut budget } = batch;
        let request = kvrpcpb::CommitRequest {
            start_version: start_ts.0,
            commit_version: commit_ts.0,
            keys: items.iter().map(|key| key.user.clone()).collect(),
            ..Default::default()
        };
        let Some(answer) = self.attempt(&route, request, &mut budget).await? else {
            return Ok(Step::Again(items, budget));
        };
        match answer.error {
            None => Ok(Step::Done),
            Some(error) => Err(Error::Aborted { start_ts, reason: key_error::reason(*error) }),
        }
    }
}
