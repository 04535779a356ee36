//! Finds out, at its primary, what became of a transaction; ends it if its time is over, or makes it commit after the
//! reader who asks.

use nokv_engine::{ReadView, WriteBatch};

use crate::effects::{load_lock, put_lock, put_rollback_mark, roll_back_lock, user_key};
use crate::versions::{TxnRecord, find_txn_record};
use crate::{Key, KeyError, Lock, LockInfo, Outcome, Reply, Result, Timestamp};

/// Asks for the status of a transaction.
///
/// TinyKV's call is this one with `caller_start_ts` zero, `rollback_if_not_exist` set and `verify_is_primary` not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckTxnStatus {
    /// The transaction's primary key.
    pub primary: Key,
    /// The transaction.
    pub lock_ts: Timestamp,
    /// The asking reader's version, so that the transaction can be pushed past it; zero or [`Timestamp::MAX`]: do not
    /// push.
    pub caller_start_ts: Timestamp,
    /// The present, for the lock's time to live; [`Timestamp::MAX`] ends any lock.
    pub current_ts: Timestamp,
    /// Turn "nothing is known of it" into a rollback.
    pub rollback_if_not_exist: bool,
    /// Refuse if the lock found names another key as the primary.
    pub verify_is_primary: bool,
    /// Treat a transaction that commits asynchronously as one of two phases, whose primary decides alone. To be set
    /// once a lock of it was found that does not commit so.
    pub force_sync_commit: bool,
}

/// What is known of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckTxnStatusReply {
    /// Its status, after this command.
    pub status: TxnStatus,
    /// What this command did about it.
    pub action: StatusAction,
}

/// The status of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxnStatus {
    /// Under way. `ttl_ms` is never zero here: on the wire that would read as rolled back.
    Alive(LockInfo),
    /// Committed at this timestamp.
    Committed(Timestamp),
    /// Rolled back for ever.
    RolledBack,
}

/// What a status check did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatusAction {
    /// Nothing.
    None,
    /// Rolled the transaction back: its time was over.
    TtlExpireRollback,
    /// Left a rollback mark: there was no lock.
    LockNotExistRollback,
    /// The transaction commits after the caller's version, by this push or an earlier one: the caller may pass its
    /// locks.
    MinCommitTsPushed,
}

impl CheckTxnStatus {
    /// Decides.
    ///
    /// Replies [`KeyError::TxnNotFound`] if nothing is known and `rollback_if_not_exist` is not set, and
    /// [`KeyError::PrimaryMismatch`] as `verify_is_primary` says.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub fn execute<V: ReadView>(&self, view: &V) -> Result<Outcome<Reply<CheckTxnStatusReply>>> {
        match load_lock(view, &self.primary)? {
            Some(lock) if lock.start_ts == self.lock_ts => self.check_lock(view, lock),
            _ => self.check_records(view),
        }
    }

    /// Decides for the transaction itself, once the safe point lies above its start: replies
    /// [`KeyError::TxnNotFound`] unless there is a lock or a commit, since everything else may have been collected. (A
    /// rollback mark may be from somebody who met a lock long ago, and asked when nothing was left.)
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub fn execute_below<V: ReadView>(&self, view: &V) -> Result<Outcome<Reply<CheckTxnStatusReply>>> {
        let mut outcome = Self { rollback_if_not_exist: false, ..self.clone() }.execute(view)?;
        if let Ok(CheckTxnStatusReply { status: TxnStatus::RolledBack, action: StatusAction::None }) = outcome.reply {
            outcome.reply = Err(KeyError::TxnNotFound { start_ts: self.lock_ts, primary: user_key(&self.primary)? });
        }
        Ok(outcome)
    }

    fn check_lock<V: ReadView>(&self, view: &V, mut lock: Lock) -> Result<Outcome<Reply<CheckTxnStatusReply>>> {
        let mut batch = WriteBatch::new();
        let mut info = lock.info(&self.primary)?;
        let is_primary = lock.is_on_primary(&self.primary);
        if self.verify_is_primary && !is_primary {
            return Ok(Outcome::unchanged(Err(KeyError::PrimaryMismatch(info))));
        }
        if lock.async_commit.is_some() && !self.force_sync_commit {
            // It may be committed by its other locks, whatever its age. Nor is its bound pushed: it may have been told
            // to its client as the commit timestamp.
            info.ttl_ms = info.ttl_ms.max(1);
            return Ok(answer(batch, TxnStatus::Alive(info), StatusAction::None));
        }
        if lock.start_ts.ttl_over(lock.ttl_ms, self.current_ts) {
            roll_back_lock(&mut batch, view, &self.primary, &lock)?;
            return Ok(answer(batch, TxnStatus::RolledBack, StatusAction::TtlExpireRollback));
        }
        let mut action = StatusAction::None;
        let has_caller = !self.caller_start_ts.is_zero() && self.caller_start_ts != Timestamp::MAX;
        if has_caller && is_primary && !lock.min_commit_ts.is_zero() && lock.async_commit.is_none() {
            if lock.min_commit_ts <= self.caller_start_ts {
                // Not only past this reader but to the present, so that the next ones need not push again.
                lock.min_commit_ts = self.caller_start_ts.next().max(self.current_ts);
                put_lock(&mut batch, &self.primary, &lock);
            }
            action = StatusAction::MinCommitTsPushed;
        }
        info.min_commit_ts = lock.min_commit_ts;
        info.ttl_ms = info.ttl_ms.max(1);
        Ok(answer(batch, TxnStatus::Alive(info), action))
    }

    fn check_records<V: ReadView>(&self, view: &V) -> Result<Outcome<Reply<CheckTxnStatusReply>>> {
        let mut batch = WriteBatch::new();
        Ok(match find_txn_record(view, &self.primary, self.lock_ts)? {
            TxnRecord::Committed(_) if nokv_engine::is_planted("overlook the primary's commit") => {
                answer(batch, TxnStatus::RolledBack, StatusAction::None)
            }
            TxnRecord::Committed(at) => answer(batch, TxnStatus::Committed(at), StatusAction::None),
            TxnRecord::RolledBack => answer(batch, TxnStatus::RolledBack, StatusAction::None),
            TxnRecord::None if self.rollback_if_not_exist => {
                put_rollback_mark(&mut batch, view, &self.primary, self.lock_ts)?;
                answer(batch, TxnStatus::RolledBack, StatusAction::LockNotExistRollback)
            }
            TxnRecord::None => {
                let primary = user_key(&self.primary)?;
                Outcome::unchanged(Err(KeyError::TxnNotFound { start_ts: self.lock_ts, primary }))
            }
        })
    }
}

fn answer(batch: WriteBatch, status: TxnStatus, action: StatusAction) -> Outcome<Reply<CheckTxnStatusReply>> {
    Outcome { batch, reply: Ok(CheckTxnStatusReply { status, action }) }
}
