//! Each node's own clock: it started at another moment and runs a little faster or slower than the others'.
//! It never goes back and goes on while the node is paused or down, as a machine's boot-time clock does.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use nokv_raftstore::{Clock, MonotonicTime};
use tokio::time::Instant;

/// What a wall clock that is right shows when a run begins, in milliseconds: a day in 2023.
pub const WALL_MS: u64 = 1_700_000_000_000;

/// A drifting monotonic clock over the run's virtual time.
#[derive(Debug)]
pub struct SimClock {
    begin: Instant,
    offset: Duration,
    /// Nanoseconds that it shows for each million of virtual time.
    parts_per_million: u64,
    /// How far the wall clock beside it is off, in milliseconds; negative = behind.
    wall_off_ms: AtomicI64,
}

impl SimClock {
    /// A clock that showed `offset` when the run began, and runs `drift_ppm` millionths fast (or slow, if negative).
    pub fn new(begin: Instant, offset: Duration, drift_ppm: i64) -> Self {
        SimClock {
            begin,
            offset,
            parts_per_million: 1_000_000u64.saturating_add_signed(drift_ppm),
            wall_off_ms: AtomicI64::new(0),
        }
    }

    /// Sets the wall clock to be so far off, in milliseconds.
    pub fn set_wall_off(&self, off_ms: i64) {
        self.wall_off_ms.store(off_ms, Ordering::Relaxed);
    }

    /// What the wall clock shows, in milliseconds.
    pub fn wall_ms(&self) -> u64 {
        let passed_ms = u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX / 2);
        (WALL_MS + passed_ms).saturating_add_signed(self.wall_off_ms.load(Ordering::Relaxed))
    }

    /// How long in virtual time it takes this clock to show `at`.
    pub fn until(&self, at: MonotonicTime) -> Duration {
        let shown = at.since(self.now());
        let nanos = u128::from(u64::try_from(shown.as_nanos()).unwrap_or(u64::MAX));
        let real = (nanos * 1_000_000).div_ceil(u128::from(self.parts_per_million.max(1)));
        Duration::from_nanos(u64::try_from(real).unwrap_or(u64::MAX))
    }
}

impl Clock for SimClock {
    fn now(&self) -> MonotonicTime {
        let elapsed = self.begin.elapsed().as_nanos() * u128::from(self.parts_per_million) / 1_000_000;
        MonotonicTime::default() + self.offset + Duration::from_nanos(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }
}
