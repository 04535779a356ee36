//! Garbage collection by itself: each store looks through the regions that it leads whenever the safe point has risen,
//! a bounded turn at a time, and never for more than a share of the time.
//!
//! ```text
//!   safe point risen? ──► each region led here ──► quiet by what is known? ── yes ──► nothing
//!                                                        │ no
//!                                                        ▼
//!                         turn: look, propose a batch ──► rest ──► turn … end of the region: what is known of it
//! ```
//!
//! What goes is replicated as an ordinary write, so that replicas stay equal byte by byte, and any of them can be held
//! against the others. What is known of a region is in memory only: after a restart, or where a leadership is new, it
//! is looked through once.
//!
//! | file | what |
//! | --- | --- |
//! | `known.rs` | which regions need not be looked through |
//! | `metrics.rs` | what is counted |
//!
//! Invariants: an idle store does nothing but look at one number from time to time; a failure ends the region's turn
//! and nothing else, since it comes up again.

mod known;
mod metrics;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use nokv_engine::Engine;
use nokv_percolator::{CollectPosition, Timestamp};
use nokv_raftstore::{RegionExt as _, RegionStatus, Role};
use tokio::time::{Instant, sleep};

use self::known::Known;
pub use self::metrics::CollectMetrics;
use crate::executor::{CollectTurn, ExecuteError, Executor};

/// How garbage collection goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectorOptions {
    /// How often it is looked whether the safe point has risen.
    pub poll: Duration,
    /// How often all regions are gone through although it has not: leaderships may have come.
    pub revisit: Duration,
    /// The largest share of the time in which a turn is under way, in percent; 100 = no rest.
    pub busy_percent: u32,
    /// Records that a turn looks at.
    pub records_max: usize,
    /// Bytes of a turn's batch, about.
    pub batch_bytes_max: usize,
}

impl Default for CollectorOptions {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(1),
            revisit: Duration::from_secs(60),
            busy_percent: 25,
            records_max: 8_192,
            batch_bytes_max: 128 << 10,
        }
    }
}

/// Collects the garbage of the regions that a store leads.
pub struct Collector<E: Engine> {
    executor: Executor<E>,
    options: CollectorOptions,
    metrics: Arc<CollectMetrics>,
    known: Known,
    /// The safe point of the last visit, and when that was.
    visited: Option<(Timestamp, Instant)>,
}

impl<E: Engine> Collector<E> {
    /// A collector on the regions of `executor`; one for a store.
    pub fn new(executor: Executor<E>, options: CollectorOptions, metrics: Arc<CollectMetrics>) -> Self {
        Self { executor, options, metrics, known: Known::default(), visited: None }
    }

    /// Collects until the task is given up.
    pub async fn run(mut self) {
        loop {
            sleep(self.options.poll).await;
            self.visit().await;
        }
    }

    /// Goes through the regions, if there is a reason to.
    pub async fn visit(&mut self) {
        let safe_point = self.executor.safe_point();
        self.metrics.safe_point.set(i64::try_from(safe_point.physical_ms()).unwrap_or(i64::MAX));
        let is_due = match self.visited {
            Some((last, when)) => safe_point != last || when.elapsed() >= self.options.revisit,
            None => true,
        };
        if safe_point.is_zero() || !is_due {
            return;
        }
        let regions = self.executor.raftstore().regions();
        self.known.keep_only(&regions);
        let due: Vec<&RegionStatus> = regions
            .iter()
            .filter(|status| status.state.role == Role::Leader && self.known.is_due(status, safe_point))
            .collect();
        for (done, status) in due.iter().enumerate() {
            self.metrics.regions_due.set(i64::try_from(due.len() - done).unwrap_or(i64::MAX));
            // It is tried again with the next visit: the leader, the range or the load is another one now.
            if self.collect(status, safe_point).await.is_err() {
                self.metrics.given_up.inc();
                self.known.forget(status.state.region.region_id());
            }
        }
        self.metrics.regions_due.set(0);
        self.visited = Some((safe_point, Instant::now()));
    }

    /// Collects a region's garbage, turn by turn.
    async fn collect(&mut self, status: &RegionStatus, safe_point: Timestamp) -> Result<(), ExecuteError> {
        let region = &status.state.region;
        let mut turn = CollectTurn {
            region: region.region_id(),
            version: region.epoch().version,
            safe_point,
            position: CollectPosition::default(),
            is_announced: false,
            records_max: self.options.records_max.max(1),
            batch_bytes_max: self.options.batch_bytes_max.max(1),
        };
        let (mut quiet_up_to, mut removed) = (Timestamp::MAX, 0);
        loop {
            let began = Instant::now();
            let collected = self.executor.collect(&mut turn).await?;
            self.metrics.seen.inc_by(collected.seen);
            self.metrics.removed.inc_by(collected.removed);
            self.metrics.batch_bytes.inc_by(collected.batch_bytes);
            quiet_up_to = quiet_up_to.min(collected.quiet_up_to);
            removed += collected.removed;
            if collected.seen > 0 {
                sleep(self.rest_after(began.elapsed())).await;
            }
            if collected.is_done {
                break;
            }
        }
        if removed == 0 {
            // What it wrote itself counts as writing; the next visit will find nothing, and this be known.
            self.known.looked_through(status, safe_point, quiet_up_to);
        } else {
            self.known.collected(status, safe_point);
        }
        self.metrics.regions.inc();
        Ok(())
    }

    fn rest_after(&self, worked: Duration) -> Duration {
        let percent = self.options.busy_percent.clamp(1, 100);
        worked * (100 - percent) / percent
    }
}

impl<E: Engine> fmt::Debug for Collector<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("options", &self.options).finish_non_exhaustive()
    }
}
