//! A clock that never falls back and never stands still, made from a wall clock that may do both.
//!
//! While the wall clock is behind what has been shown already, time goes on by the steady clock at 7/8 of its speed:
//! lock lifetimes keep running out, and the wall clock is met again instead of being outrun for ever. Pure: both clocks
//! are arguments.

/// What the machine's two clocks show at one moment, both in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// Since 1970, as the machine believes; may jump either way.
    pub wall_ms: u64,
    /// Since some fixed moment of this process; never falls.
    pub steady_ms: u64,
}

/// Something about the machine's clock that an operator should hear of. Timestamps stay right in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockEvent {
    /// The wall clock is this far behind what timestamps have reached; they go on without it.
    Behind {
        /// Milliseconds.
        by_ms: u64,
    },
    /// The wall clock has been reached again and is followed.
    Reached,
    /// The wall clock jumped forward by this much; it is followed.
    Ahead {
        /// Milliseconds.
        by_ms: u64,
    },
    /// The wall clock shows a year beyond 3000; it is not followed.
    Absurd {
        /// What it shows, in milliseconds.
        wall_ms: u64,
    },
}

/// A jump below this is drift, a step of NTP, or a quick restart: no news.
pub(super) const NEWS_MS: u64 = 5_000;
/// A wall clock beyond this (the year 3084) is broken; following it could use timestamps up for good.
pub const WALL_MS_MAX: u64 = 1 << 45;

/// See the file's head. Shows a time that never falls.
#[derive(Clone, Debug)]
pub(super) struct SteadyClock {
    base_ms: u64,
    base_steady_ms: u64,
    /// What the last news was about; the same news is not told twice.
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing shown yet: the first reading cannot be a forward jump.
    New,
    Following,
    Behind,
    Absurd,
}

impl SteadyClock {
    /// A clock that shows at least `floor_ms` from now on.
    pub(super) fn starting_at(floor_ms: u64, now: ClockReading) -> Self {
        SteadyClock { base_ms: floor_ms, base_steady_ms: now.steady_ms, state: State::New }
    }

    /// The time to use, in milliseconds, and news if there is any.
    pub(super) fn observe(&mut self, now: ClockReading) -> (u64, Option<ClockEvent>) {
        let elapsed_ms = now.steady_ms.saturating_sub(self.base_steady_ms);
        let running_ms = self.base_ms.saturating_add(elapsed_ms - elapsed_ms / 8);
        if now.wall_ms > WALL_MS_MAX {
            let news = (self.state != State::Absurd).then_some(ClockEvent::Absurd { wall_ms: now.wall_ms });
            self.state = State::Absurd;
            return (running_ms, news);
        }
        if now.wall_ms < running_ms {
            let by_ms = running_ms - now.wall_ms;
            let news = by_ms > NEWS_MS && self.state != State::Behind;
            if news {
                self.state = State::Behind;
            }
            return (running_ms, news.then_some(ClockEvent::Behind { by_ms }));
        }
        let jump_ms = now.wall_ms - self.base_ms.saturating_add(elapsed_ms).min(now.wall_ms);
        let news = match self.state {
            State::Behind | State::Absurd => Some(ClockEvent::Reached),
            State::Following if jump_ms > NEWS_MS => Some(ClockEvent::Ahead { by_ms: jump_ms }),
            State::Following | State::New => None,
        };
        *self = SteadyClock { base_ms: now.wall_ms, base_steady_ms: now.steady_ms, state: State::Following };
        (now.wall_ms, news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall_ms: u64, steady_ms: u64) -> ClockReading {
        ClockReading { wall_ms, steady_ms }
    }

    #[test]
    fn follows_a_sane_clock_silently() {
        let mut clock = SteadyClock::starting_at(0, at(1_000_000, 0));
        assert_eq!(clock.observe(at(1_000_000, 0)), (1_000_000, None));
        assert_eq!(clock.observe(at(1_003_600, 3_600)), (1_003_600, None));
        assert_eq!(clock.observe(at(1_003_599, 3_600)), (1_003_600, None), "one millisecond back is no news");
    }

    #[test]
    fn goes_on_slowly_while_the_wall_clock_is_behind_and_says_so_once() {
        let mut clock = SteadyClock::starting_at(0, at(1_000_000, 0));
        clock.observe(at(1_000_000, 0));
        assert_eq!(clock.observe(at(900_000, 0)), (1_000_000, Some(ClockEvent::Behind { by_ms: 100_000 })));
        assert_eq!(clock.observe(at(980_000, 80_000)), (1_070_000, None));
        // 100 s behind, gaining one eighth: met after 800 s.
        assert_eq!(clock.observe(at(1_700_000, 800_000)), (1_700_000, Some(ClockEvent::Reached)));
    }

    #[test]
    fn starts_at_the_recorded_bound() {
        let mut clock = SteadyClock::starting_at(1_000_000, at(10, 0));
        assert_eq!(clock.observe(at(10, 0)), (1_000_000, Some(ClockEvent::Behind { by_ms: 999_990 })));
        let mut clock = SteadyClock::starting_at(1_003_000, at(1_000_000, 0));
        assert_eq!(clock.observe(at(1_000_000, 0)), (1_003_000, None), "a quick restart is no news");
    }

    #[test]
    fn follows_a_jump_forward_and_says_so() {
        let mut clock = SteadyClock::starting_at(0, at(1_000_000, 0));
        assert_eq!(clock.observe(at(1_000_000, 0)), (1_000_000, None));
        assert_eq!(clock.observe(at(9_000_000, 10)), (9_000_000, Some(ClockEvent::Ahead { by_ms: 7_999_990 })));
    }

    #[test]
    fn does_not_follow_an_absurd_clock() {
        let mut clock = SteadyClock::starting_at(0, at(1_000_000, 0));
        clock.observe(at(1_000_000, 0));
        let (ms, news) = clock.observe(at(u64::MAX, 8));
        assert_eq!((ms, news), (1_000_007, Some(ClockEvent::Absurd { wall_ms: u64::MAX })));
        assert_eq!(clock.observe(at(1_000_016, 16)), (1_000_016, Some(ClockEvent::Reached)));
    }
}
