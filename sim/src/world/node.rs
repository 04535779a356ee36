//! One life of one store: the production parts on the simulated edges, and the tasks that stand in for its threads.
//! What it keeps between lives is its disk; everything here is made anew each time.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use nokv_client::PlacementLink;
use nokv_engine::{Engine as _, Error as EngineError, MemoryEngine, RaftLog};
use nokv_percolator::Error as MvccError;
use nokv_placement::clock::ClockReading;
use nokv_proto::metapb::Store as StoreSelf;
use nokv_proto::raft_serverpb::RaftMessage;
use nokv_raftstore::gate::Gate;
use nokv_raftstore::records::{ApplyRecord, Liveness};
use nokv_raftstore::store::Store;
use nokv_raftstore::{Clock as _, Config, LoopParts, Raftstore, StoreError, StoreInbox, bootstrap, load_regions, open};
use nokv_server::admin::RegionAdmin;
use nokv_server::collector::{Collector, CollectorOptions};
use nokv_server::executor::{Executor, ExecutorOptions};
use nokv_server::placement::{Deciding, Machine, Placement, PlacementOptions};
use nokv_server::service::{Calls, TikvService, TinyKvService};
use nokv_server::settler::Settler;
use nokv_transport::grpc::{GrpcNetwork, GrpcOptions};
use nokv_transport::memory::MemoryEndpoint;
use nokv_transport::{AddressBook, ImageSink, Inbox, RegionId, StoreId};
use parking_lot::Mutex;
use protobuf::Message as _;
use raft::eraftpb::Message;

use super::apply_task::{ApplyQueue, ApplyTaskLoop};
use super::raft_task::RaftTask;
use super::reporting::Reporting;
use super::{Loss, OracleLink, PlacementWay, Process, SimClock, Slot, StoreLink, World};
use crate::random::Random;

/// A store that is up.
pub struct Node {
    /// The store.
    pub store: StoreId,
    /// Which of its lives this is.
    pub life: u64,
    /// What it runs in.
    pub process: Arc<Process>,
    /// Replication's handle.
    pub handle: Raftstore<MemoryEngine>,
    /// What answers clients in TinyKV's words.
    pub service: TinyKvService<MemoryEngine>,
    /// What answers them in TiKV's.
    pub tikv: TikvService<MemoryEngine>,
    /// Placement, if it is hosted here.
    pub placement: Option<Placement<MemoryEngine>>,
    /// Its executor.
    pub executor: Executor<MemoryEngine>,
    /// Its clock.
    pub clock: Arc<SimClock>,
    /// Its replicas' gates, as of its last round.
    gates: Mutex<Vec<(RegionId, Arc<Gate>)>>,
    /// Its raft log.
    pub log: Arc<dyn RaftLog>,
    /// Its disk.
    pub engine: MemoryEngine,
    /// How far it has applied each region, as its engine has it.
    pub applied: Mutex<BTreeMap<RegionId, u64>>,
    /// Steps until it is killed, counted down; 0 = it is not going to be.
    pub steps_to_live: AtomicU64,
    waiting: Mutex<Option<Parts>>,
}

/// What its tasks will own.
struct Parts {
    parts: LoopParts,
    endpoint: Arc<MemoryEndpoint>,
    random: Random,
    stores: Arc<StoreLink>,
    deciding: Option<Deciding<MemoryEngine>>,
}

