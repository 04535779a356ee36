//! The world of one run: nodes on their disks and clocks, the network between them, the way in for clients, and what is
//! known to have gone wrong. Everything in it is decided by the seed and moves with tokio's paused time.

mod apply_task;
mod atlas;
mod clock;
mod directory;
mod disk;
mod link;
mod network_task;
mod node;
mod oracle;
mod orders;
mod placement_way;
mod power;
mod process;
mod raft_task;
mod reporting;
mod slot;
mod store_link;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nokv_proto::metapb::Region;
use nokv_raftstore::Config;
use nokv_server::placement::PlacementOptions;
use nokv_transport::StoreId;
use nokv_transport::memory::{LinkFaults, MemoryNetwork, MemoryOptions};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::checkers::Moment;
use crate::invariants::Invariants;
use crate::random::Random;
use crate::trace::{Sink, Trace};

pub use atlas::{Atlas, Merge, have_same_members, is_quorum, merge_of};
pub use clock::SimClock;
pub use directory::NodesDirectory;
pub use disk::{Disk, DiskSpeed, DurablePart};
pub use link::ClientLink;
pub use node::Node;
pub use oracle::{OracleLink, SimOracle};
pub use placement_way::PlacementWay;
pub use power::Loss;
pub use process::Process;
pub use slot::{Slot, Standing};
pub use store_link::StoreLink;

/// Ids of regions and peers that come later begin here.
const FIRST_NEW_ID: u64 = 1_000;

/// How the world is made.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// Decides everything.
    pub seed: u64,
    /// How many stores there are at first.
    pub stores: u64,
    /// How many stores may come later, for those that are lost.
    pub spares: u64,
    /// Whether raft logs are on drives of their own.
    pub apart: bool,
    /// The regions at first.
    pub regions: Vec<Region>,
    /// Settings of replication; each store gets a seed of its own.
    pub config: Config,
    /// How far clocks may drift, in millionths, either way.
    pub drift_ppm_max: u64,
    /// What becomes of the trace's text.
    pub sink: Sink,
    /// The world in which placement runs, on nodes and a network of its own; without it, an oracle gives timestamps.
    pub placement: Option<Arc<World>>,
    /// This is placement's world, and each of its nodes hosts it.
    pub hosts: Option<PlacementOptions>,
}

/// How things are for everybody at the moment.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    /// Steps of a node, of a thousand, between which it is held up for a moment.
    pub hold_up_permille: u64,
    /// Links between clients and stores, and between clients and the oracle.
    pub client_links: LinkFaults,
    /// Requests of a thousand that arrive seconds late.
    pub late_permille: u64,
    /// Questions of a thousand about where a region is that are answered with old news.
    pub old_maps_permille: u64,
    /// Pairs of client and store that cannot talk: requests are lost.
    pub client_cuts: BTreeSet<(u64, u64)>,
}

/// See the file's head.
#[derive(Debug)]
pub struct World {
    /// How it was made.
    pub options: WorldOptions,
    /// What happened.
    pub trace: Trace,
    /// Between the nodes.
    pub network: MemoryNetwork,
    /// How things are.
    pub weather: Mutex<Weather>,
    /// The cluster's source of timestamps.
    pub oracle: SimOracle,
    /// What must hold at every moment.
    pub invariants: Invariants,
    /// The regions, as their logs have them.
    pub atlas: Atlas,
    /// What was counted.
    pub counts: Counts,
    /// Held by whoever changes members, or makes sure that nobody does.
    pub members_change: tokio::sync::Mutex<()>,
    /// Orders to merge that are not known to be refused, by what they ask for.
    merges_open: Mutex<BTreeMap<Merge, u64>>,
    ids: AtomicU64,
    begin: Instant,
    network_stirred: Notify,
    moments: AtomicU64,
    slots: Vec<Slot>,
    violation: Mutex<Option<String>>,
    violated: Notify,
    random: Mutex<Random>,
}

