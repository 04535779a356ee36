//! Reads where this store follows: it asks the leader how far it has to have applied, waits until it has, and reads its
//! own data. The leader answers under its lease, or asks its quorum; one question is made for each read.

use std::time::Duration;

use futures_util::future::BoxFuture;
use nokv_engine::Engine;
use nokv_percolator::{ReadPoint, Timestamp};
use nokv_proto::metapb::{Peer, Region};
use nokv_raftstore::{Raftstore, RegionError, RegionView, RequestContext};
use tokio::time::{Instant, sleep};

use super::{ExecuteError, Executor, RegionScan};

/// How often it is looked whether enough is applied: entries come with the leader's next message.
const APPLIED_POLL: Duration = Duration::from_millis(1);

/// The leaders of regions, on other stores.
pub trait Leaders: Send + Sync + 'static {
    /// Asks `leader` how far a replica of the region has to have applied to hold every write acknowledged before now,
    /// and tells it that the region is read at `version` (zero: plain keys).
    ///
    /// The error is the region's, as the leader's store gave it, or `ServerIsBusy` if it gave none in time.
    fn read_index<'a>(
        &'a self,
        leader: Peer,
        context: &'a RequestContext,
        version: Timestamp,
    ) -> BoxFuture<'a, Result<u64, RegionError>>;
}

impl<E: Engine> Executor<E> {
    /// A view of this replica, where the request allows that it serves, and it follows or all of that time is settled;
    /// `check` finds what is read to be this region's. `None`: it is the leader's to serve.
    pub(super) async fn follower_view(
        &self,
        context: &RequestContext,
        version: Timestamp,
        check: impl Fn(&Region) -> Result<(), RegionError>,
    ) -> Result<Option<RegionView<E::View>>, ExecuteError> {
        if !context.replica_read {
            return Ok(None);
        }
        // In a box, so that reads of the leader pay nothing for it.
        let found = Box::pin(async {
            if let Some(view) = self.settled_view(context, version) {
                return Ok(Some(view));
            }
            let Some(leaders) = self.leaders.as_ref() else { return Ok(None) };
            let Some(leader) = self.raftstore().leader_elsewhere(context)? else {
                self.want_settled(context);
                return Ok(None);
            };
            if nokv_engine::is_planted("read from a replica as it is") {
                return self.applied_view(context, 0).await.map(Some);
            }
            let read_index = leaders.read_index(leader, context, version).await?;
            let view = self.applied_view(context, read_index).await?;
            if version.is_zero() || version == Timestamp::MAX {
                // No version keeps what it shows apart from what the leader is about to: see `await_leader`.
                self.await_leader(leaders.as_ref(), leader, context, &view, read_index).await?;
            }
            Ok(Some(view))
        });
        let found: Result<_, RegionError> = found.await;
        let Some(view) = found? else { return Ok(None) };
        check(&view.region)?;
        Ok(Some(view))
    }

    /// Answers a follower that wants to serve a read at `version`: how far it has to have applied.
    ///
    /// # Errors
    /// [`RegionError`]; the follower passes it on to its client.
    pub async fn read_index(&self, context: &RequestContext, version: Timestamp) -> Result<u64, ExecuteError> {
        if version.is_zero() {
            return Ok(self.raftstore().read_index(context).await?);
        }
        self.want_settled(context);
        // As if the whole region were read here: writes that choose their commit timestamp choose one above `version`
        // from now on, and those that may have chosen one below are waited for.
        let lower = self.raftstore().enter(context)?.region.start_key.clone();
        let scan = RegionScan { lower, read: ReadPoint::snapshot(version), ..RegionScan::default() };
        let view = self.view_to_scan(context, &scan).await?;
        Ok(self.raftstore().announce(&view)?)
    }

    /// Waits until the leader has applied what `view` shows, of which `told` is known. This replica may have applied
    /// more than its leader, and who has seen that here must not be shown less by the leader a moment later.
    async fn await_leader(
        &self,
        leaders: &dyn Leaders,
        leader: Peer,
        context: &RequestContext,
        view: &RegionView<E::View>,
        mut told: u64,
    ) -> Result<(), RegionError> {
        let shown = Raftstore::<E>::applied_index(view)?;
        let deadline = Instant::now() + self.options.replica_wait_max;
        while told < shown {
            if Instant::now() >= deadline {
                let reason = format!("the leader of region {} is too far behind this replica", context.region_id);
                return Err(RegionError::ServerIsBusy { reason, backoff_ms: 100 });
            }
            sleep(APPLIED_POLL).await;
            told = leaders.read_index(leader, context, Timestamp::ZERO).await?;
        }
        Ok(())
    }

    async fn applied_view(
        &self,
        context: &RequestContext,
        read_index: u64,
    ) -> Result<RegionView<E::View>, RegionError> {
        let deadline = Instant::now() + self.options.replica_wait_max;
        loop {
            if let Some(view) = self.raftstore().replica_view(context, read_index)? {
                return Ok(view);
            }
            if Instant::now() >= deadline {
                let reason = format!("this replica of region {} is too far behind its leader", context.region_id);
                return Err(RegionError::ServerIsBusy { reason, backoff_ms: 100 });
            }
            sleep(APPLIED_POLL).await;
        }
    }
}
