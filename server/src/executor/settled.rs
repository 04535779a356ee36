//! Reads of a replica as of the past, without asking anybody: up to a timestamp that is *settled* in its region, if it
//! has applied the entry that belongs to it.
//!
//! ```text
//!   leader's store:   draw ts ──► max_ts := max(max_ts, ts) ──► announced locks up to ts: wait ──► applied index I
//!                        └─ then ask the others: are you still in my term? ── a quorum is ──► (ts, I) is settled
//!   any replica:      read at V ≤ ts, applied ≥ I, the region's range as it was then ──► read; else ask the leader
//! ```
//!
//! Why no transaction ever commits at or below `ts` unseen by whoever has applied I:
//! * one in two phases draws its commit timestamp once its locks are acknowledged. Was that before `ts` was drawn,
//!   its lock (or what became of it) is within I, and a reader meets it; if not, its timestamp lies above `ts`;
//! * one that chooses its commit timestamp itself was announced before `max_ts` was raised, and is waited for, or lies
//!   above `ts`;
//! * a later leader's lie above a timestamp that it draws once it leads (`freshness.rs`), which is after `ts` was
//!   drawn: a quorum was still in this leader's term then.
//!
//! So a settled timestamp stays settled, whoever leads and whatever is written. It is not stored; after a start, and
//! for a region that nobody has read so for a while, the leader is asked first.

use std::collections::BTreeMap;
use std::time::Duration;

use nokv_engine::{Engine, KeyRange, is_planted};
use nokv_percolator::{ReadPoint, Timestamp};
use nokv_raftstore::handle::RegionView;
use nokv_raftstore::settled::Standing;
use nokv_raftstore::{RegionExt as _, RequestContext};
use nokv_transport::RegionId;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Executor;

/// How long a region's timestamps are settled after somebody had to ask its leader for want of one.
const WANTED_FOR: Duration = Duration::from_secs(600);

/// Up to where a region may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The timestamp.
    pub ts: Timestamp,
    /// What a replica has to have applied.
    pub index: u64,
    /// The version of the region's epoch; of another range nothing is known.
    pub version: u64,
}

/// A timestamp on which a store believes to be the leader, and has to ask the others.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Where it stands.
    pub standing: Standing,
    /// What is settled if it is right.
    pub settled: Settled,
}

/// What a store knows of its replicas' regions, and which of those that it leads are wanted.
#[derive(Debug, Default)]
pub(super) struct SettledTimes {
    known: Mutex<BTreeMap<RegionId, Settled>>,
    wanted: Mutex<BTreeMap<RegionId, Instant>>,
}

impl SettledTimes {
    fn want(&self, region: RegionId) {
        self.wanted.lock().insert(region, Instant::now());
    }

    fn wanted(&self) -> Vec<RegionId> {
        let mut wanted = self.wanted.lock();
        wanted.retain(|_, since| since.elapsed() < WANTED_FOR);
        wanted.keys().copied().collect()
    }
}

impl<E: Engine> Executor<E> {
    /// What is settled in a region, as far as this store knows.
    pub fn settled(&self, region: RegionId) -> Option<Settled> {
        self.settled.known.lock().get(&region).copied()
    }

    /// Takes in what is settled in a region, on its leader's word.
    pub fn learn_settled(&self, region: RegionId, settled: Settled) {
        if self.raftstore.region(region).is_none() {
            return;
        }
        let mut known = self.settled.known.lock();
        let newer = known.get(&region).is_none_or(|known| known.ts < settled.ts);
        if newer {
            known.insert(region, settled);
        }
    }

    /// Forgets regions that are not here any more.
    pub fn forget_settled(&self) {
        self.settled.known.lock().retain(|region, _| self.raftstore.region(*region).is_some());
    }

    /// Somebody reads a region in the past that this store leads.
    pub(super) fn want_settled(&self, context: &RequestContext) {
        if context.stale_read {
            self.settled.want(context.region_id);
        }
    }

    /// A view of this replica in which everything up to `version` is settled; `None` = the leader has to be asked.
    pub(super) fn settled_view(&self, context: &RequestContext, version: Timestamp) -> Option<RegionView<E::View>> {
        if !context.stale_read || version.is_zero() {
            return None;
        }
        let settled = self.settled(context.region_id).filter(|settled| version <= settled.ts)?;
        // What is wrong with the request, whoever asks the leader will say.
        let index = if is_planted("read what is settled before it is applied") { 0 } else { settled.index };
        let view = self.raftstore.replica_view(context, index).ok().flatten()?;
        let as_then = view.epoch().version == settled.version;
        if as_then {
            self.raftstore.metrics().settled_reads.inc();
        }
        as_then.then_some(view)
    }

    /// Chooses a timestamp, and tells of every region that is wanted and led here what a replica would have to have
    /// applied to be read at it. Nothing is settled yet: see [`Standing::is_quorum`], to be asked of the other stores
    /// after this. Nobody wants anything, or there are no timestamps to be had: none.
    pub async fn claim(&self) -> Vec<Claim> {
        let wanted = self.settled.wanted();
        if wanted.is_empty() {
            return Vec::new();
        }
        let Some(ts) = self.freshness.timestamp().await else { return Vec::new() };
        self.announcements.raise(ts);
        if !is_planted("settle before the announced is applied") {
            let read = ReadPoint::snapshot(ts);
            let Ok(announced) = self.checked(self.announcements.before_scan(&read, KeyRange::ALL)) else {
                return Vec::new();
            };
            if self.pass(announced).await.is_err() {
                // Whoever is in the way will be gone with the next turn, or have lost its region.
                return Vec::new();
            }
        }
        let claim = |region| {
            let standing = self.raftstore.standing(region)?;
            let (index, version) = (standing.applied_index, standing.state.region.epoch().version);
            Some(Claim { standing, settled: Settled { ts, index, version } })
        };
        wanted.into_iter().filter_map(claim).collect()
    }
}
