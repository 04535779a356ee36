//! The executor on one store in memory whose raft log can be held up, so that a write stays under way for as long as a
//! test wants. Two regions, split at m; leases so long that none ends within a test.

mod announced;
mod bounds;
mod collect;
mod counted;
mod latches;
mod order;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use nokv_engine::{Engine as _, LogBatch, LogEntry, MemoryEngine, RaftLog, SharedRaftLog};
use nokv_percolator::{CommitBy, Get, Key, Mutation, MutationOp, Prewrite, ReadPoint, Timestamp};
use nokv_proto::metapb::{Peer, Region, RegionEpoch};
use nokv_proto::raft_serverpb::RaftMessage;
use nokv_raftstore::{Config, Raftstore, RequestContext, RunningStore, StoreError, bootstrap, open};
use nokv_transport::{Network, OutgoingImage, RegionId, SendRefused, StoreId};
use parking_lot::{Condvar, Mutex};

use super::{ExecuteError, Executor, ExecutorOptions};
use crate::node::BootClock;

const STORE: StoreId = StoreId(1);

/// A store with one peer of each region, and its executor.
struct Rig {
    executor: Executor<MemoryEngine>,
    raftstore: Raftstore<MemoryEngine>,
    log: Arc<HeldLog>,
    failures: Arc<AtomicUsize>,
    running: Option<RunningStore>,
}

impl Rig {
    /// A rig whose regions have leaders and leases.
    async fn start(options: ExecutorOptions) -> Rig {
        let engine = MemoryEngine::new();
        let log = Arc::new(HeldLog::new(engine.clone()));
        let regions = [region(1, "", "m"), region(2, "m", "")];
        bootstrap(&engine, log.as_ref(), STORE, &regions).unwrap();
        let config = Config { tick: Duration::from_secs(10), seed: 7, ..Config::default() };
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let mut opened = open(engine, log.clone(), STORE, config, Arc::new(BootClock), &logger).unwrap();
        for parts in &mut opened.loops {
            parts.store.campaign_first(RegionId(1)).unwrap();
            parts.store.campaign_first(RegionId(2)).unwrap();
        }
        let raftstore = opened.handle.clone();
        let network: Arc<dyn Network> = Arc::new(Nowhere);
        let running = opened.start(&network, &never_fails()).unwrap();
        let failures = Arc::new(AtomicUsize::new(0));
        let counted = failures.clone();
        let on_failure = Arc::new(move |_: &_| {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let executor = Executor::new(raftstore.clone(), options, on_failure);
        let rig = Rig { executor, raftstore, log, failures, running: Some(running) };
        for region in [1, 2] {
            // There is no lead to wait for but by asking; the first view also takes the lease.
            while rig.raftstore.view(&context(region)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        rig
    }

    async fn prewrite(&self, key: &str, start_ts: u64) -> Result<usize, ExecuteError> {
        let reply = self.executor.write(&context(1), &prewrite(&[key], start_ts)).await?;
        Ok(reply.errors.len())
    }

    /// The start timestamp of the lock on a key.
    async fn lock_on(&self, key: &str) -> Option<u64> {
        let command = Get { key: Key::encode(key.as_bytes()), read: ReadPoint::snapshot(Timestamp(u64::MAX - 1)) };
        match self.executor.get(&context(1), &command).await.unwrap() {
            Err(nokv_percolator::KeyError::Locked(lock)) => Some(lock.start_ts.0),
            Ok(None) => None,
            other => panic!("{other:?}"),
        }
    }

    fn last_index(&self, region: usize) -> u64 {
        self.raftstore.regions()[region - 1].last_index
    }

    fn write_directly(&self, batch: &nokv_engine::WriteBatch) {
        self.raftstore.engine().write(batch, false).unwrap();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.log.release();
        self.raftstore.stop();
        if let Some(running) = self.running.take() {
            running.join();
        }
    }
}

fn region(id: u64, start: &str, end: &str) -> Region {
    let bound = |key: &str| if key.is_empty() { Bytes::new() } else { Key::encode(key.as_bytes()).into_encoded() };
    Region {
        id,
        start_key: bound(start),
        end_key: bound(end),
        region_epoch: Some(RegionEpoch { conf_ver: 1, version: 1 }),
        peers: vec![Peer { id: 100 + id, store_id: STORE.0, ..Default::default() }],
        ..Default::default()
    }
}

fn context(region: u64) -> RequestContext {
    RequestContext { region_id: RegionId(region), ..Default::default() }
}

fn prewrite(keys: &[&str], start_ts: u64) -> Prewrite {
    let mutation = |key: &&str| Mutation {
        key: Key::encode(key.as_bytes()),
        op: MutationOp::Put(Bytes::from_static(b"value")),
        assertion: Default::default(),
    };
    Prewrite {
        mutations: keys.iter().map(mutation).collect(),
        primary: Bytes::copy_from_slice(keys[0].as_bytes()),
        start_ts: Timestamp(start_ts),
        ttl_ms: 3_000,
        txn_size: 0,
        min_commit_ts: Timestamp::ZERO,
        commit_by: CommitBy::TwoPhases,
        assertion_level: Default::default(),
    }
}

/// A network without other stores.
#[derive(Debug)]
struct Nowhere;

impl Network for Nowhere {
    fn send(&self, _to: StoreId, _message: RaftMessage) -> Result<(), SendRefused> {
        Err(SendRefused::UnknownStore)
    }

    fn send_image(&self, _to: StoreId, _message: RaftMessage, image: OutgoingImage) {
        image.report.tell(Err("there is no other store".to_owned()));
    }
}

/// A raft log whose writes can be made to wait, and with them everything that was proposed.
#[derive(Debug)]
struct HeldLog {
    log: SharedRaftLog<MemoryEngine>,
    held: Mutex<bool>,
    released: Condvar,
    waiting: AtomicBool,
}

impl HeldLog {
    fn new(engine: MemoryEngine) -> Self {
        let log = SharedRaftLog::new(engine);
        Self { log, held: Mutex::new(false), released: Condvar::new(), waiting: AtomicBool::new(false) }
    }

    fn hold(&self) {
        *self.held.lock() = true;
    }

    fn release(&self) {
        *self.held.lock() = false;
        self.released.notify_all();
    }

    /// Waits until the raft loop stands before a write: until something has been proposed.
    async fn until_waited_for(&self) {
        while !self.waiting.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl RaftLog for HeldLog {
    fn write(&self, batch: &LogBatch, sync: bool) -> nokv_engine::Result<()> {
        let mut held = self.held.lock();
        while *held {
            self.waiting.store(true, Ordering::SeqCst);
            self.released.wait(&mut held);
        }
        drop(held);
        self.waiting.store(false, Ordering::SeqCst);
        self.log.write(batch, sync)
    }

    fn entries(&self, group: u64, low: u64, high: u64, bytes_max: u64) -> nokv_engine::Result<Vec<LogEntry>> {
        self.log.entries(group, low, high, bytes_max)
    }

    fn state(&self, group: u64) -> nokv_engine::Result<Option<Bytes>> {
        self.log.state(group)
    }

    fn bounds(&self, group: u64) -> nokv_engine::Result<Option<(u64, u64)>> {
        self.log.bounds(group)
    }
}

/// A store that cannot go on is a failed test.
fn never_fails() -> Arc<dyn Fn(StoreError) + Send + Sync> {
    Arc::new(|error| -> () { panic!("{error}") })
}
