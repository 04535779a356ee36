//! Gives a transaction up on some of its keys: no lock, no value,
//! and a mark that it can never come back.

use nokv_engine::{ReadView, WriteBatch};

use crate::effects::{each_once, load_lock, put_rollback_mark, roll_back_lock, user_key};
use crate::versions::{TxnRecord, find_txn_record};
use crate::{Key, KeyError, Outcome, Reply, Result, Timestamp};

/// Rolls a transaction back on some of its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRollback {
    /// The keys; none, or one twice, is fine.
    pub keys: Vec<Key>,
    /// The transaction.
    pub start_ts: Timestamp,
}

impl BatchRollback {
    /// Rolls all keys back or, if the transaction has committed any, none: then the reply is
    /// [`KeyError::Committed`]. A key on which nothing of the transaction is found gets the mark alone, so that a
    /// prewrite still on its way is refused; another transaction's lock there is left alone.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub fn execute<V: ReadView>(&self, view: &V) -> Result<Outcome<Reply<()>>> {
        let mut batch = WriteBatch::new();
        for key in each_once(&self.keys) {
            if let Err(error) = roll_back_key(&mut batch, view, key, self.start_ts)? {
                return Ok(Outcome::unchanged(Err(error)));
            }
        }
        Ok(Outcome { batch, reply: Ok(()) })
    }
}

/// Rolls one key back, whatever its lock's age.
pub(crate) fn roll_back_key<V: ReadView>(
    batch: &mut WriteBatch,
    view: &V,
    key: &Key,
    start_ts: Timestamp,
) -> Result<Reply<()>> {
    if let Some(lock) = load_lock(view, key)?
        && lock.start_ts == start_ts
    {
        roll_back_lock(batch, view, key, &lock)?;
        return Ok(Ok(()));
    }
    match find_txn_record(view, key, start_ts)? {
        TxnRecord::Committed(commit_ts) => {
            return Ok(Err(KeyError::Committed { start_ts, commit_ts, key: user_key(key)? }));
        }
        TxnRecord::RolledBack => {}
        TxnRecord::None => put_rollback_mark(batch, view, key, start_ts)?,
    }
    Ok(Ok(()))
}
