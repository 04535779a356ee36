//! Other transactions' locks: their primary decides. While its owner may still commit the lock is waited for; once it
//! is committed or rolled back (here, if its time is over) the lock is rolled forward or back.

use std::time::Duration;

use bytes::Bytes;
use nokv_percolator::{Key, Timestamp};
use nokv_proto::kvrpcpb::{self, LockInfo};
use parking_lot::Mutex;

use crate::budget::{Budget, Wait};
use crate::client::Client;
use crate::collect_garbage::by_owner;
use crate::error::{Error, Result};
use crate::key_error;
use crate::known_outcomes::TxnOutcome;
use crate::mutation::PlacedKey;
use crate::spread::{Batch, OnError, Step};

/// Up to so many locks of one transaction are named to the store; beyond it, it looks for all of them by itself.
const NAMED_LOCKS_MAX: usize = 16;

/// What is known of a transaction whose lock is in the way.
enum TxnStatus {
    /// It ended.
    Ended(TxnOutcome),
    /// It began before the safe point, and nothing is known of it any more. Only the transaction itself is told so.
    Forgotten,
    /// It may still commit; its lock lives for so long.
    Alive(Duration),
    /// Not asked yet: see [`crate::Options::secondary_grace`].
    Fresh,
}

/// What the secondaries of an asynchronous commit were found to be.
struct Secondaries {
    bound: Timestamp,
    ended: Option<TxnOutcome>,
    two_phases: bool,
}

/// A lock that could not be resolved because its owner is alive, and for how long it was met.
#[derive(Clone, Debug)]
pub(crate) struct Alive {
    pub(crate) key: Bytes,
    pub(crate) owner: Timestamp,
    pub(crate) since: Duration,
}

impl Client {
    /// Resolves those of `locks` whose owners have ended, then pauses, if any owner is alive. Either way the caller
    /// asks again. Returns the lock that was met longest ago among those that stay.
    ///
    /// # Errors
    /// [`Error::Unavailable`] at the deadline, [`Error::Locked`] if it is reached while an owner is alive.
    pub(crate) async fn resolve(&self, locks: Vec<LockInfo>, budget: &mut Budget) -> Result<Option<Alive>> {
        let mut longest: Option<Alive> = None;
        let mut patience = Duration::MAX;
        for ((owner, primary), locks) in by_owner(locks) {
            let since = budget.since_met(owner);
            match self.status(owner, &primary, &locks, since, budget).await? {
                TxnStatus::Ended(outcome) => {
                    self.finish(owner, outcome, &locks, budget).await?;
                    continue;
                }
                TxnStatus::Alive(remaining) => patience = patience.min(remaining),
                TxnStatus::Fresh | TxnStatus::Forgotten => {
                    patience = patience.min(self.inner.options.secondary_grace.saturating_sub(since));
                }
            }
            if longest.as_ref().is_none_or(|longest| longest.since < since) {
                let key = locks.into_iter().next().map(|lock| lock.key).unwrap_or_default();
                longest = Some(Alive { key, owner, since });
            }
        }
        let Some(alive) = &longest else {
            // All are out of the way. A pause all the same from the second time on: a store that claims to resolve
            // and does not must not be asked without a breath.
            budget.back_off(Wait::Moved, Duration::ZERO).await?;
            return Ok(None);
        };
        budget.note(format!("key {} is locked by transaction {}", alive.key.escape_ascii(), alive.owner));
        if budget.back_off_up_to(Wait::Lock, patience).await.is_err() {
            return Err(Error::Locked { key: alive.key.clone(), owner: alive.owner, waited: budget.elapsed() });
        }
        Ok(longest)
    }

    /// What became of the transaction `owner`, as its primary says.
    async fn status(
        &self,
        owner: Timestamp,
        primary: &Bytes,
        locks: &[LockInfo],
        since: Duration,
        budget: &mut Budget,
    ) -> Result<TxnStatus> {
        if let Some(outcome) = self.inner.outcomes.get(owner, primary) {
            return Ok(TxnStatus::Ended(outcome));
        }
        let has_primary = locks.iter().any(|lock| lock.key == *primary);
        if !has_primary && since < self.inner.options.secondary_grace {
            return Ok(TxnStatus::Fresh);
        }
        let now = self.draw(budget).await?;
        self.fate(owner, primary, now, Timestamp::ZERO, budget).await
    }

