//! Stores in one thread on virtual time: the production peers, appliers and gates, on memory engines and a memory
//! network. Tests step it event by event; nothing in it sleeps or depends on how fast the machine is.

mod node;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use nokv_engine::{MemoryEngine, RaftLog as _, SharedRaftLog};
use nokv_proto::metapb::{Peer, Region, RegionEpoch};
use nokv_raftstore::{Clock, Config, MonotonicTime};
use nokv_transport::StoreId;
use nokv_transport::memory::{LinkFaults, MemoryNetwork, MemoryOptions};

pub use node::Node;

/// The cluster's one clock, moved by [`Cluster::run`].
#[derive(Debug, Default)]
pub struct VirtualClock(AtomicU64);

impl Clock for VirtualClock {
    fn now(&self) -> MonotonicTime {
        MonotonicTime(self.0.load(Ordering::SeqCst))
    }
}

/// Some stores, each up or down.
pub struct Cluster {
    pub network: MemoryNetwork,
    pub clock: Arc<VirtualClock>,
    pub config: Config,
    regions: Vec<Region>,
    /// By store id - 1.
    nodes: Vec<Slot>,
}

/// A store's disk, and the node on it while it is up.
struct Slot {
    engine: MemoryEngine,
    node: Option<Node>,
}

impl Cluster {
    /// `stores` stores that are up, with regions split at the given keys, each with a peer on every store (the id of
    /// the peer being region * 10 + store).
    pub fn new(stores: u64, splits: &[&[u8]], config: Config) -> Self {
        let network = MemoryNetwork::new(MemoryOptions {
            faults: LinkFaults::delay(Duration::from_millis(1), Duration::from_millis(1)),
            ..MemoryOptions::default()
        });
        let nodes = (0..stores).map(|_| Slot { engine: MemoryEngine::new(), node: None }).collect();
        let mut cluster = Self { network, clock: Arc::default(), config, regions: regions(stores, splits), nodes };
        (1..=stores).for_each(|store| cluster.start(store));
        cluster
    }

    /// Adds a store with an empty disk, which is no member of any region. Stores are numbered without a gap.
    pub fn join(&mut self, store: u64) {
        assert_eq!(self.nodes.len() as u64 + 1, store, "the next store");
        self.nodes.push(Slot { engine: MemoryEngine::new(), node: None });
        self.start(store);
    }

    /// Starts a store on its disk.
    pub fn start(&mut self, store: u64) {
        let (network, clock, config) = (self.network.clone(), self.clock.clone(), self.config.clone());
        let regions = self.regions.clone();
        let slot = self.slot(store);
        let node = Node::start(StoreId(store), slot.engine.clone(), &network, clock, config, &regions);
        slot.node = Some(node.expect("the store starts"));
    }

    /// Kills a store: of what it did not sync, the first `keep` writes survive.
    pub fn crash(&mut self, store: u64, keep: usize) {
        self.network.crash(StoreId(store));
        let slot = self.slot(store);
        slot.node = None;
        slot.engine = slot.engine.crash(keep);
    }

    /// First and last entry of a region's log on a store's disk, whether the store is up or not.
    pub fn bounds_on_disk(&mut self, store: u64, region: u64) -> Option<(u64, u64)> {
        let log = SharedRaftLog::new(self.slot(store).engine.clone());
        log.bounds(region).expect("a sound disk")
    }

    /// Writes of a store that a crash could lose.
    pub fn unsynced(&mut self, store: u64) -> u64 {
        self.slot(store).engine.unsynced_batches() as u64
    }

    /// The node of a store that is up.
    pub fn node(&mut self, store: u64) -> &mut Node {
        self.slot(store).node.as_mut().expect("the store is up")
    }

    /// The nodes that are up.
    pub fn up(&mut self) -> impl Iterator<Item = &mut Node> {
        self.nodes.iter_mut().filter_map(|slot| slot.node.as_mut())
    }

    /// Lets `duration` pass.
    pub fn run(&mut self, duration: Duration) {
        let end = self.clock.now() + duration;
        loop {
            self.settle();
            let ticks = self.up().filter(|node| !node.held).map(|node| node.parts.store.next_tick()).min();
            let events = self.network.next_event().map(|at| MonotonicTime::default() + at);
            let Some(next) = ticks.into_iter().chain(events).min().filter(|next| *next <= end) else { break };
            self.clock.0.fetch_max(next.0, Ordering::SeqCst);
            let now = Duration::from_nanos(self.clock.now().0);
            while self.network.deliver_one(now).is_some() {}
        }
        self.clock.0.store(end.0, Ordering::SeqCst);
        self.settle();
    }

    /// Lets every node do what it can without time passing.
    pub fn settle(&mut self) {
        self.up().filter(|node| !node.held).for_each(|node| node.work().expect("no store fails"));
    }

    /// The store that leads `region` in the highest term, if one does.
    pub fn leader(&mut self, region: u64) -> Option<u64> {
        let led = self.up().filter_map(|node| node.led_term(region).map(|term| (term, node.store.0)));
        led.max().map(|(_, store)| store)
    }

    /// Runs until `region` has a leader that may serve reads.
    pub fn elect(&mut self, region: u64) -> u64 {
        for _ in 0..200 {
            self.run(Duration::from_millis(50));
            if let Some(leader) = self.leader(region)
                && self.node(leader).applied_own_term(region)
            {
                return leader;
            }
        }
        panic!("region {region} elects no leader within ten seconds");
    }

    fn slot(&mut self, store: u64) -> &mut Slot {
        self.nodes.get_mut(usize::try_from(store - 1).expect("a small number")).expect("a store of this cluster")
    }
}

fn regions(stores: u64, splits: &[&[u8]]) -> Vec<Region> {
    let mut bounds = vec![Bytes::new()];
    bounds.extend(splits.iter().map(|split| Bytes::copy_from_slice(split)));
    bounds.push(Bytes::new());
    (1..)
        .zip(bounds.iter().zip(bounds.iter().skip(1)))
        .map(|(id, (start, end))| Region {
            id,
            start_key: start.clone(),
            end_key: end.clone(),
            region_epoch: Some(RegionEpoch { conf_ver: 1, version: 1 }),
            peers: (1..=stores)
                .map(|store_id| Peer { id: id * 10 + store_id, store_id, ..Default::default() })
                .collect(),
            ..Default::default()
        })
        .collect()
}