impl Node {
    pub(super) fn start(world: &Arc<World>, slot: &Slot, life: u64) -> Result<Arc<Node>, StoreError> {
        let store = slot.store;
        let engine = slot.engine();
        let log = slot.raft_log();
        bootstrap(&engine, log.as_ref(), store, &world.options.regions)?;
        let mut random = world.random();
        let config = Config { seed: random.number(), ..world.options.config.clone() };
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let opened = open(engine.clone(), log.clone(), store, config, slot.clock.clone(), &logger)?;
        let endpoint = world.network.endpoint(store);
        let process = Arc::new(Process::default());
        let inbox = Arc::new(StirringInbox {
            inner: opened.inbox,
            process: process.clone(),
            world: Arc::downgrade(world),
            store,
        });
        world.network.attach(store, inbox.clone());
        let fatal = world.clone();
        let on_failure = move |error: &MvccError| fatal.command_failed(store, error);
        let options = ExecutorOptions { latch_slots: 64, ..ExecutorOptions::default() };
        let executor = Executor::new(opened.handle.clone(), options, Arc::new(on_failure));
        let stores = StoreLink::new(world, store);
        let executor = executor.with_oracle(OracleLink::new(world, u64::MAX - store.0)).with_leaders(stores.clone());
        // Serves the calls of TinyKv's own nodes, which nobody makes here; it dials nothing.
        let unused = GrpcNetwork::start(
            store,
            AddressBook::new(),
            GrpcOptions::default(),
            tokio::runtime::Handle::current(),
            &logger,
        );
        let calls = Arc::new(Calls::default());
        // It has streams, which nobody opens here.
        let (_, stopping) = tokio::sync::watch::channel(false);
        let admin = RegionAdmin::new(opened.handle.clone(), None);
        let tikv = TikvService::new(executor.clone(), admin, calls.clone(), stopping);
        let service = TinyKvService::new(executor.clone(), unused.attach(inbox), calls);
        let parts = opened.loops.into_iter().next().ok_or(StoreError::Mismatch("no raft loop".to_owned()))?;
        let mut applied = BTreeMap::new();
        for (region, record) in load_regions(&engine)? {
            if matches!(record.liveness, Liveness::Normal | Liveness::Merging(_)) {
                applied.insert(region, ApplyRecord::load(&engine.view(), region)?.applied_index);
            }
        }
        let hosted =
            world.options.hosts.as_ref().map(|options| host(slot, &opened.handle, options, &mut random, logger));
        let (placement, deciding) = hosted.unzip();
        world.note(format_args!("store {store} is up, life {life}"));
        let gates = Mutex::new(gates_of(&parts.store));
        Ok(Arc::new(Node {
            store,
            life,
            process,
            handle: opened.handle,
            service,
            tikv,
            placement,
            executor,
            clock: slot.clock.clone(),
            gates,
            log,
            engine,
            applied: Mutex::new(applied),
            steps_to_live: AtomicU64::new(0),
            waiting: Mutex::new(Some(Parts { parts, endpoint, random, stores, deciding })),
        }))
    }

    /// Starts its tasks.
    pub(super) fn run(self: &Arc<Self>, world: &Arc<World>) {
        let Some(Parts { parts, endpoint, mut random, stores, deciding }) = self.waiting.lock().take() else { return };
        let queue = Arc::new(ApplyQueue::default());
        let apply = ApplyTaskLoop {
            world: world.clone(),
            node: self.clone(),
            applier: parts.applier,
            mailbox: parts.mailbox.clone(),
            queue: queue.clone(),
            random: random.fork(),
        };
        let raft = RaftTask {
            world: world.clone(),
            node: self.clone(),
            store: parts.store,
            receiver: parts.receiver,
            mailbox: parts.mailbox,
            endpoint,
            queue,
            random: random.fork(),
        };
        let (records_max, batch_bytes_max) = (1 + random.index(100), 1 + random.index(4_000));
        let pace = random.millis(20, 500);
        let options =
            CollectorOptions { poll: pace, revisit: pace * 4, busy_percent: 100, records_max, batch_bytes_max };
        let collector = Collector::new(self.executor.clone(), options, Arc::default());
        let (a, b) = (world.clone(), world.clone());
        let store = self.store;
        self.spawn_part(false, world, async move { a.ended(store, raft.run().await) });
        self.spawn_part(true, world, async move { b.ended(store, apply.run().await) });
        if let Some(deciding) = deciding {
            let failing = world.clone();
            self.spawn(world, deciding.run(Arc::new(move |error| failing.store_failed(store, &error))));
            return;
        }
        if let Some(way) = PlacementWay::new(world, u64::MAX / 2 - store.0) {
            self.spawn(world, Reporting { world: world.clone(), node: self.clone(), way }.run());
        }
        self.spawn(world, collector.run());
        self.spawn(world, Settler::new(self.executor.clone(), stores, pace).run());
    }

    /// Its replicas' gates, those of replicas that wait for their first image included.
    pub fn gates(&self) -> Vec<(RegionId, Arc<Gate>)> {
        self.gates.lock().clone()
    }

    /// The gate of its replica of `region`.
    pub fn gate(&self, region: RegionId) -> Option<Arc<Gate>> {
        self.gates.lock().iter().find(|(id, _)| *id == region).map(|(_, gate)| gate.clone())
    }

    /// Replicas may have come and gone.
    pub fn see(&self, store: &Store) {
        *self.gates.lock() = gates_of(store);
    }

    /// Runs `work`, which serves a request, in this node's process.
    pub fn spawn(&self, world: &Arc<World>, work: impl Future<Output = ()> + Send + 'static) {
        self.spawn_part(true, world, work);
    }

    fn spawn_part(&self, stirs: bool, world: &Arc<World>, work: impl Future<Output = ()> + Send + 'static) {
        let (world, store) = (world.clone(), self.store);
        let on_panic = move |text| world.violate("nothing panics", format!("store {store}: {text}"));
        self.process.spawn(stirs, work, on_panic);
    }

