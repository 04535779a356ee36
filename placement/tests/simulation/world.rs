//! Stores and regions on paper. The map is the truth: what leaders do to their regions is reported at once, and the
//! scheduler sees nothing else. Every step takes a heartbeat, a new peer another one to catch up.

use std::collections::BTreeSet;

use nokv_engine::WriteBatch;
use nokv_placement::regions::{Flow, RegionInfo, Report};
use nokv_placement::schedule::{Scheduler, StoreReport};
use nokv_placement::state::{Command, Settings, State};
use nokv_proto::metapb::{Peer, Region, RegionEpoch, Store, StoreLabel};
use nokv_raftstore::{PeerId, RegionId, StoreId};

use crate::figures::Moves;

pub const MIB: u64 = 1 << 20;
/// From one look at the cluster to the next.
pub const TICK_MS: u64 = 10_000;

pub struct World {
    pub state: State,
    pub scheduler: Scheduler,
    pub now_ms: u64,
    /// Stores that answer nothing.
    pub dead: BTreeSet<StoreId>,
    pub zones: u64,
    pub random: fastrand::Rng,
    pub moves: Moves,
    next_id: u64,
}

impl World {
    /// Stores in zones; regions lie where chance, which prefers some stores by far, has put them.
    pub fn new(stores: u64, regions: u64, zones: u64, seed: u64) -> World {
        let mut world = World {
            state: State::default(),
            scheduler: Scheduler::new(1, seed),
            now_ms: 1,
            dead: BTreeSet::new(),
            zones,
            random: fastrand::Rng::with_seed(seed),
            moves: Moves::default(),
            next_id: 1_000_000,
        };
        world.decide(Command::Found { cluster_id: 9 });
        world.decide(Command::Bootstrap { store: world.store(1), region: None });
        (1..=stores).for_each(|id| world.join(id));
        let settings = Settings {
            location_labels: vec!["zone".to_owned()],
            merge_bytes_max: 0,
            hot_bytes_min: MIB,
            moves_per_store: 32,
            ..Settings::initial()
        };
        world.decide(Command::PutSettings(settings));
        world.scatter(stores, regions);
        world
    }

    pub fn decide(&mut self, command: Command) {
        self.state.decide(command, self.now_ms, &mut WriteBatch::new()).unwrap();
    }

    fn store(&self, id: u64) -> Store {
        let label = StoreLabel { key: "zone".to_owned(), value: format!("z{}", id % self.zones) };
        Store { id, address: format!("store-{id}:1"), labels: vec![label], ..Store::default() }
    }

    /// A store joins, or comes back.
    pub fn join(&mut self, id: u64) {
        let store = self.store(id);
        self.dead.remove(&StoreId(id));
        self.decide(Command::PutStore { store, directory: id });
    }

    fn scatter(&mut self, stores: u64, regions: u64) {
        let weights: Vec<u64> = (0..stores).map(|_| 1 + self.random.u64(0..3) * self.random.u64(0..4)).collect();
        for at in 0..regions {
            let id = 100 + at;
            let mut peers: Vec<Peer> = Vec::new();
            while peers.len() < 3 {
                let store_id = self.weighted(&weights) + 1;
                if peers.iter().all(|peer| peer.store_id % self.zones != store_id % self.zones) {
                    let id = 10_000_000 + id * 10 + peers.len() as u64;
                    peers.push(Peer { id, store_id, ..Peer::default() });
                }
            }
            let key = |at: u64| format!("k{at:08}").into_bytes();
            let region = Region {
                id,
                start_key: if at == 0 { Vec::new() } else { key(at) }.into(),
                end_key: if at + 1 == regions { Vec::new() } else { key(at + 1) }.into(),
                region_epoch: Some(RegionEpoch { conf_ver: 1, version: 2 }),
                ..Region::default()
            };
            let region = Region { peers, ..region };
            // Small ones are more frequent than large ones.
            let size_bytes = (4 + self.random.u64(0..12) * self.random.u64(1..12)) * MIB;
            let flow = Flow {
                write_bytes: self.random.u64(0..20_000),
                records: self.random.u64(0..20),
                read_bytes: self.random.u64(0..20_000),
                lookups: self.random.u64(0..40),
            };
            let leader = region.peers.first().copied();
            self.report(Report { region: region.into(), leader, size_bytes, keys: 100_000, flow, ..Report::default() });
        }
    }

    fn weighted(&mut self, weights: &[u64]) -> u64 {
        let mut left = self.random.u64(0..weights.iter().sum());
        let at = weights.iter().position(|weight| {
            let here = left < *weight;
            left = left.saturating_sub(*weight);
            here
        });
        at.unwrap() as u64
    }

    pub fn report(&mut self, report: Report) {
        self.decide(Command::Report(Box::new(report)));
    }

    /// What a leader tells of a region in which nothing happened.
    pub fn as_it_is(info: &RegionInfo) -> Report {
        info.told.clone()
    }

    /// Ten seconds pass.
    pub fn tick(&mut self) {
        self.now_ms += TICK_MS;
        let alive: Vec<StoreId> =
            self.state.stores().map(|record| record.id()).filter(|store| !self.dead.contains(store)).collect();
        for store in alive {
            let peers = self.state.regions().on_store(store).peers() as u64;
            let report = StoreReport { capacity_bytes: 1 << 42, available_bytes: 1 << 41, peers, ..Default::default() };
            self.scheduler.on_store(store, report, self.now_ms);
        }
        let next = &mut self.next_id;
        let tick = self.scheduler.tick(&self.state, self.now_ms, &mut || {
            *next += 1;
            Some(PeerId(*next))
        });
        tick.commands.into_iter().for_each(|command| self.decide(command));
        let busy: Vec<RegionId> = self.scheduler.operators().map(|operator| operator.region).collect();
        busy.into_iter().for_each(|id| self.beat(id));
        self.moves.collect(&self.scheduler, self.state.regions(), self.now_ms);
    }

    /// A region's leader is heard of, and does what it is told until the next time.
    pub fn beat(&mut self, id: RegionId) {
        let next = &mut self.next_id;
        let order = self.scheduler.on_region(&self.state, id, self.now_ms, &mut || {
            *next += 1;
            Some(PeerId(*next))
        });
        match order {
            Some(order) => self.carry_out(&order),
            // A learner catches up.
            None => {
                let waiting = self.state.regions().get(id).filter(|info| !info.pending.is_empty());
                if let Some(info) = waiting {
                    let report = Report { pending: Vec::new(), ..Self::as_it_is(info) };
                    self.report(report);
                }
            }
        }
    }

    pub fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}
