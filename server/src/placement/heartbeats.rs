//! Heartbeats of stores and of regions' leaders, and the streams of timestamps and lookups.
//! A stream ends with its client, or with a status that says who leads instead.

use std::pin::Pin;

use futures_util::stream::{Stream, unfold};
use nokv_engine::Engine;
use nokv_placement::schedule::StoreReport;
use nokv_proto::pdpb::*;
use nokv_raftstore::StoreId;
use tokio::sync::oneshot;
use tonic::{Status, Streaming};

use super::calls::last_of;
use super::steward::Job;
use super::wire::{header, order, refusal, report};
use super::{Placement, PlacementError};

/// Answers of a stream.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl<E: Engine> Placement<E> {
    /// Takes in how a store is.
    ///
    /// # Errors
    /// Placement does not lead here, or is not begun.
    pub async fn store_heartbeat(&self, request: StoreHeartbeatRequest) -> Result<StoreHeartbeatResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        let stats = request.stats.unwrap_or_default();
        let id = StoreId(stats.store_id);
        let report = StoreReport {
            capacity_bytes: stats.capacity,
            available_bytes: stats.available,
            peers: stats.region_count.into(),
            busy: stats.is_busy,
            stopping: stats.is_stopping,
            slow_score: stats.slow_score,
        };
        let now_ms = self.now_ms();
        let known = self.look(|led| {
            let record = led.state.store(id);
            let known = record.map(|record| record.store.node_state());
            if known.is_some() {
                led.scheduler.on_store(id, report, now_ms);
            }
            known
        })?;
        let Some(state) = known else {
            let why = nokv_placement::state::Refusal::StoreNotFound(id);
            let header = Some(refusal(cluster_id, &why));
            return Ok(StoreHeartbeatResponse { header, ..StoreHeartbeatResponse::default() });
        };
        Ok(StoreHeartbeatResponse {
            header: Some(header(cluster_id)),
            state: state.into(),
            ..StoreHeartbeatResponse::default()
        })
    }

    /// Answers one heartbeat of a region's leader; `None` = there is nothing to do.
    ///
    /// # Errors
    /// Placement does not lead here, or is not begun.
    pub async fn region_beat(
        &self,
        request: RegionHeartbeatRequest,
    ) -> Result<Option<RegionHeartbeatResponse>, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        let (answer, told) = oneshot::channel();
        let job = Job::Heartbeat(Box::new(report(request)), answer);
        self.inner.jobs.send(job).await.map_err(|_| PlacementError::Stopping)?;
        match told.await.unwrap_or(Err(PlacementError::Stopping)) {
            Ok(ordered) => Ok(ordered.map(|it| order(cluster_id, it))),
            // An old report is nothing to tell: whoever sent it will report anew.
            Err(PlacementError::Refused(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn region_heartbeats(
        self,
        incoming: Streaming<RegionHeartbeatRequest>,
    ) -> Answers<RegionHeartbeatResponse> {
        answers(incoming, move |request| {
            let placement = self.clone();
            async move { placement.region_beat(request).await }
        })
    }

    pub(super) fn query_regions(self, incoming: Streaming<QueryRegionRequest>) -> Answers<QueryRegionResponse> {
        answers(incoming, move |request| {
            let placement = self.clone();
            async move { placement.query_region(&request).map(Some) }
        })
    }

    pub(super) fn tso_stream(self, incoming: Streaming<TsoRequest>) -> Answers<TsoResponse> {
        answers(incoming, move |request: TsoRequest| {
            let placement = self.clone();
            async move { placement.tso(&request).await.map(Some) }
        })
    }

    async fn tso(&self, request: &TsoRequest) -> Result<TsoResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        if !matches!(request.dc_location.as_str(), "" | "global") {
            return Err(Status::invalid_argument("there is one clock: leave the location empty, or say global"));
        }
        let first = self.timestamps(request.count).await?;
        let timestamp = Some(last_of(first, request.count));
        Ok(TsoResponse { header: Some(header(cluster_id)), count: request.count, timestamp })
    }
}

/// Answers each request in turn; after an error the stream ends.
fn answers<Q, A, F>(incoming: Streaming<Q>, answer: impl Fn(Q) -> F + Send + 'static) -> Answers<A>
where
    Q: Send + 'static,
    A: Send + 'static,
    F: Future<Output = Result<Option<A>, Status>> + Send + 'static,
{
    Box::pin(unfold(Some((incoming, answer)), |state| async move {
        let (mut incoming, answer) = state?;
        loop {
            match incoming.message().await {
                Ok(Some(request)) => match answer(request).await {
                    Ok(Some(answered)) => return Some((Ok(answered), Some((incoming, answer)))),
                    Ok(None) => {}
                    Err(status) => return Some((Err(status), None)),
                },
                // The client has ended, or its connection.
                Ok(None) | Err(_) => return None,
            }
        }
    }))
}