    /// Finds out what became of a transaction of which a lock was met, or decides it: as of the end of time every
    /// lock's time is over.
    ///
    /// # Errors
    /// [`Error::Unavailable`] at the deadline.
    pub(crate) async fn decide(&self, start_ts: Timestamp, primary: &Bytes, budget: &mut Budget) -> Result<TxnOutcome> {
        match self.fate(start_ts, primary, Timestamp::MAX, Timestamp::ZERO, budget).await? {
            TxnStatus::Ended(outcome) => Ok(outcome),
            TxnStatus::Alive(_) | TxnStatus::Fresh | TxnStatus::Forgotten => {
                Err(Error::Protocol("a lock outlived the end of time".to_owned()))
            }
        }
    }

    /// As [`Client::decide`], for a transaction of this client's own, whose locks may all be gone.
    ///
    /// # Errors
    /// [`Error::Unavailable`] at the deadline; [`Error::Undetermined`] if everything about it may have been collected.
    pub(crate) async fn decide_own(
        &self,
        start_ts: Timestamp,
        primary: &Bytes,
        budget: &mut Budget,
    ) -> Result<TxnOutcome> {
        match self.fate(start_ts, primary, Timestamp::MAX, start_ts, budget).await? {
            TxnStatus::Ended(outcome) => Ok(outcome),
            TxnStatus::Forgotten => Err(Error::Undetermined {
                operation: "commit",
                start_ts: Some(start_ts),
                last: "it began before the safe point, and its record may have been collected".to_owned(),
            }),
            TxnStatus::Alive(_) | TxnStatus::Fresh => {
                Err(Error::Protocol("a lock outlived the end of time".to_owned()))
            }
        }
    }

    /// What became of a transaction as of `now`, as its primary says and, if it commits asynchronously and its time is
    /// over, its other keys. `caller` is the transaction that asks; zero = it does not matter.
    async fn fate(
        &self,
        owner: Timestamp,
        primary: &Bytes,
        now: Timestamp,
        caller: Timestamp,
        budget: &mut Budget,
    ) -> Result<TxnStatus> {
        let question = |two_phases| kvrpcpb::CheckTxnStatusRequest {
            primary_key: primary.clone(),
            lock_ts: owner.0,
            caller_start_ts: caller.0,
            current_ts: now.0,
            rollback_if_not_exist: true,
            force_sync_commit: two_phases,
            ..Default::default()
        };
        let Some(mut answer) = self.txn_status(question(false), budget).await? else { return Ok(TxnStatus::Forgotten) };
        let asynchronous = answer.lock_info.take().filter(|lock| lock.use_async_commit);
        if let Some(lock) = asynchronous.filter(|_| owner.ttl_over(answer.lock_ttl, now)) {
            match self.check_secondaries(owner, &lock, budget).await? {
                Some(outcome) => {
                    self.inner.outcomes.insert(owner, primary.clone(), outcome);
                    return Ok(TxnStatus::Ended(outcome));
                }
                None => match self.txn_status(question(true), budget).await? {
                    Some(status) => answer = status,
                    None => return Ok(TxnStatus::Forgotten),
                },
            }
        }
        let outcome = if answer.commit_version > 0 {
            TxnOutcome::Committed(Timestamp(answer.commit_version))
        } else if answer.lock_ttl == 0 {
            TxnOutcome::RolledBack
        } else {
            let ends_ms = owner.physical_ms().saturating_add(answer.lock_ttl);
            return Ok(TxnStatus::Alive(Duration::from_millis(ends_ms.saturating_sub(now.physical_ms()))));
        };
        self.inner.outcomes.insert(owner, primary.clone(), outcome);
        Ok(TxnStatus::Ended(outcome))
    }

