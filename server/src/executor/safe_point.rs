//! The safe point: below it, old versions and rollback marks may be gone, so whoever would read there, or begin to
//! write there, is refused.
//!
//! It is looked at *after* the view was taken: what is missing from a view was removed after the safe point was raised.

use nokv_engine::Engine;
use nokv_percolator::{KeyError, Reply, Timestamp};
use nokv_raftstore::RequestContext;

use super::{ExecuteError, Executor};

impl<E: Engine> Executor<E> {
    /// The safe point of this store; zero = there has never been one.
    pub fn safe_point(&self) -> Timestamp {
        Timestamp(self.raftstore.safe_point())
    }

    /// Raises the safe point in the log of a region. When this resolves, neither this store nor any later leader of the
    /// region, after whatever restarts, answers from below it. A number that is not above the safe point is fine.
    ///
    /// Whoever calls has ended all transactions from below it, on all regions, and knows that no transaction still
    /// draws timestamps below it.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn raise_safe_point(&self, context: &RequestContext, safe_point: Timestamp) -> Result<(), ExecuteError> {
        self.admit(context, [])?;
        // The store's, if that is higher: another region has heard of it, and this one will have to.
        let number = safe_point.max(self.safe_point());
        Ok(self.raftstore.raise_safe_point(context.region_id, number.0).await?)
    }

    /// Refuses a read from below the safe point.
    pub(super) fn check_safe_point(&self, version: Timestamp) -> Reply<()> {
        check_at_least(version, self.safe_point())
    }
}

/// Refuses what comes from below `safe_point`.
pub(super) fn check_at_least(ts: Timestamp, safe_point: Timestamp) -> Reply<()> {
    if ts < safe_point && !nokv_engine::is_planted("read below the safe point") {
        return Err(KeyError::BelowSafePoint { ts, safe_point });
    }
    Ok(())
}
