//! What this store's regions are asked for from one heartbeat to the next, and which of them are busy enough for a
//! sample of their keys to be kept: whoever is told to cut one has to know where its load is.

use std::collections::BTreeMap;
use std::time::Duration;

use nokv_engine::Engine;
use nokv_proto::pdpb::{RegionHeartbeatRequest, StoreStats, TimeInterval};
use nokv_raftstore::{LoadTotals, Raftstore, RegionExt as _, RegionId, RegionLoad, RegionStatus};
use tokio::time::Instant;

/// From so many requests between two heartbeats on, a region's keys are sampled.
const SAMPLED_REQUESTS_MIN: u64 = 500;
/// What was sampled longer ago than twice this has no say.
const SAMPLE_PAGE: Duration = Duration::from_secs(10);

/// What was counted in a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    /// How much.
    pub(super) load: LoadTotals,
    /// In how long.
    pub(super) passed: Duration,
    /// When that ended, in seconds since 1970.
    pub(super) until_s: u64,
}

impl Counted {
    fn interval(&self) -> Option<TimeInterval> {
        let start_timestamp = self.until_s.saturating_sub(self.passed.as_secs().max(1));
        Some(TimeInterval { start_timestamp, end_timestamp: self.until_s })
    }

    /// Tells it of a region.
    pub(super) fn tell_of_region(&self, beat: &mut RegionHeartbeatRequest) {
        beat.bytes_written = self.load.written.bytes;
        beat.keys_written = self.load.written.records;
        beat.bytes_read = self.load.read_bytes;
        beat.keys_read = self.load.lookups;
        beat.interval = self.interval();
    }

    /// Tells it of the store.
    pub(super) fn tell_of_store(&self, stats: &mut StoreStats) {
        stats.bytes_written = self.load.written.bytes;
        stats.keys_written = self.load.written.records;
        stats.bytes_read = self.load.read_bytes;
        stats.keys_read = self.load.lookups;
        stats.interval = self.interval();
    }
}

/// All replicas of this store together, those that follow included: they apply, and some serve reads.
#[derive(Debug, Default)]
pub(super) struct StoreLoad {
    last: Option<(Instant, BTreeMap<RegionId, LoadTotals>)>,
}

impl StoreLoad {
    /// What was counted since the last call; `None` at the first one.
    pub(super) fn since_last(&mut self, regions: &[RegionStatus], now: Instant, until_s: u64) -> Option<Counted> {
        let totals = regions.iter().map(|status| (status.state.region.region_id(), status.load)).collect();
        let (last_at, last) = self.last.replace((now, totals))?;
        let mut load = LoadTotals::default();
        for status in regions {
            // One that was not there has been counted from nothing since.
            let before = last.get(&status.state.region.region_id()).copied().unwrap_or_default();
            load += status.load.since(&before);
        }
        Some(Counted { load, passed: now.duration_since(last_at), until_s })
    }
}

/// Since when the sample of a region has its present page; `None` = its keys are not sampled.
pub(super) fn sample<E: Engine>(
    raftstore: &Raftstore<E>,
    region: RegionId,
    counted: &LoadTotals,
    page: Option<Instant>,
    now: Instant,
) -> Option<Instant> {
    let is_busy = counted.requests() >= SAMPLED_REQUESTS_MIN;
    match page {
        Some(since) if is_busy && now.duration_since(since) < SAMPLE_PAGE => Some(since),
        _ if is_busy => raftstore.with_load(region, RegionLoad::watch).map(|()| now),
        Some(_) => {
            stop_sampling(raftstore, region);
            None
        }
        None => None,
    }
}

/// Its keys are not wanted any more.
pub(super) fn stop_sampling<E: Engine>(raftstore: &Raftstore<E>, region: RegionId) {
    // One that is not here any more has taken its sample along.
    let _ = raftstore.with_load(region, RegionLoad::unwatch);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nokv_proto::metapb::{Peer, Region};
    use nokv_raftstore::gate::{Gate, GateState};
    use nokv_raftstore::{MonotonicTime, Role};

    use super::*;

    fn gate(id: u64) -> Gate {
        let region = Arc::new(Region { id, ..Region::default() });
        Gate::new(0, GateState { region, peer: Peer::default(), role: Role::Follower, term: 1, leader: None })
    }

    #[tokio::test(start_paused = true)]
    async fn a_stores_load_is_that_of_all_its_replicas_new_ones_from_nothing() {
        let (old, gone, new) = (gate(1), gate(2), gate(3));
        let read = |gate: &Gate, bytes| gate.load().read(bytes, || std::iter::once(&b"k"[..]));
        let status = |gate: &Gate| gate.status(MonotonicTime(0));
        read(&old, 100);
        read(&gone, 100);
        let mut store = StoreLoad::default();
        assert!(store.since_last(&[status(&old), status(&gone)], Instant::now(), 100).is_none());
        tokio::time::advance(Duration::from_secs(3)).await;
        read(&old, 20);
        read(&new, 3);
        let counted = store.since_last(&[status(&old), status(&new)], Instant::now(), 103).unwrap();
        let mut stats = StoreStats::default();
        counted.tell_of_store(&mut stats);
        assert_eq!((stats.bytes_read, stats.keys_read), (23, 2));
        assert_eq!(stats.interval, Some(TimeInterval { start_timestamp: 100, end_timestamp: 103 }));
        let mut beat = RegionHeartbeatRequest::default();
        counted.tell_of_region(&mut beat);
        assert_eq!((beat.bytes_read, beat.keys_read, beat.bytes_written), (23, 2, 0));
        assert_eq!(beat.interval, stats.interval);
    }
}
