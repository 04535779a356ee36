//! Ends the locks of a transaction whose fate is known from its primary. Over a whole range this takes turns of two
//! steps, because keys must be latched from the read to the applied write and are not known before:
//!
//! ```text
//! FindTxnLocks ──keys──▶ latch ──▶ new view ──▶ ResolveLock ──batch──▶ replicate ──▶ from resume_at again
//! ```

use nokv_engine::{KeyRange, ReadView, WriteBatch};

use crate::effects::{check_commit_ts, check_min_commit_ts, commit_lock, each_once, load_lock, roll_back_lock};
use crate::lock_walk::LockWalk;
use crate::{Key, Outcome, Reply, Result, Timestamp};

/// Looks for the keys that a transaction holds locked in a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FindTxnLocks<'a> {
    /// Where to look, in encoded keys.
    pub range: KeyRange<'a>,
    /// The transaction.
    pub start_ts: Timestamp,
    /// How many keys at most.
    pub limit: usize,
}

/// The locks found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindTxnLocksReply {
    /// The locked keys, in order; may be empty even if there is more.
    pub keys: Vec<Key>,
    /// Where to go on, if the range has not been seen to its end.
    pub resume_at: Option<Key>,
}

impl FindTxnLocks<'_> {
    /// Looks at a bounded number of locks.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub fn execute<V: ReadView>(&self, view: &V) -> Result<FindTxnLocksReply> {
        let mut walk = LockWalk::new(view, self.range)?;
        let mut keys = Vec::new();
        while keys.len() < self.limit
            && let Some((key, lock)) = walk.next()?
        {
            if lock.start_ts == self.start_ts {
                keys.push(key);
            }
        }
        Ok(FindTxnLocksReply { keys, resume_at: walk.resume_at() })
    }
}

/// Commits or rolls back a transaction's locks on given keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveLock {
    /// The keys; the caller bounds their number.
    pub keys: Vec<Key>,
    /// The transaction.
    pub start_ts: Timestamp,
    /// When it committed; zero = it is rolled back.
    pub commit_ts: Timestamp,
}

impl ResolveLock {
    /// Ends this transaction's locks among the keys. A key without one is fine: someone else was faster.
    ///
    /// If the primary is among them and may not commit at `commit_ts`, the reply says so and nothing is written. A
    /// secondary's own bound does not count here: the primary has decided, and a lock that fits no decision would stand
    /// for ever.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub fn execute<V: ReadView>(&self, view: &V) -> Result<Outcome<Reply<()>>> {
        let commits = !self.commit_ts.is_zero();
        if commits && let Err(error) = check_commit_ts(self.start_ts, self.commit_ts) {
            return Ok(Outcome::unchanged(Err(error)));
        }
        let mut batch = WriteBatch::new();
        for key in each_once(&self.keys) {
            let Some(lock) = load_lock(view, key)?.filter(|lock| lock.start_ts == self.start_ts) else { continue };
            if !commits {
                roll_back_lock(&mut batch, view, key, &lock)?;
                continue;
            }
            if lock.is_on_primary(key)
                && let Err(error) = check_min_commit_ts(key, &lock, self.commit_ts)?
            {
                return Ok(Outcome::unchanged(Err(error)));
            }
            commit_lock(&mut batch, view, key, &lock, self.commit_ts)?;
        }
        Ok(Outcome { batch, reply: Ok(()) })
    }
}
