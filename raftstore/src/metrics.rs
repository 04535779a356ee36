//! What a raft loop counts. Made once, looked up never: the node registers them with its registry.
//! Times in seconds, as the field's dashboards expect.

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter, exponential_buckets};

/// Counters and histograms of replication on one store.
#[derive(Debug)]
pub struct RaftMetrics {
    /// Messages taken in by one round.
    pub messages_per_round: Histogram,
    /// Raft messages that the network refused at once (queue full, store unknown).
    pub messages_refused: IntCounter,
    /// Reads served under the lease.
    pub lease_reads: IntCounter,
    /// Reads that asked the quorum.
    pub quorum_reads: IntCounter,
    /// Reads in the past that a replica served without asking anybody.
    pub settled_reads: IntCounter,
    log_write_synced: Histogram,
    log_write_unsynced: Histogram,
}

impl Default for RaftMetrics {
    fn default() -> Self {
        let seconds = || exponential_buckets(16e-6, 2.0, 18).expect("constant buckets are valid");
        let counts = || exponential_buckets(1.0, 2.0, 13).expect("constant buckets are valid");
        let histogram = |name: &str, help: &str, buckets| {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets)).expect("constant names are valid")
        };
        let counter = |name: &str, help: &str| IntCounter::new(name, help).expect("constant names are valid");
        Self {
            messages_per_round: histogram(
                "nokv_raft_round_messages",
                "Messages taken into one round of a raft loop.",
                counts(),
            ),
            messages_refused: counter("nokv_raft_messages_refused_total", "Raft messages that the network refused."),
            lease_reads: counter("nokv_raft_lease_reads_total", "Read views given out under the leader's lease."),
            quorum_reads: counter("nokv_raft_quorum_reads_total", "Read views that had to ask the quorum."),
            settled_reads: counter(
                "nokv_raft_settled_reads_total",
                "Read views in the past that were given out without asking the leader.",
            ),
            log_write_synced: histogram(
                "nokv_raft_log_write_synced_seconds",
                "Time of a round's log write with sync.",
                seconds(),
            ),
            log_write_unsynced: histogram(
                "nokv_raft_log_write_unsynced_seconds",
                "Time of a round's log write without sync.",
                seconds(),
            ),
        }
    }
}

impl RaftMetrics {
    /// The histogram of log writes with or without a sync.
    pub fn log_write(&self, synced: bool) -> &Histogram {
        if synced { &self.log_write_synced } else { &self.log_write_unsynced }
    }

    /// All of them, to be registered.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.messages_per_round.clone()),
            Box::new(self.messages_refused.clone()),
            Box::new(self.lease_reads.clone()),
            Box::new(self.quorum_reads.clone()),
            Box::new(self.settled_reads.clone()),
            Box::new(self.log_write_synced.clone()),
            Box::new(self.log_write_unsynced.clone()),
        ]
    }
}
