//! An inbox that remembers what it was told, numbered messages to send to it, and a bell to wait on.
//! Nothing here waits for time to pass.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};

use nokv_proto::metapb::Peer;
use nokv_proto::raft_serverpb::RaftMessage;
use nokv_transport::{ImageSink, Inbox, StoreId};

use crate::images::{KeepingSink, Received};

/// Rings whenever any recorder of a rig was told something.
#[derive(Debug, Default)]
pub struct Bell {
    rings: Mutex<u64>,
    rung: Condvar,
}

impl Bell {
    pub fn ring(&self) {
        *self.rings.lock().unwrap() += 1;
        self.rung.notify_all();
    }

    /// Returns at the next ring, or when `at_most` is over.
    #[cfg(feature = "grpc")]
    pub fn wait(&self, at_most: std::time::Duration) {
        let rings = self.rings.lock().unwrap();
        drop(self.rung.wait_timeout(rings, at_most).unwrap());
    }
}

/// Remembers the numbers of the messages that arrived, and who was reported as unreachable how often.
#[derive(Debug, Default)]
pub struct Recorder {
    bell: Arc<Bell>,
    told: Mutex<(Vec<u64>, BTreeMap<StoreId, usize>)>,
    images: Received,
}

impl Recorder {
    pub fn new(bell: &Arc<Bell>) -> Arc<Recorder> {
        Arc::new(Recorder { bell: Arc::clone(bell), ..Recorder::default() })
    }

    pub fn numbers(&self) -> Vec<u64> {
        self.told.lock().unwrap().0.clone()
    }

    /// The images that arrived whole: the number of the message about each, and its chunks.
    pub fn images(&self) -> Vec<(u64, Vec<bytes::Bytes>)> {
        self.images.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.told.lock().unwrap().0.len()
    }

    pub fn unreachable_reports(&self, store: StoreId) -> usize {
        self.told.lock().unwrap().1.get(&store).copied().unwrap_or(0)
    }
}

impl Inbox for Recorder {
    fn raft_message(&self, message: RaftMessage) {
        self.told.lock().unwrap().0.push(number(&message));
        self.bell.ring();
    }

    fn unreachable(&self, store: StoreId) {
        *self.told.lock().unwrap().1.entry(store).or_default() += 1;
        self.bell.ring();
    }

    fn image(&self, message: RaftMessage) -> Result<Box<dyn ImageSink>, String> {
        KeepingSink::begin(number(&message), &self.images)
    }
}

/// A message from a peer on `from` to a peer on `to`, with a number to know it by.
pub fn message(from: StoreId, to: StoreId, number: u64) -> RaftMessage {
    sized_message(from, to, number, 8)
}

/// The same with `payload_bytes` (at least eight) inside.
pub fn sized_message(from: StoreId, to: StoreId, number: u64, payload_bytes: usize) -> RaftMessage {
    let mut payload = vec![0; payload_bytes];
    payload[..8].copy_from_slice(&number.to_be_bytes());
    let peer = |store: StoreId| Some(Peer { id: store.0 * 10, store_id: store.0, ..Peer::default() });
    RaftMessage {
        region_id: 1,
        from_peer: peer(from),
        to_peer: peer(to),
        message: payload.into(),
        ..RaftMessage::default()
    }
}

fn number(message: &RaftMessage) -> u64 {
    u64::from_be_bytes(message.message[..8].try_into().unwrap())
}
