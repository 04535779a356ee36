//! Bringing a node down, so that its clients notice as little as possible: health checks are told, leaderships go to
//! other stores, requests under way end, then the loops, then the disk comes to rest. Every step has its time.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use nokv_engine::RocksEngine;
use nokv_raftstore::Raftstore;
use nokv_transport::RegionId;
use slog::{Logger, info, warn};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};
use tonic_health::ServingStatus;

use super::Node;
use crate::service::SERVICE_NAMES;

/// How long leaderships may take to go away.
const HAND_OVER_MAX: Duration = Duration::from_secs(2);
/// Leaderships that are given away at once.
const HAND_OVER_AT_ONCE: usize = 256;
/// How often it is looked whether they have.
const HAND_OVER_POLL: Duration = Duration::from_millis(5);
/// How long requests may take to end.
const DRAIN_MAX: Duration = Duration::from_secs(3);
/// How long the loops may take to end.
const LOOPS_END_MAX: Duration = Duration::from_secs(5);

impl Node {
    /// Waits until serving ends by itself, which it should not. May be given up and called again.
    pub async fn ended(&mut self) -> String {
        match (&mut self.serving).await {
            Ok(Ok(())) => "nobody told it to".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Stops in order.
    pub async fn stop(self) {
        for name in SERVICE_NAMES.into_iter().chain([""]) {
            self.health.set_service_status(name, ServingStatus::NotServing).await;
        }
        self.housekeeping.iter().for_each(AbortHandle::abort);
        hand_over(&self.raftstore, &self.log).await;
        self.placed.hand_over(&self.log).await;
        self.stopping.send_replace(true);
        // Streams from other nodes would never end by themselves.
        self.network.shutdown();
        let serving = self.serving.abort_handle();
        if timeout(DRAIN_MAX, self.serving).await.is_err() {
            warn!(self.log, "some requests did not end in time and are cut off");
            serving.abort();
        }
        self.placed.stop(&self.log).await;
        self.raftstore.stop();
        let running = self.running;
        let joined = tokio::task::spawn_blocking(move || running.join());
        if timeout(LOOPS_END_MAX, joined).await.is_err() {
            warn!(self.log, "the raft loops did not end in time");
        }
        if let Some(status) = self.status {
            status.abort();
            // It was told to end just now; how it did is of no interest.
            let _ = status.await;
        }
        rest(self.raftstore.engine().clone(), &self.log).await;
        info!(self.log, "the store has stopped");
    }
}

/// Gives every leadership to another store, if there is one that can take it.
pub(super) async fn hand_over(raftstore: &Raftstore<RocksEngine>, log: &Logger) {
    let deadline = Instant::now() + HAND_OVER_MAX;
    let mut begun: BTreeSet<RegionId> = BTreeSet::new();
    let orders = stream::iter(raftstore.led_regions())
        .map(async |region| (region, raftstore.transfer_leader(region, None).await))
        .buffer_unordered(HAND_OVER_AT_ONCE)
        .take_until(Box::pin(tokio::time::sleep_until(deadline)));
    let mut orders = std::pin::pin!(orders);
    while let Some((region, ordered)) = orders.next().await {
        match ordered {
            Ok(()) => {
                begun.insert(region);
            }
            Err(error) => info!(log, "a leadership stays"; "region" => region.0, "why" => %error),
        }
    }
    let left = || raftstore.led_regions().into_iter().filter(|region| begun.contains(region)).count();
    while left() > 0 && Instant::now() < deadline {
        sleep(HAND_OVER_POLL).await;
    }
    match left() {
        0 => info!(log, "leaderships are handed over"; "regions" => begun.len()),
        left => warn!(log, "some leaderships were not taken over in time"; "regions" => left),
    }
}

/// Everything that was written is on disk already or in a log that is; this shortens the next start.
pub(super) async fn rest(engine: RocksEngine, log: &Logger) {
    let at_rest = tokio::task::spawn_blocking(move || {
        let flushed = engine.flush();
        engine.close().and(flushed)
    });
    match at_rest.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(log, "the disk did not come to rest"; "error" => %error),
        Err(error) => warn!(log, "the disk did not come to rest"; "error" => %error),
    }
}
