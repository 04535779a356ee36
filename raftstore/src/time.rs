//! Time as an argument: the cores never look at a clock, they are told what time it is.
//! The node passes a monotonic clock that also counts while the machine is suspended; the simulator passes its own.

use std::fmt::Debug;
use std::ops::Add;
use std::time::Duration;

/// Nanoseconds on one node's monotonic clock, since some moment before the node started. Never compared across nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonotonicTime(pub u64);

impl MonotonicTime {
    /// Time since `earlier`; zero if that is not earlier.
    pub fn since(self, earlier: MonotonicTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for MonotonicTime {
    type Output = MonotonicTime;

    fn add(self, duration: Duration) -> MonotonicTime {
        MonotonicTime(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Tells the time of this node. Must never go back, and should count time spent suspended (`CLOCK_BOOTTIME`), since a
/// lease rests on it.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> MonotonicTime;
}
