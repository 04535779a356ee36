//! What is counted of each call: how many ended how, and how long they took. Looked up once, when the node starts.
//! A call whose client gave it up is counted too, as such.

use std::future::Future;
use std::time::Instant;

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter, Opts, exponential_buckets};
use tonic::Status;

use super::answer::{Answer, Kind};

/// The counters of one call.
#[derive(Debug)]
pub(super) struct CallMetrics {
    seconds: Histogram,
    ok: IntCounter,
    key_error: IntCounter,
    region_error: IntCounter,
    refused: IntCounter,
    given_up: IntCounter,
}

impl CallMetrics {
    fn new(call: &str) -> Self {
        let buckets = exponential_buckets(32e-6, 2.0, 20).expect("constant buckets are valid");
        let options = HistogramOpts::new("nokv_request_seconds", "Time to answer a request.");
        let seconds = Histogram::with_opts(options.buckets(buckets).const_label("call", call));
        let counter = |outcome: &str| {
            let options = Opts::new("nokv_requests_total", "Requests by how they ended.");
            let counter = IntCounter::with_opts(options.const_label("call", call).const_label("outcome", outcome));
            counter.expect("constant names are valid")
        };
        Self {
            seconds: seconds.expect("constant names are valid"),
            ok: counter("ok"),
            key_error: counter("key_error"),
            region_error: counter("region_error"),
            refused: counter("refused"),
            given_up: counter("given_up"),
        }
    }

    /// Counts and times a call; one whose future is dropped was given up by its client.
    pub(super) async fn measure<A: Answer>(&self, call: impl Future<Output = Result<A, Status>>) -> Result<A, Status> {
        let mut end = End { metrics: self, started: Instant::now(), outcome: &self.given_up };
        let result = call.await;
        end.outcome = match &result {
            Ok(answer) => match answer.kind() {
                Kind::Ok => &self.ok,
                Kind::KeyError => &self.key_error,
                Kind::RegionError => &self.region_error,
            },
            Err(_) => &self.refused,
        };
        result
    }

    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let counters = [&self.ok, &self.key_error, &self.region_error, &self.refused, &self.given_up];
        let mut all: Vec<Box<dyn Collector>> = vec![Box::new(self.seconds.clone())];
        all.extend(counters.map(|counter| Box::new(counter.clone()) as Box<dyn Collector>));
        all
    }
}

/// Records a call's end, however it comes.
struct End<'a> {
    metrics: &'a CallMetrics,
    started: Instant,
    outcome: &'a IntCounter,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.outcome.inc();
        self.metrics.seconds.observe(self.started.elapsed().as_secs_f64());
    }
}

macro_rules! calls {
    ($($field:ident $name:literal),* $(,)?) => {
        /// The counters of all calls of `tinykvpb.TinyKv` and `tikvpb.Tikv`; a call counts the same by either name,
        /// alone or on a stream.
        #[derive(Debug)]
        pub struct Calls {
            $(pub(super) $field: CallMetrics,)*
        }

        impl Default for Calls {
            fn default() -> Self {
                Self { $($field: CallMetrics::new($name),)* }
            }
        }

        impl Calls {
            /// All of them, to be registered.
            pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
                [$(self.$field.collectors(),)*].into_iter().flatten().collect()
            }
        }
    };
}

calls! {
    kv_get "KvGet", kv_scan "KvScan", kv_prewrite "KvPrewrite", kv_commit "KvCommit",
    kv_check_txn_status "KvCheckTxnStatus", kv_batch_rollback "KvBatchRollback", kv_resolve_lock "KvResolveLock",
    kv_batch_get "KvBatchGet", kv_cleanup "KvCleanup", kv_scan_lock "KvScanLock", kv_txn_heart_beat "KvTxnHeartBeat",
    kv_check_secondary_locks "KvCheckSecondaryLocks",
    kv_gc "KvGC", kv_delete_range "KvDeleteRange", raw_delete_range "RawDeleteRange",
    unsafe_destroy_range "UnsafeDestroyRange",
    raw_get "RawGet", raw_put "RawPut", raw_delete "RawDelete", raw_scan "RawScan",
}
