//! The node's clock: `CLOCK_BOOTTIME`, which never goes back and counts the time for which the machine is suspended.
//! A laptop that wakes up must not believe that its lease still runs.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use nokv_raftstore::{Clock, MonotonicTime};

/// The machine's time since it was booted.
#[derive(Clone, Copy, Debug, Default)]
pub struct BootClock;

impl Clock for BootClock {
    fn now(&self) -> MonotonicTime {
        let time = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("every Linux since 2.6.39 has CLOCK_BOOTTIME");
        let since_boot = Duration::from(time);
        MonotonicTime(u64::try_from(since_boot.as_nanos()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_and_never_goes_back() {
        let first = BootClock.now();
        assert!(first > MonotonicTime(0));
        let mut last = first;
        while last == first {
            let now = BootClock.now();
            assert!(now >= last);
            last = now;
        }
    }
}
