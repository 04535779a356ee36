//! A plain get as a leader serves it: through its region's gate, under the lease, from a view of the engine.
//! What is around it in a node, gRPC above all, costs many times as much and is not measured here.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use criterion::Criterion;
use nokv_engine::{Cf, Engine, MemoryEngine, ReadView as _, RocksEngine, RocksOptions, SharedRaftLog, WriteBatch};
use nokv_proto::metapb::{Peer, Region, RegionEpoch};
use nokv_proto::raft_serverpb::RaftMessage;
use nokv_raftstore::{
    Clock, Config, MonotonicTime, Raftstore, RegionId, RegionLoad, RequestContext, RunningStore, StoreError, StoreId,
    bootstrap, open,
};
use nokv_transport::{Network, OutgoingImage, SendRefused};

use crate::measure;

const KEYS: u64 = 10_000;
const STORE: StoreId = StoreId(1);

pub fn run(criterion: &mut Criterion) {
    let (load, key) = (RegionLoad::default(), key(7));
    load.watch();
    measure(criterion, "a read counted at its region", || load.read(256, || std::iter::once(&key[..])));
    on_engine(criterion, "memory", MemoryEngine::new());
    let folder = tempfile::tempdir().unwrap();
    on_engine(criterion, "rocksdb", RocksEngine::open(folder.path(), &RocksOptions::default()).unwrap());
}

fn on_engine<E: Engine>(criterion: &mut Criterion, name: &str, engine: E) {
    let mut batch = WriteBatch::new();
    (0..KEYS).for_each(|number| batch.put(Cf::Raw, &key(number), &[0x5a; 256]));
    engine.write(&batch, false).unwrap();
    let (raftstore, running) = start(engine);
    let context = RequestContext { region_id: RegionId(1), ..RequestContext::default() };
    while !matches!(at_once(raftstore.view(&context)), Some(Ok(_))) {
        std::thread::sleep(Duration::from_millis(1));
    }
    // As in a busy region.
    raftstore.with_load(RegionId(1), RegionLoad::watch).unwrap();
    let mut numbers = (0..).map(|i: u64| i * 7_919 % KEYS);
    measure(criterion, &format!("{name}: leased view of a region and get of a plain key"), || {
        let key = key(numbers.next().unwrap());
        let view = at_once(raftstore.view(&context)).unwrap().unwrap();
        let found = view.view.get(Cf::Raw, &key).unwrap().unwrap();
        view.load().read(found.len(), || std::iter::once(&key[..]));
        found
    });
    raftstore.stop();
    running.join();
}

fn key(number: u64) -> Vec<u8> {
    format!("a{number:015}").into_bytes()
}

/// A store with one peer of one region, whose lease lasts longer than the measurement.
fn start<E: Engine>(engine: E) -> (Raftstore<E>, RunningStore) {
    let region = Region {
        id: 1,
        region_epoch: Some(RegionEpoch { conf_ver: 1, version: 1 }),
        peers: vec![Peer { id: 11, store_id: STORE.0, ..Peer::default() }],
        ..Region::default()
    };
    let log = Arc::new(SharedRaftLog::new(engine.clone()));
    bootstrap(&engine, log.as_ref(), STORE, &[region]).unwrap();
    let config = Config { tick: Duration::from_secs(60), seed: 7, ..Config::default() };
    let logger = slog::Logger::root(slog::Discard, slog::o!());
    let mut opened = open(engine, log, STORE, config, Arc::new(SinceStart(Instant::now())), &logger).unwrap();
    opened.loops.iter_mut().for_each(|parts| parts.store.campaign_first(RegionId(1)).unwrap());
    let raftstore = opened.handle.clone();
    let network: Arc<dyn Network> = Arc::new(Nowhere);
    let on_failure: Arc<dyn Fn(StoreError) + Send + Sync> = Arc::new(|error| panic!("{error}"));
    (raftstore, opened.start(&network, &on_failure).unwrap())
}

/// What a future comes to that waits for nothing.
fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[derive(Debug)]
struct SinceStart(Instant);

impl Clock for SinceStart {
    fn now(&self) -> MonotonicTime {
        MonotonicTime(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1))
    }
}

#[derive(Debug)]
struct Nowhere;

impl Network for Nowhere {
    fn send(&self, _: StoreId, _: RaftMessage) -> Result<(), SendRefused> {
        Ok(())
    }

    fn send_image(&self, _: StoreId, _: RaftMessage, _: OutgoingImage) {}
}
