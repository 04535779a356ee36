//! Lists the locks of old transactions in a range.
//! Garbage collection starts with it: what is locked cannot be judged yet.

use nokv_engine::{KeyRange, ReadView};

use crate::lock_walk::LockWalk;
use crate::{Key, LockInfo, Result, Timestamp};

/// Lists locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanLock<'a> {
    /// Where to look, in encoded keys.
    pub range: KeyRange<'a>,
    /// Locks of transactions up to this start timestamp.
    pub max_ts: Timestamp,
    /// How many at most.
    pub limit: usize,
}

/// The locks found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanLockReply {
    /// The locks, in key order; may be fewer than asked for even if there is more.
    pub locks: Vec<LockInfo>,
    /// Where to go on, if the range has not been seen to its end.
    pub resume_at: Option<Key>,
}

impl ScanLock<'_> {
    /// Looks at a bounded number of locks.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub fn execute<V: ReadView>(&self, view: &V) -> Result<ScanLockReply> {
        let mut walk = LockWalk::new(view, self.range)?;
        let mut locks = Vec::new();
        while locks.len() < self.limit
            && let Some((key, lock)) = walk.next()?
        {
            if lock.start_ts <= self.max_ts {
                locks.push(lock.info(&key)?);
            }
        }
        Ok(ScanLockReply { locks, resume_at: walk.resume_at() })
    }
}
