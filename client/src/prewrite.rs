//! Phase one: locks every key and stores its value, in all regions at once.
//! Keeps account of the keys that a store may have locked, so that exactly those are cleaned up after a failure.

use std::collections::BTreeSet;

use bytes::Bytes;
use nokv_percolator::Timestamp;
use nokv_proto::{kvrpcpb, tinykvpb};
use parking_lot::Mutex;

use crate::budget::Budget;
use crate::client::Client;
use crate::error::{AbortReason, Error, Result};
use crate::key_error;
use crate::mutation::PlacedMutation;
use crate::spread::{Batch, OnError, Step};
use crate::two_phase::TwoPhase;

/// How phase one ended, and where it may have left locks.
pub(crate) struct Prewritten {
    pub(crate) outcome: Result<()>,
    /// User keys that are locked, or may be.
    pub(crate) keys: BTreeSet<Bytes>,
}

impl Client {
    /// Prewrites all of a transaction. On success every key of it is locked.
    ///
    /// Errors (in the outcome): [`Error::Aborted`] for conflicts and for locks whose owners live on,
    /// [`Error::Unavailable`] at the deadline. Either way no commit was ever asked for.
    pub(crate) async fn prewrite(&self, transaction: &TwoPhase, budget: &Budget) -> Prewritten {
        let touched = Mutex::new(BTreeSet::new());
        let send = |batch| self.prewrite_batch(transaction, batch, &touched);
        let outcome = self.spread(transaction.mutations.clone(), budget, OnError::Stop, send).await;
        Prewritten { outcome, keys: touched.into_inner() }
    }

    async fn prewrite_batch(
        &self,
        transaction: &TwoPhase,
        batch: Batch<PlacedMutation>,
        touched: &Mutex<BTreeSet<Bytes>>,
    ) -> Result<Step<PlacedMutation>> {
        let Batch { route, items, mut budget } = batch;
        touched.lock().extend(items.iter().map(|item| item.key.user.clone()));
        let request = tinykvpb::PrewriteRequest {
            mutations: items.iter().map(PlacedMutation::to_wire).collect(),
            primary_lock: transaction.primary.user.clone(),
            start_version: transaction.start_ts.0,
            lock_ttl: transaction.ttl_ms,
            ..Default::default()
        };
        let Some(answer) = self.attempt(&route, request, &mut budget).await? else {
            return Ok(Step::Again(items, budget));
        };
        if answer.errors.is_empty() {
            return Ok(Step::Done);
        }
        if !budget.may_have_run() {
            // A refused prewrite writes nothing at all, and there was no other.
            let mut touched = touched.lock();
            for item in &items {
                touched.remove(&item.key.user);
            }
        }
        self.clear_the_way(transaction.start_ts, answer.errors, &mut budget).await?;
        Ok(Step::Again(items, budget))
    }

    /// Resolves the locks among a prewrite's errors.
    ///
    /// # Errors
    /// [`Error::Aborted`] if one of them is no lock, or a lock that lives on for too long.
    async fn clear_the_way(
        &self,
        start_ts: Timestamp,
        errors: Vec<kvrpcpb::KeyError>,
        budget: &mut Budget,
    ) -> Result<()> {
        let mut locks = Vec::new();
        for error in errors {
            match error.locked {
                Some(lock) => locks.push(lock),
                None => return Err(Error::Aborted { start_ts, reason: key_error::reason(error) }),
            }
        }
        match self.resolve(locks, budget).await {
            Ok(Some(alive)) if alive.since >= self.inner.options.write_lock_wait => {
                Err(Error::Aborted { start_ts, reason: AbortReason::Locked { key: alive.key, owner: alive.owner } })
            }
            Ok(_) => Ok(()),
            Err(Error::Locked { key, owner, .. }) => {
                Err(Error::Aborted { start_ts, reason: AbortReason::Locked { key, owner } })
            }
            Err(error) => Err(error),
        }
    }
}
