//! Phase one: locks every key and stores its value, in all regions at once.
//! Keeps account of the keys that a store may have locked, so that exactly those are cleaned up after a failure.

use std::collections::BTreeSet;

use bytes::Bytes;
use nokv_percolator::Timestamp;
use nokv_proto::kvrpcpb;
use parking_lot::Mutex;

use crate::budget::Budget;
use crate::client::Client;
use crate::error::{AbortReason, Error, Result};
use crate::key_error;
use crate::mutation::PlacedMutation;
use crate::own_timestamp::OwnTimestamp;
use crate::spread::{Batch, OnError, Step};
use crate::two_phase::TwoPhase;

/// How phase one ended, and where it may have left locks.
pub(crate) struct Prewritten {
    pub(crate) outcome: Result<()>,
    /// User keys that are locked, or may be.
    pub(crate) keys: BTreeSet<Bytes>,
    /// When it committed, if the prewrites decided that.
    pub(crate) decided: Option<Timestamp>,
    /// Whether any of them was asked to decide that.
    pub(crate) could_decide: bool,
}

/// What the stores answered so far.
#[derive(Debug, Default)]
struct Answers {
    /// Keys that are locked, or may be.
    touched: BTreeSet<Bytes>,
    /// The transaction is committed, says a store.
    committed: Option<Timestamp>,
    /// The largest bound of its locks.
    bound: Timestamp,
    /// A region's locks do not commit asynchronously.
    two_phases: bool,
    /// A store was asked for more than locks.
    could_decide: bool,
}

impl Answers {
    /// When the transaction committed, if that is decided once all have answered.
    fn decided(&self) -> Option<Timestamp> {
        self.committed.or((!self.two_phases).then_some(self.bound))
    }

    /// These keys are certainly not locked.
    fn forget(&mut self, items: &[PlacedMutation]) {
        for item in items {
            self.touched.remove(&item.key.user);
        }
    }
}

impl Client {
    /// Prewrites all of a transaction. On success every key of it is locked.
    ///
    /// Errors (in the outcome): [`Error::Aborted`] for conflicts and for locks whose owners live on,
    /// [`Error::Unavailable`] at the deadline. Either way no commit was asked for, unless the transaction was to choose
    /// its `own` timestamp: then it may be committed if all its keys may be locked.
    pub(crate) async fn prewrite(
        &self,
        transaction: &TwoPhase,
        own: Option<&OwnTimestamp>,
        budget: &Budget,
    ) -> Prewritten {
        let answers = Mutex::new(Answers::default());
        let send = |batch| self.prewrite_batch(transaction, own, batch, &answers);
        let outcome = self.spread(transaction.mutations.clone(), budget, OnError::Stop, send).await;
        let answers = answers.into_inner();
        let decided = outcome.as_ref().ok().and_then(|()| answers.decided());
        Prewritten { outcome, keys: answers.touched, decided, could_decide: answers.could_decide }
    }

    async fn prewrite_batch(
        &self,
        transaction: &TwoPhase,
        own: Option<&OwnTimestamp>,
        batch: Batch<PlacedMutation>,
        answers: &Mutex<Answers>,
    ) -> Result<Step<PlacedMutation>> {
        let Batch { route, items, mut budget } = batch;
        let request = prewrite_request(transaction, own, &items);
        let (one_phase, asynchronous) = (request.try_one_pc, request.use_async_commit);
        {
            let mut answers = answers.lock();
            answers.touched.extend(items.iter().map(|item| item.key.user.clone()));
            answers.could_decide |= one_phase || asynchronous;
        }
        let Some(answer) = self.attempt(&route, request, &mut budget).await? else {
            return Ok(Step::Again(items, budget));
        };
        if answer.errors.is_empty() {
            let mut answers = answers.lock();
            if answer.one_pc_commit_ts > 0 {
                answers.committed = Some(Timestamp(answer.one_pc_commit_ts));
                if one_phase {
                    // Its keys were never locked.
                    answers.forget(&items);
                }
            } else if answer.min_commit_ts > 0 {
                answers.bound = answers.bound.max(Timestamp(answer.min_commit_ts));
            } else {
                answers.two_phases = true;
            }
            return Ok(Step::Done);
        }
        // A refused prewrite writes nothing at all, and there was no other. But what another transaction's lock has
        // refused could be granted later to a request that went astray, and where prewrites commit, that would count.
        let for_now = (one_phase || asynchronous) && answer.errors.iter().any(|error| error.locked.is_some());
        if !budget.may_have_run() && !for_now {
            answers.lock().forget(&items);
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
                // It comes too late: the store may have forgotten what became of an earlier try.
                None if !error.abort.is_empty() => {
                    return Err(Error::Aborted { start_ts, reason: AbortReason::Refused(error.abort) });
                }
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

/// Phase one of `items`, which share a region; in one phase if they are all of the transaction.
fn prewrite_request(
    transaction: &TwoPhase,
    own: Option<&OwnTimestamp>,
    items: &[PlacedMutation],
) -> kvrpcpb::PrewriteRequest {
    let primary = &transaction.primary.user;
    let mut request = kvrpcpb::PrewriteRequest {
        mutations: items.iter().map(PlacedMutation::to_wire).collect(),
        primary_lock: primary.clone(),
        start_version: transaction.start_ts.0,
        lock_ttl: transaction.ttl_ms,
        ..Default::default()
    };
    let Some(own) = own else { return request };
    request.try_one_pc = own.one_phase && items.len() == transaction.mutations.len();
    if let Some(secondaries) = own.secondaries.as_ref().filter(|_| !request.try_one_pc) {
        request.use_async_commit = true;
        if items.iter().any(|item| item.key.user == *primary) {
            request.secondaries.clone_from(secondaries);
        }
    }
    if request.try_one_pc || request.use_async_commit {
        request.min_commit_ts = own.floor.0;
        request.max_commit_ts = own.ceiling().0;
    }
    request
}
