//! What garbage collection counts.
//! Looked up once, when the node starts; the pages render it.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntGauge};

/// The counters.
#[derive(Debug)]
pub struct CollectMetrics {
    /// The safe point's physical part, in milliseconds since 1970.
    pub(super) safe_point: IntGauge,
    /// Regions that are still to be looked through.
    pub(super) regions_due: IntGauge,
    /// Regions looked through.
    pub(super) regions: IntCounter,
    /// Regions given up half-way, to be tried again.
    pub(super) given_up: IntCounter,
    /// Records looked at.
    pub(super) seen: IntCounter,
    /// Records removed.
    pub(super) removed: IntCounter,
    /// Bytes of the batches that removed them.
    pub(super) batch_bytes: IntCounter,
}

impl Default for CollectMetrics {
    fn default() -> Self {
        let counter = |name, help| IntCounter::new(name, help).expect("constant names are valid");
        let gauge = |name, help| IntGauge::new(name, help).expect("constant names are valid");
        Self {
            safe_point: gauge("nokv_gc_safe_point_ms", "The safe point, in milliseconds since 1970; 0 = none yet."),
            regions_due: gauge("nokv_gc_regions_due", "Regions led here that are still to be looked through."),
            regions: counter("nokv_gc_regions_total", "Regions looked through for garbage."),
            given_up: counter("nokv_gc_regions_given_up_total", "Regions given up half-way, to be tried again."),
            seen: counter("nokv_gc_records_seen_total", "Records looked at for garbage."),
            removed: counter("nokv_gc_records_removed_total", "Records removed as garbage."),
            batch_bytes: counter("nokv_gc_batch_bytes_total", "Bytes of the batches that removed garbage."),
        }
    }
}

impl CollectMetrics {
    /// Regions looked through so far.
    pub fn looked_through(&self) -> u64 {
        self.regions.get()
    }

    /// All of them, to be registered.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let gauges = [&self.safe_point, &self.regions_due];
        let counters = [&self.regions, &self.given_up, &self.seen, &self.removed, &self.batch_bytes];
        let gauges = gauges.into_iter().map(|gauge| Box::new(gauge.clone()) as Box<dyn Collector>);
        gauges.chain(counters.into_iter().map(|counter| Box::new(counter.clone()) as Box<dyn Collector>)).collect()
    }
}
