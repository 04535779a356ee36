//! One operation's patience: a deadline, how often it has waited for what, and what went wrong last.
//! Every retry in this crate goes through [`Budget::back_off`], so nothing retries for ever.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nokv_percolator::Timestamp;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use crate::error::{Error, Result};

/// What a wait is for; each has its own pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The region moved and the client was told where to: the first try goes at once.
    Moved,
    /// Nobody leads the region, or it is unknown who does.
    Leader,
    /// A store cannot be reached or did not answer.
    Network,
    /// A store is busy.
    Busy,
    /// A lock is in the way and its owner is alive.
    Lock,
    /// The timestamp oracle or the region directory does not answer.
    Oracle,
}

impl Wait {
    /// The first pause and the longest, in milliseconds.
    fn pace(self) -> (u64, u64) {
        match self {
            Wait::Moved => (2, 100),
            Wait::Leader => (10, 200),
            Wait::Network => (5, 200),
            Wait::Busy => (20, 1_000),
            Wait::Lock => (3, 200),
            Wait::Oracle => (10, 300),
        }
    }
}

const WAITS: usize = Wait::Oracle as usize + 1;

/// The jitter that all operations of a client draw from.
#[derive(Clone, Debug)]
pub(crate) struct Jitter(Arc<Mutex<StdRng>>);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Self {
        Jitter(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// Between half of `full` and all of it.
    fn spread(&self, full: Duration) -> Duration {
        full.mul_f64(self.0.lock().random_range(0.5..=1.0))
    }
}

/// The deadline and the memory of one operation, or of one of its batches: a clone goes its own way from there.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    operation: &'static str,
    began: Instant,
    deadline: Instant,
    jitter: Jitter,
    waited: [u32; WAITS],
    timeouts: u32,
    last: Option<String>,
    may_have_run: bool,
    met: BTreeMap<Timestamp, Instant>,
}

impl Budget {
    pub(crate) fn new(operation: &'static str, patience: Duration, jitter: &Jitter) -> Self {
        let began = Instant::now();
        Budget {
            operation,
            began,
            deadline: began + patience,
            jitter: jitter.clone(),
            waited: [0; WAITS],
            timeouts: 0,
            last: None,
            may_have_run: false,
            met: BTreeMap::new(),
        }
    }

    /// Time since the operation began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Time left before the deadline.
    pub(crate) fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// How long the next request may wait for its answer: twice as long after each time-out, four times at most.
    pub(crate) fn request_timeout(&self, first: Duration) -> Duration {
        first.saturating_mul(1 << self.timeouts.min(2)).min(self.remaining())
    }

    /// Notes that a request got no answer in time.
    pub(crate) fn timed_out(&mut self) {
        self.timeouts += 1;
    }

    /// Notes what went wrong, for the error's text.
    pub(crate) fn note(&mut self, what: impl Into<String>) {
        self.last = Some(what.into());
    }

    /// Notes that a request may have been executed although its answer is unknown.
    pub(crate) fn note_may_have_run(&mut self) {
        self.may_have_run = true;
    }

    /// Whether any request so far may have been executed without its answer being known.
    pub(crate) fn may_have_run(&self) -> bool {
        self.may_have_run
    }

    /// Forgets earlier unknown outcomes: a later answer has decided them.
    pub(crate) fn now_known(&mut self) {
        self.may_have_run = false;
    }

    /// How long ago this operation first met the locks of the transaction `owner`.
    pub(crate) fn since_met(&mut self, owner: Timestamp) -> Duration {
        self.met.entry(owner).or_insert_with(Instant::now).elapsed()
    }

    /// Pauses before the next try: jittered, longer each time, at least `at_least`, never beyond the deadline.
    ///
    /// # Errors
    /// [`Error::Unavailable`] once the deadline is reached.
    pub(crate) async fn back_off(&mut self, wait: Wait, at_least: Duration) -> Result<()> {
        self.pause(wait, at_least, Duration::MAX).await
    }

    /// As [`Budget::back_off`], but not longer than `at_most` (and a millisecond, so that time goes on).
    pub(crate) async fn back_off_up_to(&mut self, wait: Wait, at_most: Duration) -> Result<()> {
        self.pause(wait, Duration::ZERO, at_most.max(Duration::from_millis(1))).await
    }

    async fn pause(&mut self, wait: Wait, at_least: Duration, at_most: Duration) -> Result<()> {
        let (first, longest) = wait.pace();
        let slot = self.waited.get_mut(wait as usize).expect("the array has a slot for every kind of wait");
        let times = *slot;
        *slot += 1;
        let pause = if wait == Wait::Moved && times == 0 {
            at_least
        } else {
            let full = first.saturating_mul(1 << times.min(16)).min(longest);
            self.jitter.spread(Duration::from_millis(full)).max(at_least)
        };
        let pause = pause.min(at_most).min(self.remaining());
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        self.check()
    }

    /// # Errors
    /// [`Error::Unavailable`] once the deadline is reached.
    pub(crate) fn check(&self) -> Result<()> {
        if self.remaining().is_zero() { Err(self.expired()) } else { Ok(()) }
    }

    /// The error of an operation whose deadline has passed.
    pub(crate) fn expired(&self) -> Error {
        Error::Unavailable { operation: self.operation, waited: self.elapsed(), last: self.last() }
    }

    /// What went wrong last.
    pub(crate) fn last(&self) -> String {
        self.last.clone().unwrap_or_else(|| "the deadline passed before an answer came".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_within_bounds_and_end_at_the_deadline() {
        let mut budget = Budget::new("test", Duration::from_secs(2), &Jitter::new(7));
        let began = Instant::now();
        let mut pauses = 0;
        let error = loop {
            budget.note("nobody leads");
            let before = Instant::now();
            if let Err(error) = budget.back_off(Wait::Leader, Duration::ZERO).await {
                break error;
            }
            pauses += 1;
            assert!(before.elapsed() <= Duration::from_millis(201), "pause {pauses} took {:?}", before.elapsed());
        };
        assert_eq!(began.elapsed().as_secs(), 2);
        assert!((10..=25).contains(&pauses), "{pauses} pauses in two seconds");
        assert_eq!(
            error,
            Error::Unavailable { operation: "test", waited: began.elapsed(), last: "nobody leads".to_owned() }
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_moved_region_is_asked_at_once_the_first_time_only() {
        let mut budget = Budget::new("test", Duration::from_secs(2), &Jitter::new(7));
        let began = Instant::now();
        budget.back_off(Wait::Moved, Duration::ZERO).await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);
        budget.back_off(Wait::Moved, Duration::ZERO).await.unwrap();
        assert!(began.elapsed() >= Duration::from_millis(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_longer_after_time_outs_but_not_past_the_deadline() {
        let mut budget = Budget::new("test", Duration::from_secs(5), &Jitter::new(7));
        assert_eq!(budget.request_timeout(Duration::from_secs(1)).as_secs(), 1);
        budget.timed_out();
        assert_eq!(budget.request_timeout(Duration::from_secs(1)).as_secs(), 2);
        budget.timed_out();
        budget.timed_out();
        assert_eq!(budget.request_timeout(Duration::from_secs(1)).as_secs(), 4);
        assert_eq!(budget.request_timeout(Duration::from_secs(2)).as_secs(), 5);
    }
}
