//! Lists the locks of old transactions in a region, in steps: garbage collection and repair begin with it.
//! What a step leaves out is never left out of the answer.

use bytes::Bytes;
use nokv_engine::{Engine, KeyRange};
use nokv_percolator::{LockInfo, ReadPoint, ScanLock, Timestamp};
use nokv_raftstore::{RegionExt as _, RegionView, RequestContext};

use super::read::cut;
use super::{ExecuteError, Executor};

/// The locks of old transactions in a range of one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionLocks {
    /// First key (encoded); empty = from the region's start.
    pub lower: Bytes,
    /// First key behind the range (encoded); empty = up to the region's end.
    pub upper: Bytes,
    /// Locks of transactions up to this start timestamp.
    pub max_ts: Timestamp,
    /// How many at most.
    pub limit: usize,
}

impl<E: Engine> Executor<E> {
    /// The locks of a range in key order, cut to the region.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn scan_locks(
        &self,
        context: &RequestContext,
        locks: &RegionLocks,
    ) -> Result<Vec<LockInfo>, ExecuteError> {
        let view = self.view_of_locks(context, locks).await?;
        let (mut lower, upper) = cut(&locks.lower, &locks.upper, &view.region);
        let mut found: Vec<LockInfo> = Vec::new();
        let mut bytes = 0;
        while found.len() < locks.limit {
            let range = KeyRange::new(&lower, &upper);
            let step = ScanLock { range, max_ts: locks.max_ts, limit: locks.limit - found.len() };
            let part = self.checked(step.execute(&view.view))?;
            bytes += part.locks.iter().map(|lock| lock.key.len() + lock.primary.len()).sum::<usize>();
            if bytes > self.options.scan_bytes_max {
                return Err(ExecuteError::AnswerTooLarge { bytes_max: self.options.scan_bytes_max });
            }
            found.extend(part.locks);
            let Some(resume_at) = part.resume_at else { break };
            lower = resume_at.into_encoded();
            tokio::task::yield_now().await;
        }
        Ok(found)
    }

    /// A view as a read at `max_ts` has it: what chooses its own commit timestamp from now on chooses one above that,
    /// and what has chosen one below is in the view.
    async fn view_of_locks(
        &self,
        context: &RequestContext,
        locks: &RegionLocks,
    ) -> Result<RegionView<E::View>, ExecuteError> {
        let first = (!locks.lower.is_empty()).then_some(locks.lower.as_ref());
        let read = ReadPoint::snapshot(locks.max_ts);
        loop {
            let admitted = self.admit(context, first)?;
            let (lower, upper) = cut(&locks.lower, &locks.upper, &admitted.region);
            self.pass(self.checked(self.announcements.before_scan(&read, KeyRange::new(&lower, &upper)))?).await?;
            let view = self.view(context, first).await?;
            // A region that has grown meanwhile has keys that were not looked at: again.
            if view.epoch().version == admitted.region.epoch().version {
                return Ok(view);
            }
        }
    }
}
