//! Keeps a long transaction alive by giving its primary lock more time,
//! so that those who meet its locks wait instead of ending it.

use nokv_engine::{ReadView, WriteBatch};

use crate::effects::{load_lock, put_lock, user_key};
use crate::{Key, KeyError, Outcome, Reply, Result, Timestamp};

/// Prolongs a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnHeartBeat {
    /// The transaction's primary key.
    pub primary: Key,
    /// The transaction.
    pub start_ts: Timestamp,
    /// The time to live wished for, in milliseconds after the physical part of `start_ts`. Never shortens it.
    pub advise_ttl_ms: u64,
    /// Also raises the earliest commit timestamp of a transaction that takes pushes; zero = leave it. A key that is
    /// not its primary keeps its own, and so does one that commits asynchronously.
    pub min_commit_ts: Timestamp,
}

impl TxnHeartBeat {
    /// The lock's time to live after this, in milliseconds. Replies [`KeyError::TxnNotFound`] if the transaction holds
    /// no lock here any more: ask for its status.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub fn execute<V: ReadView>(&self, view: &V) -> Result<Outcome<Reply<u64>>> {
        let Some(old) = load_lock(view, &self.primary)?.filter(|lock| lock.start_ts == self.start_ts) else {
            let primary = user_key(&self.primary)?;
            return Ok(Outcome::unchanged(Err(KeyError::TxnNotFound { start_ts: self.start_ts, primary })));
        };
        let mut lock = old.clone();
        lock.ttl_ms = lock.ttl_ms.max(self.advise_ttl_ms);
        if !lock.min_commit_ts.is_zero() && lock.is_on_primary(&self.primary) && lock.async_commit.is_none() {
            lock.min_commit_ts = lock.min_commit_ts.max(self.min_commit_ts);
        }
        let mut batch = WriteBatch::new();
        if lock != old {
            put_lock(&mut batch, &self.primary, &lock);
        }
        Ok(Outcome { batch, reply: Ok(lock.ttl_ms) })
    }
}
