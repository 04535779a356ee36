//! Ends all locks of one transaction in a region, in turns of bounded size: look for keys, latch them, decide anew,
//! write. Between two turns the latches are free, so that a large transaction's locks stop nobody for long.

use nokv_engine::{Engine, KeyRange};
use nokv_percolator::{FindTxnLocks, Key, Reply, ResolveLock, Timestamp};
use nokv_raftstore::RequestContext;

use super::{ExecuteError, Executor};

/// What became of a transaction, to be made true of all its locks in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolveRegion {
    /// The transaction.
    pub start_ts: Timestamp,
    /// When it committed; zero = it is rolled back.
    pub commit_ts: Timestamp,
}

impl<E: Engine> Executor<E> {
    /// Resolves every lock of the transaction in the region. If a lock may not commit at the timestamp, the reply says
    /// so, and turns before it stay done: they are the same decision.
    ///
    /// # Errors
    /// See [`ExecuteError`]. What was resolved until then stays resolved; asking again goes on from there.
    pub async fn resolve_region(
        &self,
        context: &RequestContext,
        resolve: ResolveRegion,
    ) -> Result<Reply<()>, ExecuteError> {
        let admitted = self.admit(context, [])?;
        // All turns are about one range: a split in between must not end in "done" for the half that went away.
        let epoch = context.epoch.or(admitted.region.region_epoch);
        let context = RequestContext { epoch, ..context.clone() };
        let mut resume_at = admitted.region.start_key.clone();
        loop {
            let (keys, rest) = self.find_locks(&context, resolve.start_ts, &resume_at).await?;
            if !keys.is_empty() {
                let reply = self.resolve_keys(&context, resolve, keys).await?;
                if reply.is_err() {
                    return Ok(reply);
                }
            }
            match rest {
                Some(rest) => resume_at = rest.into_encoded(),
                None => return Ok(Ok(())),
            }
            tokio::task::yield_now().await;
        }
    }

    /// Resolves the transaction's locks among `keys`, which are few enough for one write.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn resolve_keys(
        &self,
        context: &RequestContext,
        resolve: ResolveRegion,
        keys: Vec<Key>,
    ) -> Result<Reply<()>, ExecuteError> {
        let ResolveRegion { start_ts, commit_ts } = resolve;
        self.write(context, &ResolveLock { keys, start_ts, commit_ts }).await
    }

    /// One turn's keys, and where the next turn begins.
    async fn find_locks(
        &self,
        context: &RequestContext,
        start_ts: Timestamp,
        resume_at: &[u8],
    ) -> Result<(Vec<Key>, Option<Key>), ExecuteError> {
        let view = self.view(context, []).await?;
        let range = KeyRange::new(resume_at, &view.region.end_key);
        let find = FindTxnLocks { range, start_ts, limit: self.options.resolve_keys_max };
        let found = self.checked(find.execute(&view.view))?;
        let mut keys = found.keys;
        let mut bytes = 0;
        let fits = keys.iter().take_while(|key| {
            bytes += key.as_encoded().len();
            bytes <= self.options.resolve_bytes_max
        });
        // One key at least, or it would never end.
        let first_left = fits.count().max(1);
        if first_left >= keys.len() {
            return Ok((keys, found.resume_at));
        }
        let rest = keys.split_off(first_left).into_iter().next();
        Ok((keys, rest))
    }
}
