//! Who gets which timestamps. Pure: clocks are arguments, and what must be on disk first is returned as data.
//!
//! A timestamp is physical milliseconds << 18 | logical. The allocator hands out only what lies below a bound that its
//! caller has made durable; after a crash it begins at that bound, so nothing is ever handed out twice.

use super::steady_clock::{ClockEvent, ClockReading, SteadyClock};

/// Width of a timestamp's counter, below its milliseconds.
pub const LOGICAL_BITS: u32 = 18;
/// Timestamps in one millisecond.
const LOGICAL_COUNT: u64 = 1 << LOGICAL_BITS;
/// The last millisecond that a timestamp can hold.
const PHYSICAL_MS_MAX: u64 = (1 << (64 - LOGICAL_BITS)) - 1;
/// The most timestamps in one batch: a quarter of a millisecond's, so that a batch always fits into one millisecond
/// and little is skipped where it does not fit into the current one.
pub const BATCH_MAX: u32 = 1 << 16;
/// How far a new bound lies ahead, in milliseconds: one sync per this time under load, and this much skipped by a
/// restart.
const WINDOW_MS: u64 = 3_000;
/// How far demand may push timestamps ahead of the clock, in milliseconds.
const AHEAD_MS_MAX: u64 = 50;

/// Hands out timestamps. Belongs to one process at a time.
#[derive(Clone, Debug)]
pub struct Allocator {
    clock: SteadyClock,
    /// The lowest timestamp not handed out.
    next: u64,
    /// Timestamps with a physical part below this may be handed out: it is durable.
    bound_ms: u64,
    news: Option<ClockEvent>,
}

/// What to do about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// `first`, `first + 1`, … are the caller's, all of one millisecond.
    Granted {
        /// The lowest timestamp of the batch.
        first: u64,
    },
    /// Nothing was handed out. Make this bound durable, report it by [`Allocator::bound_is_durable`], ask again.
    BoundNeeded {
        /// Milliseconds.
        bound_ms: u64,
    },
}

/// Why nothing was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocateError {
    /// The caller asked for none or for too many; ask for 1 to [`BATCH_MAX`].
    #[error("a batch has 1 to {BATCH_MAX} timestamps, not {count}")]
    BatchSize {
        /// What was asked for.
        count: u64,
    },
    /// Demand has outrun the clock; ask again after this time.
    #[error("timestamps are being used faster than time passes; ask again in {wait_ms} ms")]
    TooFast {
        /// Milliseconds, at least 1.
        wait_ms: u64,
    },
    /// The year 4199 has been reached. There is nothing to be done with this directory.
    #[error("there are no timestamps left")]
    NoneLeft,
}

impl Allocator {
    /// An allocator that begins where everything handed out before lies behind: at the bound last made durable, in
    /// milliseconds; 0 if there never was one.
    pub fn starting_at(bound_ms: u64, now: ClockReading) -> Self {
        let bound_ms = if nokv_engine::is_planted("forget the bound of timestamps") { 0 } else { bound_ms };
        Allocator {
            clock: SteadyClock::starting_at(bound_ms, now),
            // Never below millisecond 1: the timestamp 0 means "none" in every protocol here.
            next: bound_ms.clamp(1, PHYSICAL_MS_MAX) << LOGICAL_BITS,
            bound_ms,
            news: None,
        }
    }

    /// Takes `count` timestamps that follow one another.
    ///
    /// # Errors
    /// [`AllocateError`]; nothing is handed out then.
    pub fn allocate(&mut self, now: ClockReading, count: u32) -> Result<Decision, AllocateError> {
        if count == 0 || count > BATCH_MAX {
            return Err(AllocateError::BatchSize { count: count.into() });
        }
        let now_ms = self.now_ms(now);
        let mut first = self.next.max(now_ms.min(PHYSICAL_MS_MAX) << LOGICAL_BITS);
        if first % LOGICAL_COUNT + u64::from(count) > LOGICAL_COUNT {
            first = (first >> LOGICAL_BITS).saturating_add(1).min(PHYSICAL_MS_MAX) << LOGICAL_BITS;
        }
        let physical_ms = first >> LOGICAL_BITS;
        if physical_ms >= PHYSICAL_MS_MAX {
            return Err(AllocateError::NoneLeft);
        }
        let ahead_ms = physical_ms.saturating_sub(now_ms);
        if ahead_ms > AHEAD_MS_MAX {
            return Err(AllocateError::TooFast { wait_ms: ahead_ms - AHEAD_MS_MAX });
        }
        if physical_ms >= self.bound_ms {
            return Ok(Decision::BoundNeeded { bound_ms: bound_after(physical_ms) });
        }
        self.next = first + u64::from(count);
        Ok(Decision::Granted { first })
    }

    /// The next bound, if it is time to make it durable so that nobody has to wait for it.
    pub fn bound_soon_needed(&self) -> Option<u64> {
        let physical_ms = self.next >> LOGICAL_BITS;
        (physical_ms.saturating_add(WINDOW_MS / 2) >= self.bound_ms).then(|| bound_after(physical_ms))
    }

    /// Tells that this bound is on disk and will be found there after any crash.
    pub fn bound_is_durable(&mut self, bound_ms: u64) {
        self.bound_ms = self.bound_ms.max(bound_ms);
    }

    /// News about the machine's clock since the last call; the latest if there were several.
    pub fn take_news(&mut self) -> Option<ClockEvent> {
        self.news.take()
    }

    fn now_ms(&mut self, now: ClockReading) -> u64 {
        let (now_ms, news) = self.clock.observe(now);
        self.news = news.or(self.news);
        now_ms
    }
}

fn bound_after(physical_ms: u64) -> u64 {
    physical_ms.saturating_add(WINDOW_MS).min(PHYSICAL_MS_MAX)
}

#[cfg(test)]
#[path = "allocator_tests.rs"]
mod tests;
