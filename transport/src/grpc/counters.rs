//! What the network counts, as plain atomics, and how the server reads them out by name.
//! A counter is reached by a field, never by a lookup; reading is for whoever exports metrics, once in a while.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::StoreId;

/// A value to export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The metric's name, without a prefix for the product; one that ends in `_total` only grows, others are gauges.
    pub name: &'static str,
    /// What tells values of one name apart, if anything: why a message was dropped or a stream refused.
    pub reason: Option<&'static str>,
    /// The other store, if the value is about one.
    pub store: Option<StoreId>,
    /// The value.
    pub value: u64,
}

/// One number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn increment(&self) {
        self.add(1);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted for each store that we send to.
#[derive(Debug, Default)]
pub(super) struct LinkCounters {
    /// Messages, frames and encoded bytes that were given to a stream. They may still be lost on the way.
    pub(super) sent_messages: Counter,
    pub(super) sent_batches: Counter,
    pub(super) sent_bytes: Counter,
    pub(super) dropped_queue_full: Counter,
    pub(super) dropped_disconnected: Counter,
    pub(super) dropped_too_large: Counter,
    pub(super) connects: Counter,
    pub(super) connect_failures: Counter,
    /// Streams that were up and broke, the stalled ones included.
    pub(super) streams_broken: Counter,
    pub(super) streams_stalled: Counter,
}

impl LinkCounters {
    pub(super) fn samples(&self, store: StoreId) -> [Sample; 10] {
        let sample =
            |name, reason, counter: &Counter| Sample { name, reason, store: Some(store), value: counter.get() };
        let dropped = |reason, counter| sample("transport_dropped_messages_total", Some(reason), counter);
        [
            sample("transport_sent_messages_total", None, &self.sent_messages),
            sample("transport_sent_batches_total", None, &self.sent_batches),
            sample("transport_sent_bytes_total", None, &self.sent_bytes),
            dropped("queue_full", &self.dropped_queue_full),
            dropped("disconnected", &self.dropped_disconnected),
            dropped("too_large", &self.dropped_too_large),
            sample("transport_connects_total", None, &self.connects),
            sample("transport_connect_failures_total", None, &self.connect_failures),
            sample("transport_streams_broken_total", None, &self.streams_broken),
            sample("transport_streams_stalled_total", None, &self.streams_stalled),
        ]
    }
}

/// What is counted once for a node.
#[derive(Debug, Default)]
pub(super) struct NodeCounters {
    pub(super) dropped_unknown_store: Counter,
    pub(super) received_messages: Counter,
    pub(super) received_batches: Counter,
    pub(super) streams_accepted: Counter,
    pub(super) refused_other_store: Counter,
    pub(super) refused_malformed: Counter,
    pub(super) images_refused: Counter,
    pub(super) images_sent: Counter,
    pub(super) images_failed: Counter,
    pub(super) images_received: Counter,
    pub(super) image_sent_bytes: Counter,
}

impl NodeCounters {
    pub(super) fn samples(&self) -> [Sample; 11] {
        let sample = |name, reason, counter: &Counter| Sample { name, reason, store: None, value: counter.get() };
        let refused = |reason, counter| sample("transport_refused_streams_total", Some(reason), counter);
        [
            sample("transport_dropped_messages_total", Some("unknown_store"), &self.dropped_unknown_store),
            sample("transport_received_messages_total", None, &self.received_messages),
            sample("transport_received_batches_total", None, &self.received_batches),
            sample("transport_accepted_streams_total", None, &self.streams_accepted),
            refused("other_store", &self.refused_other_store),
            refused("malformed", &self.refused_malformed),
            refused("image", &self.images_refused),
            sample("transport_images_sent_total", None, &self.images_sent),
            sample("transport_images_failed_total", None, &self.images_failed),
            sample("transport_images_received_total", None, &self.images_received),
            sample("transport_image_sent_bytes_total", None, &self.image_sent_bytes),
        ]
    }
}
