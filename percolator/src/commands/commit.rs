//! The second phase: turns a transaction's locks into commit records. On the primary this is the moment at which the
//! transaction happens.

use nokv_engine::{ReadView, WriteBatch};

use crate::effects::{check_commit_ts, check_min_commit_ts, commit_lock, each_once, load_lock, user_key};
use crate::versions::{TxnRecord, find_txn_record};
use crate::{Key, KeyError, Outcome, Reply, Result, Timestamp};

/// Commits a transaction on some of its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The keys; none, or one twice, is fine.
    pub keys: Vec<Key>,
    /// The transaction.
    pub start_ts: Timestamp,
    /// When it happens; drawn after all its prewrites succeeded.
    pub commit_ts: Timestamp,
}

impl Commit {
    /// Commits all keys or, if any cannot be, none; then the reply is the first such key's error. A key that has this
    /// transaction's commit already is fine: the request came twice.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub fn execute<V: ReadView>(&self, view: &V) -> Result<Outcome<Reply<()>>> {
        if let Err(error) = check_commit_ts(self.start_ts, self.commit_ts) {
            return Ok(Outcome::unchanged(Err(error)));
        }
        let mut batch = WriteBatch::new();
        for key in each_once(&self.keys) {
            if let Err(error) = self.commit_key(&mut batch, view, key)? {
                return Ok(Outcome::unchanged(Err(error)));
            }
        }
        Ok(Outcome { batch, reply: Ok(()) })
    }

    fn commit_key<V: ReadView>(&self, batch: &mut WriteBatch, view: &V, key: &Key) -> Result<Reply<()>> {
        if let Some(lock) = load_lock(view, key)?
            && (lock.start_ts == self.start_ts || nokv_engine::is_planted("commit whatever is locked"))
        {
            if let Err(error) = check_min_commit_ts(key, &lock, self.commit_ts)? {
                return Ok(Err(error));
            }
            commit_lock(batch, view, key, &lock, self.commit_ts)?;
            return Ok(Ok(()));
        }
        let start_ts = self.start_ts;
        Ok(match find_txn_record(view, key, start_ts)? {
            TxnRecord::Committed(_) => Ok(()),
            TxnRecord::RolledBack if nokv_engine::is_planted("commit what was rolled back") => Ok(()),
            TxnRecord::RolledBack => Err(KeyError::RolledBack { start_ts, key: user_key(key)? }),
            TxnRecord::None => Err(KeyError::TxnLockNotFound { start_ts, key: user_key(key)? }),
        })
    }
}
