//! Each node's own clock: it started at another moment and runs a little faster or slower than the others'.
//! It never goes back and goes on while the node is paused or down, as a machine's boot-time clock does.

use std::time::Duration;

use nokv_raftstore::{Clock, MonotonicTime};
use tokio::time::Instant;

/// A drifting monotonic clock over the run's virtual time.
#[derive(Debug)]
pub struct SimClock {
    begin: Instant,
    offset: Duration,
    /// Nanoseconds that it shows for each million of virtual time.
    parts_per_million: u64,
}

impl SimClock {
    /// A clock that showed `offset` when the run began, and runs `drift_ppm` millionths fast (or slow, if negative).
    pub fn new(begin: Instant, offset: Duration, drift_ppm: i64) -> Self {
        SimClock { begin, offset, parts_per_million: 1_000_000u64.saturating_add_signed(drift_ppm) }
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