    /// Asks a transaction's primary for its state. A transaction whose lock's time is over by then, or that has no lock
    /// there, is rolled back by asking; one that commits asynchronously is not, unless `force_sync_commit` says that it
    /// is known to need a second phase. `None`: the store does not know any more.
    async fn txn_status(
        &self,
        question: kvrpcpb::CheckTxnStatusRequest,
        budget: &mut Budget,
    ) -> Result<Option<kvrpcpb::CheckTxnStatusResponse>> {
        let (start_ts, primary) = (Timestamp(question.lock_ts), &question.primary_key);
        if primary.is_empty() {
            return Err(Error::Protocol(format!("a lock of transaction {start_ts} names no primary")));
        }
        let (route, answer) = self.call(Key::encode(primary).as_encoded(), &question, budget).await?;
        match &answer.error {
            None => Ok(Some(answer)),
            Some(error) if error.txn_not_found.is_some() && question.caller_start_ts == question.lock_ts => Ok(None),
            Some(error) => Err(Error::Protocol(format!(
                "store {} cannot tell what became of transaction {start_ts}: {}",
                route.peer.store_id,
                key_error::words(error)
            ))),
        }
    }

    /// Whether a transaction that commits asynchronously, whose primary's `lock` names its other keys, holds all its
    /// locks: then it is committed, at the largest of their bounds. `None`: one of them needs a second phase, so the
    /// primary decides alone. A key that is not locked is closed to the transaction by asking.
    async fn check_secondaries(
        &self,
        owner: Timestamp,
        lock: &LockInfo,
        budget: &Budget,
    ) -> Result<Option<TxnOutcome>> {
        let bound = Timestamp(lock.min_commit_ts);
        let found = Mutex::new(Secondaries { bound, ended: None, two_phases: false });
        let keys: Vec<PlacedKey> = lock.secondaries.iter().map(|key| key.clone().into()).collect();
        let send = |Batch { route, items, mut budget }: Batch<PlacedKey>| {
            let found = &found;
            async move {
                let request = kvrpcpb::CheckSecondaryLocksRequest {
                    keys: items.iter().map(|key| key.user.clone()).collect(),
                    start_version: owner.0,
                    ..Default::default()
                };
                let Some(answer) = self.attempt(&route, request, &mut budget).await? else {
                    return Ok(Step::Again(items, budget));
                };
                if let Some(error) = answer.error {
                    return Err(Error::Protocol(format!(
                        "store {} cannot tell the locks of transaction {owner}: {}",
                        route.peer.store_id,
                        key_error::words(&error)
                    )));
                }
                let mut found = found.lock();
                if answer.commit_ts > 0 {
                    found.ended = Some(TxnOutcome::Committed(Timestamp(answer.commit_ts)));
                } else if answer.locks.len() < items.len() {
                    found.ended = Some(TxnOutcome::RolledBack);
                }
                for lock in answer.locks {
                    found.two_phases |= !lock.use_async_commit;
                    found.bound = found.bound.max(Timestamp(lock.min_commit_ts));
                }
                Ok(Step::Done)
            }
        };
        self.spread(keys, budget, OnError::Stop, send).await?;
        let Secondaries { bound, ended, two_phases } = found.into_inner();
        Ok(ended.or((!two_phases).then_some(TxnOutcome::Committed(bound))))
    }

    /// Rolls the locks of an ended transaction forward or back, in every region where one was met.
    pub(crate) async fn finish(
        &self,
        owner: Timestamp,
        outcome: TxnOutcome,
        locks: &[LockInfo],
        budget: &Budget,
    ) -> Result<()> {
        let keys: Vec<PlacedKey> = locks.iter().map(|lock| lock.key.clone().into()).collect();
        let send = |Batch { route, items, mut budget }: Batch<PlacedKey>| async move {
            let named = items.len() <= NAMED_LOCKS_MAX;
            let request = kvrpcpb::ResolveLockRequest {
                start_version: owner.0,
                commit_version: outcome.commit_version(),
                // TinyKV's own store does not look at them and always searches the region.
                keys: if named { items.iter().map(|key| key.user.clone()).collect() } else { Vec::new() },
                ..Default::default()
            };
            let Some(answer) = self.attempt(&route, request, &mut budget).await? else {
                return Ok(Step::Again(items, budget));
            };
            match answer.error {
                None => Ok(Step::Done),
                Some(error) => Err(Error::Protocol(format!(
                    "store {} cannot resolve the locks of transaction {owner}, whose outcome is {outcome:?}: {}",
                    route.peer.store_id,
                    key_error::words(&error)
                ))),
            }
        };
        self.spread(keys, budget, OnError::Stop, send).await
    }
}