    /// A moment between two steps: the node may be held up here, or die.
    pub(super) async fn step(&self, world: &Arc<World>, random: &mut Random) {
        let left = self.steps_to_live.load(Ordering::Relaxed);
        if left > 0 {
            self.steps_to_live.store(left - 1, Ordering::Relaxed);
            if left == 1 {
                let (loss, downtime) = (
                    Loss::AllBut(random.below(1_001)),
                    if random.chance(500) { random.millis(0, 50) } else { random.millis(0, 3_000) },
                );
                world.kill(self.store, loss, Some(downtime));
                return std::future::pending().await;
            }
        }
        let hold_up = world.weather.lock().hold_up_permille;
        if random.chance(hold_up) {
            if random.chance(500) {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(random.millis(1, 20)).await;
            }
        }
    }
}

/// Placement on this slot's clocks.
fn host(
    slot: &Slot,
    handle: &Raftstore<MemoryEngine>,
    options: &PlacementOptions,
    random: &mut Random,
    logger: slog::Logger,
) -> (Placement<MemoryEngine>, Deciding<MemoryEngine>) {
    let clock = slot.clock.clone();
    let reading = move || ClockReading { wall_ms: clock.wall_ms(), steady_ms: clock.now().0 / 1_000_000 };
    let draws = Mutex::new(random.fork());
    let draw = move || draws.lock().number();
    let machine = Machine { reading: Box::new(reading), draw: Box::new(draw), has_slow_disk: false };
    // The store with which the cluster begins: one that has a peer of its first region.
    let id = options.first_region.peers.first().map_or(slot.store.0, |peer| peer.store_id);
    let store = StoreSelf {
        id,
        address: format!("store-{id}:1"),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..StoreSelf::default()
    };
    // It is asked nothing here: each host is a member, and knows the others.
    let link = PlacementLink::new([]);
    Placement::over(handle.clone(), store, options.clone(), (AddressBook::new(), link), machine, logger)
}

fn gates_of(store: &Store) -> Vec<(RegionId, Arc<Gate>)> {
    store.peers().map(|peer| (peer.region_id(), peer.gate().clone())).collect()
}

impl World {
    fn ended(self: &Arc<Self>, store: StoreId, result: Result<(), StoreError>) {
        match result {
            Ok(()) => self.violate("loops run on", format!("a loop of store {store} ended")),
            Err(error) => self.store_failed(store, &error),
        }
    }

    fn command_failed(self: &Arc<Self>, store: StoreId, error: &MvccError) {
        match error {
            MvccError::Engine(EngineError::Closed) => {}
            MvccError::Engine(error) => self.store_failed(store, &StoreError::Engine(error.clone())),
            other => self.violate("records can be read", format!("store {store}: {other}")),
        }
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("store", &self.store).finish_non_exhaustive()
    }
}

/// The store's inbox; wakes the raft loop, as a channel's thread would be woken.
#[derive(Debug)]
struct StirringInbox {
    inner: StoreInbox,
    process: Arc<Process>,
    world: Weak<World>,
    store: StoreId,
}

impl Inbox for StirringInbox {
    fn raft_message(&self, message: RaftMessage) {
        if let Some(world) = self.world.upgrade() {
            world.trace.aside(world.now(), || format!("store {} gets {}", self.store, describe(&message)));
        }
        self.inner.raft_message(message);
        self.process.stirred.notify_one();
    }

    fn unreachable(&self, store: StoreId) {
        self.inner.unreachable(store);
        self.process.stirred.notify_one();
    }

    fn image(&self, message: RaftMessage) -> Result<Box<dyn ImageSink>, String> {
        let sink = self.inner.image(message)?;
        Ok(Box::new(StirringSink { sink, process: self.process.clone() }))
    }
}

/// An image on its way in; wakes the raft loop when it is there.
#[derive(Debug)]
struct StirringSink {
    sink: Box<dyn ImageSink>,
    process: Arc<Process>,
}

impl ImageSink for StirringSink {
    fn chunk(&mut self, chunk: Bytes) -> Result<(), String> {
        self.sink.chunk(chunk)
    }

    fn finish(self: Box<Self>) -> Result<(), String> {
        let finished = self.sink.finish();
        self.process.stirred.notify_one();
        finished
    }
}

/// A raft message in words.
fn describe(envelope: &RaftMessage) -> String {
    let from = envelope.from_peer.map_or(0, |peer| peer.store_id);
    match Message::parse_from_bytes(&envelope.message) {
        Ok(message) => format!(
            "{:?} of region {} from {from}: term {}, index {}, log term {}, commit {}, {} entries, reject {}",
            message.get_msg_type(),
            envelope.region_id,
            message.term,
            message.index,
            message.log_term,
            message.commit,
            message.entries.len(),
            message.reject
        ),
        Err(error) => format!("a message that cannot be read: {error}"),
    }
}
