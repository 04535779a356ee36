//! Finds out whether a transaction that commits asynchronously holds all its locks: then it is committed. A key that it
//! has not locked is closed to it for ever, so that the answer stays true.

use nokv_engine::{ReadView, WriteBatch};

use crate::effects::{each_once, load_lock, put_rollback_mark};
use crate::versions::{TxnRecord, find_txn_record};
use crate::{Key, LockInfo, Outcome, Result, Timestamp};

/// Asks for a transaction's locks on some of its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckSecondaryLocks {
    /// The keys.
    pub keys: Vec<Key>,
    /// The transaction.
    pub start_ts: Timestamp,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecondaryLocks {
    /// Every key is locked; the locks, in key order. One that does not commit asynchronously leaves the decision to the
    /// primary alone.
    AllLocked(Vec<LockInfo>),
    /// The transaction is committed.
    Committed(Timestamp),
    /// The transaction is rolled back on one of the keys at least, by this command if by no other.
    RolledBack,
}

impl CheckSecondaryLocks {
    /// Looks at the keys up to the first that decides.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub fn execute<V: ReadView>(&self, view: &V) -> Result<Outcome<SecondaryLocks>> {
        let mut locks = Vec::with_capacity(self.keys.len());
        for key in each_once(&self.keys) {
            if let Some(lock) = load_lock(view, key)?.filter(|lock| lock.start_ts == self.start_ts) {
                locks.push(lock.info(key)?);
                continue;
            }
            return Ok(match find_txn_record(view, key, self.start_ts)? {
                TxnRecord::Committed(at) => Outcome::unchanged(SecondaryLocks::Committed(at)),
                TxnRecord::RolledBack => Outcome::unchanged(SecondaryLocks::RolledBack),
                TxnRecord::None => {
                    let mut batch = WriteBatch::new();
                    put_rollback_mark(&mut batch, view, key, self.start_ts)?;
                    Outcome { batch, reply: SecondaryLocks::RolledBack }
                }
            });
        }
        Ok(Outcome::unchanged(SecondaryLocks::AllLocked(locks)))
    }
}
