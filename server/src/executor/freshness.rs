//! Whether this store knows how far a region has been read. A leader's own reads raise `max_ts` as they come; those of
//! the leaders before it are below a timestamp that the oracle gives once this leadership has begun. So before a
//! transaction may choose its own commit timestamp here, one timestamp is drawn for each leadership and each change of
//! the region's bounds. Without an oracle, or while it is silent, transactions commit in two phases, and are told so.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use nokv_client::TimestampOracle;
use nokv_percolator::{Announcements, Timestamp};
use nokv_raftstore::{RegionExt as _, RegionView};
use nokv_transport::RegionId;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

/// How long a prewrite waits for the oracle before it goes in two phases.
const ORACLE_WAIT_MAX: Duration = Duration::from_millis(500);
/// How long the oracle is left alone after it was silent.
const ORACLE_PAUSE: Duration = Duration::from_secs(1);

/// Under what a region is led: its leader's term, and the version of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leadership {
    region: RegionId,
    term: u64,
    version: u64,
}

impl Leadership {
    pub(super) fn of<V>(view: &RegionView<V>) -> Self {
        Leadership { region: view.region.region_id(), term: view.term, version: view.epoch().version }
    }
}

/// The leaderships for which a timestamp was drawn, the latest of each region.
pub(super) struct Freshness {
    oracle: Option<Arc<dyn TimestampOracle>>,
    known: Mutex<BTreeMap<RegionId, Leadership>>,
    /// Set after a silence of the oracle.
    ask_again_at: Mutex<Option<Instant>>,
}

impl Freshness {
    pub(super) fn new(oracle: Option<Arc<dyn TimestampOracle>>) -> Self {
        Freshness { oracle, known: Mutex::default(), ask_again_at: Mutex::default() }
    }

    /// Whether all reads before `leadership` are below `max_ts`.
    pub(super) fn covers(&self, leadership: Leadership) -> bool {
        self.known.lock().get(&leadership.region) == Some(&leadership)
    }

    /// Draws a timestamp for `leadership`, under which a view was taken before this call. Says nothing if it cannot:
    /// ask [`Freshness::covers`].
    pub(super) async fn draw(&self, leadership: Leadership, announcements: &Announcements) {
        if let Some(timestamp) = self.timestamp().await {
            announcements.raise(timestamp);
            self.known.lock().insert(leadership.region, leadership);
        }
    }

    /// A new timestamp, if there is an oracle that answers.
    pub(super) async fn timestamp(&self) -> Option<Timestamp> {
        let oracle = self.oracle.as_ref()?;
        if self.ask_again_at.lock().is_some_and(|at| Instant::now() < at) {
            return None;
        }
        let drawn = timeout(ORACLE_WAIT_MAX, oracle.timestamps(1)).await.ok().and_then(Result::ok);
        *self.ask_again_at.lock() = if drawn.is_some() { None } else { Some(Instant::now() + ORACLE_PAUSE) };
        drawn
    }
}

impl fmt::Debug for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Freshness").field("has_oracle", &self.oracle.is_some()).finish_non_exhaustive()
    }
}
