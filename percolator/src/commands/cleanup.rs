//! Rolls a transaction back on one key if its time is over.
//! It is the way of older clients to get a lock out of the way.

use nokv_engine::{ReadView, WriteBatch};

use super::batch_rollback::roll_back_key;
use crate::effects::load_lock;
use crate::{Key, KeyError, Outcome, Reply, Result, Timestamp};

/// Rolls one key back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleanup {
    /// The key.
    pub key: Key,
    /// The transaction.
    pub start_ts: Timestamp,
    /// The present, for the lock's time to live; zero = roll back whatever its age.
    pub current_ts: Timestamp,
}

impl Cleanup {
    /// Rolls back, and leaves the mark also where nothing is found.
    ///
    /// Replies [`KeyError::Locked`] while the lock is alive, or if it commits asynchronously (one key alone cannot tell
    /// whether it has), and [`KeyError::Committed`] with the timestamp if the
    /// transaction has committed.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub fn execute<V: ReadView>(&self, view: &V) -> Result<Outcome<Reply<()>>> {
        if let Some(lock) = load_lock(view, &self.key)?.filter(|lock| lock.start_ts == self.start_ts)
            && (lock.async_commit.is_some()
                || (!self.current_ts.is_zero() && !lock.start_ts.ttl_over(lock.ttl_ms, self.current_ts)))
        {
            return Ok(Outcome::unchanged(Err(KeyError::Locked(lock.info(&self.key)?))));
        }
        let mut batch = WriteBatch::new();
        let reply = roll_back_key(&mut batch, view, &self.key, self.start_ts)?;
        Ok(Outcome { batch, reply })
    }
}
