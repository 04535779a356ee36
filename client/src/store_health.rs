//! Which stores did not answer lately, so that other peers are asked first.
//! A mark fades by itself: a store that is back needs nobody to say so.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

const MARK_FIRST: Duration = Duration::from_millis(200);
const MARK_LONGEST: Duration = Duration::from_millis(2_000);

#[derive(Debug)]
struct Mark {
    until: Instant,
    failures: u32,
}

/// Stores that failed, and until when they are avoided.
#[derive(Debug, Default)]
pub(crate) struct StoreHealth {
    marks: BTreeMap<u64, Mark>,
}

impl StoreHealth {
    /// Whether the store failed so lately that others should be asked first.
    pub(crate) fn is_suspect(&self, store_id: u64) -> bool {
        self.marks.get(&store_id).is_some_and(|mark| Instant::now() < mark.until)
    }

    /// Marks a store that could not be reached or did not answer: for longer each time in a row.
    pub(crate) fn failed(&mut self, store_id: u64) {
        let now = Instant::now();
        let mark = self.marks.entry(store_id).or_insert(Mark { until: now, failures: 0 });
        // Requests under way together fail together: that is one failure.
        if now >= mark.until {
            mark.until = now + MARK_FIRST.saturating_mul(1 << mark.failures.min(8)).min(MARK_LONGEST);
            mark.failures += 1;
        }
    }

    /// Clears the mark: the store answered.
    pub(crate) fn answered(&mut self, store_id: u64) {
        self.marks.remove(&store_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn marks_fade_grow_and_are_cleared() {
        let mut health = StoreHealth::default();
        health.failed(1);
        health.failed(1);
        assert!(health.is_suspect(1) && !health.is_suspect(2));
        tokio::time::advance(Duration::from_millis(200)).await;
        assert!(!health.is_suspect(1));
        health.failed(1);
        tokio::time::advance(Duration::from_millis(399)).await;
        assert!(health.is_suspect(1));
        health.answered(1);
        assert!(!health.is_suspect(1));
    }
}
