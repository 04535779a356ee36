//! Real threads: what the scripts show on one raft loop holds when the two regions of a merge belong to different ones.
//! Three stores in this process, two raft loops each, on the network in memory.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

use nokv_engine::{Cf, Engine as _, MemoryEngine, RaftLog, SharedRaftLog, WriteBatch};
use nokv_proto::metapb::{Peer, Region, RegionEpoch};
use nokv_raftstore::{
    Clock, Config, MergeRequest, MonotonicTime, Proposal, Raftstore, RegionExt, RequestContext, RunningStore,
    StoreError, bootstrap, open,
};
use nokv_transport::memory::MemoryNetwork;
use nokv_transport::{Network, RegionId, StoreId};

#[derive(Debug)]
struct RealClock(Instant);

impl Clock for RealClock {
    fn now(&self) -> MonotonicTime {
        MonotonicTime(u64::try_from(self.0.elapsed().as_nanos()).expect("a short test"))
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}

fn region(id: u64, start: &'static str, end: &'static str) -> Region {
    let peer = |store_id| Peer { id: id * 10 + store_id, store_id, ..Peer::default() };
    Region {
        id,
        start_key: start.into(),
        end_key: end.into(),
        region_epoch: Some(RegionEpoch { conf_ver: 1, version: 1 }),
        peers: (1..=3).map(peer).collect(),
        ..Region::default()
    }
}

fn start(store: u64, network: &MemoryNetwork, clock: &Arc<RealClock>) -> (Raftstore<MemoryEngine>, RunningStore) {
    let engine = MemoryEngine::new();
    let log: Arc<dyn RaftLog> = Arc::new(SharedRaftLog::new(engine.clone()));
    bootstrap(&engine, log.as_ref(), StoreId(store), &[region(1, "", "m"), region(2, "m", "")]).expect("a new disk");
    let config = Config { seed: store, raft_loops: 2, ..Config::default() };
    let logger = slog::Logger::root(slog::Discard, slog::o!());
    let mut opened = open(engine, log, StoreId(store), config, clock.clone(), &logger).expect("a sound disk");
    network.attach(StoreId(store), Arc::new(opened.inbox.clone()));
    if store == 1 {
        for parts in &mut opened.loops {
            (1..=2).for_each(|id| parts.store.campaign_first(RegionId(id)).expect("raft can"));
        }
    }
    let endpoint: Arc<dyn Network> = network.endpoint(StoreId(store));
    let on_failure: Arc<dyn Fn(StoreError) + Send + Sync> = Arc::new(|error| panic!("{error}"));
    let handle = opened.handle.clone();
    (handle, opened.start(&endpoint, &on_failure).expect("threads"))
}

/// A view of the region from whoever leads it; waits until somebody does.
fn led(stores: &[(Raftstore<MemoryEngine>, RunningStore)], id: u64) -> (&Raftstore<MemoryEngine>, Region, u64) {
    let context = RequestContext { region_id: RegionId(id), ..RequestContext::default() };
    loop {
        for (store, _) in stores {
            if let Ok(view) = block_on(store.view(&context)) {
                return (store, Region::clone(&view.region), view.term);
            }
        }
        std::thread::yield_now();
    }
}

#[test]
fn regions_of_different_raft_loops_become_one() {
    let (network, clock) = (MemoryNetwork::instant(), Arc::new(RealClock(Instant::now())));
    let stores: Vec<_> = (1..=3).map(|store| start(store, &network, &clock)).collect();
    for (id, key) in [(1, b"a"), (2, b"z")] {
        let (store, region, term) = led(&stores, id);
        let mut batch = WriteBatch::new();
        batch.put(Cf::Raw, key, b"value");
        let proposal = Proposal { region_id: RegionId(id), term, epoch: region.epoch(), batch, held: Box::new(()) };
        block_on(store.propose(proposal)).expect("nobody disturbs the leader");
    }
    // A loaded machine may hold elections meanwhile; then it is asked again.
    loop {
        let ((source, two, _), (_, one, _)) = (led(&stores, 2), led(&stores, 1));
        let (source_epoch, target_epoch) = (two.epoch(), one.epoch());
        let request = MergeRequest { source: RegionId(2), source_epoch, target: RegionId(1), target_epoch };
        match block_on(source.merge(request)) {
            Ok(()) => break,
            Err(_) if source.region(RegionId(2)).is_some() => std::thread::yield_now(),
            Err(_) => break,
        }
    }
    for (store, _) in &stores {
        let whole = |store: &Raftstore<MemoryEngine>| {
            let status = store.region(RegionId(1)).expect("it stays");
            status.state.region.end_key.is_empty() && store.regions().len() == 1
        };
        while !whole(store) {
            std::thread::yield_now();
        }
        for key in [b"a", b"z"] {
            assert_eq!(store.engine().get(Cf::Raw, key).expect("a sound disk").as_deref(), Some(&b"value"[..]));
        }
    }
    let (_, region, _) = led(&stores, 1);
    assert_eq!((region.epoch().version, &region.start_key[..], &region.end_key[..]), (3, &b""[..], &b""[..]));
    stores.iter().for_each(|(store, _)| store.stop());
    stores.into_iter().for_each(|(_, running)| running.join());
}
