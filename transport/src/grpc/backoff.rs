//! How long to wait before the next connection attempt: doubling, bounded, and never in step with other stores.
//! Pure but for the random number, which the caller gives.

use std::time::Duration;

/// The pauses between attempts of one link.
#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration) -> Backoff {
        Backoff { min, max, next: min.min(max) }
    }

    /// The pause after the attempt that just failed. `jitter` is in 0.0..=1.0: at 1.0 the pause is half as long.
    pub(super) fn pause(&mut self, jitter: f64) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.max);
        whole.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
    }

    /// The store answers, or is said to be back: the next pause is the shortest.
    pub(super) fn reset(&mut self) {
        self.next = self.min.min(self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_maximum_and_start_over() {
        let millis = Duration::from_millis;
        let mut backoff = Backoff::new(millis(50), millis(300));
        let pauses: Vec<_> = (0..5).map(|_| backoff.pause(0.0)).collect();
        assert_eq!(pauses, [millis(50), millis(100), millis(200), millis(300), millis(300)]);
        backoff.reset();
        assert_eq!(backoff.pause(1.0), millis(25));
        assert_eq!(backoff.pause(0.5), millis(75));
    }
}
