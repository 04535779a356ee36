//! What happened, operation by operation: latencies in an HDR histogram, counts over time, errors by text.
//! Each client records alone; the records are put together at the end, so that measuring costs no lock.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Length of a slice of the timeline.
pub const SLICE: Duration = Duration::from_millis(200);

/// One client's record, or all clients' together.
#[derive(Clone, Debug)]
pub struct Record {
    /// Latencies in microseconds, to three digits.
    pub latency_us: Histogram<u64>,
    /// By slice of the timeline: operations done, and the longest of them in microseconds.
    pub timeline: Vec<(u64, u64)>,
    /// Failed operations, by the error's text; at most [`ERROR_TEXTS_MAX`] texts and one for all others.
    pub errors: BTreeMap<String, u64>,
    /// How often operations were begun again after a conflict.
    pub retries: u64,
}

/// Different error texts that are kept apart.
const ERROR_TEXTS_MAX: usize = 32;
const OTHER_ERRORS: &str = "other errors";
const NEVER_BEGUN: &str = "due but never begun: the rate is more than these clients get done";

impl Default for Record {
    fn default() -> Self {
        let latency_us = Histogram::new_with_bounds(1, 600_000_000, 3).expect("constant bounds are valid");
        Self { latency_us, timeline: Vec::new(), errors: BTreeMap::new(), retries: 0 }
    }
}

impl Record {
    /// An operation ended `since_start` after measuring began, `latency` after it began or should have begun, having
    /// been begun again `retries` times.
    pub fn done(&mut self, since_start: Duration, latency: Duration, retries: u32) {
        self.retries += u64::from(retries);
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency_us.saturating_record(us);
        let slice = usize::try_from(since_start.as_millis() / SLICE.as_millis()).unwrap_or(0);
        if self.timeline.len() <= slice {
            self.timeline.resize(slice + 1, (0, 0));
        }
        if let Some((count, longest)) = self.timeline.get_mut(slice) {
            *count += 1;
            *longest = us.max(*longest);
        }
    }

    /// An operation failed.
    pub fn failed(&mut self, error: String) {
        self.failed_times(error, 1);
    }

    /// So many operations were due and not begun before the time was over.
    pub fn never_begun(&mut self, count: u64) {
        if count > 0 {
            self.failed_times(NEVER_BEGUN.to_owned(), count);
        }
    }

    fn failed_times(&mut self, error: String, count: u64) {
        let known = self.errors.len() < ERROR_TEXTS_MAX || self.errors.contains_key(&error);
        *self.errors.entry(if known { error } else { OTHER_ERRORS.to_owned() }).or_default() += count;
    }

    /// Adds what another client recorded.
    pub fn merge(&mut self, other: &Record) {
        self.latency_us.add(&other.latency_us).expect("both have the same bounds");
        if self.timeline.len() < other.timeline.len() {
            self.timeline.resize(other.timeline.len(), (0, 0));
        }
        for (mine, theirs) in self.timeline.iter_mut().zip(&other.timeline) {
            mine.0 += theirs.0;
            mine.1 = mine.1.max(theirs.1);
        }
        for (error, count) in &other.errors {
            self.failed_times(error.clone(), *count);
        }
        self.retries += other.retries;
    }

    /// Operations that succeeded.
    pub fn operations(&self) -> u64 {
        self.latency_us.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_add_up() {
        let (mut one, mut two) = (Record::default(), Record::default());
        one.done(Duration::from_millis(10), Duration::from_micros(100), 0);
        two.done(Duration::from_millis(450), Duration::from_micros(900), 3);
        two.failed("busy".to_owned());
        one.merge(&two);
        assert_eq!((one.operations(), one.latency_us.max()), (2, 900));
        assert_eq!(one.timeline, vec![(1, 100), (0, 0), (1, 900)]);
        assert_eq!((one.errors.get("busy"), one.retries), (Some(&1), 3));
    }

    #[test]
    fn error_texts_are_bounded() {
        let mut record = Record::default();
        (0..1_000).for_each(|i| record.failed(format!("key {i}")));
        assert_eq!(record.errors.len(), ERROR_TEXTS_MAX + 1);
        assert_eq!(record.errors.values().sum::<u64>(), 1_000);
    }
}