/// What a run did, for its report.
#[derive(Debug, Default)]
pub struct Counts {
    /// Nodes killed or lost.
    pub kills: AtomicU64,
    /// Nodes that stopped by themselves because their disk failed.
    pub disk_failures: AtomicU64,
    /// Other faults begun.
    pub faults: AtomicU64,
    /// Images taken in.
    pub images: AtomicU64,
    /// Orders of placement that stores carried out.
    pub orders: AtomicU64,
    /// Operations of clients that ended.
    pub operations: AtomicU64,
    /// Of these, with an outcome that is not known.
    pub unknown: AtomicU64,
    /// Of these, without success.
    pub refused: AtomicU64,
}

impl World {
    /// A world whose stores are all down. Must be called within the run's runtime.
    pub fn new(options: WorldOptions) -> Arc<World> {
        let begin = Instant::now();
        let mut random = Random::new(options.seed, "world");
        let drift = i64::try_from(options.drift_ppm_max).unwrap_or(0);
        let slots = (1..=options.stores + options.spares).map(|store| {
            let drift_ppm = i64::try_from(random.between(0, options.drift_ppm_max * 2)).unwrap_or(0) - drift;
            let offset = random.millis(1, 100_000_000);
            let standing = if store <= options.stores { Standing::Used } else { Standing::Spare };
            Slot::new(StoreId(store), Arc::new(SimClock::new(begin, offset, drift_ppm)), options.apart, standing)
        });
        let slots = slots.collect();
        let network = MemoryNetwork::new(MemoryOptions {
            seed: options.seed,
            faults: LinkFaults::delay(Duration::from_micros(200), Duration::from_millis(1)),
            ..MemoryOptions::default()
        });
        Arc::new(World {
            trace: Trace::new(options.sink.clone()),
            network,
            weather: Mutex::default(),
            oracle: SimOracle::new(random.fork(), begin),
            invariants: Invariants::default(),
            atlas: Atlas::new(&options.regions),
            members_change: tokio::sync::Mutex::default(),
            merges_open: Mutex::default(),
            ids: AtomicU64::new(FIRST_NEW_ID),
            counts: Counts::default(),
            begin,
            network_stirred: Notify::new(),
            moments: AtomicU64::new(0),
            slots,
            violation: Mutex::default(),
            violated: Notify::new(),
            random: Mutex::new(random),
            options,
        })
    }

    /// Virtual time since the run began.
    pub fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    /// The number of the next event.
    pub fn moment(&self) -> Moment {
        self.moments.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Adds a line to the trace.
    pub fn note(&self, what: std::fmt::Arguments<'_>) {
        let whose = if self.options.hosts.is_some() { "placement: " } else { "" };
        self.trace.note(self.now(), format_args!("{whose}{what}"));
    }

    /// The places that have a store, up or down, by id.
    pub fn slots(&self) -> Vec<&Slot> {
        self.slots.iter().filter(|slot| slot.standing() == Standing::Used).collect()
    }

    /// All places: those of stores to come and of stores that are lost, too.
    pub fn all_slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Whether there is such a store.
    pub fn standing(&self, store: StoreId) -> Option<Standing> {
        self.slot(store).map(Slot::standing)
    }

    /// The place of `store`.
    pub fn slot(&self, store: StoreId) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.store == store)
    }

    /// The nodes that are up, by store.
    pub fn nodes(&self) -> Vec<Arc<Node>> {
        self.slots.iter().filter_map(Slot::node).collect()
    }

    /// A stream of random numbers for somebody new.
    pub fn random(&self) -> Random {
        self.random.lock().fork()
    }

    /// Something that must never be has been seen. The first such thing ends the run.
    pub fn violate(&self, rule: &str, what: String) {
        self.note(format_args!("VIOLATION {rule}: {what}"));
        let mut violation = self.violation.lock();
        if violation.is_none() {
            *violation = Some(format!("{rule}: {what}"));
            self.violated.notify_one();
        }
    }

    /// As [`World::violate`], if there is an error.
    pub fn expect(&self, rule: &str, held: Result<(), String>) {
        if let Err(what) = held {
            self.violate(rule, what);
        }
    }

    /// The first thing that was seen and must never be.
    pub fn violation(&self) -> Option<String> {
        self.violation.lock().clone()
    }

    /// Resolves at the first violation.
    pub async fn violated(&self) -> String {
        loop {
            if let Some(violation) = self.violation() {
                return violation;
            }
            self.violated.notified().await;
        }
    }
}
