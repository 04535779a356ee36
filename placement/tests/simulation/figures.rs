//! What is measured: how far loads are apart, how much was moved, how much had to be, and what came back.
//! A peer that balance brings to a store from which balance took it before has gone back and forth.

use std::collections::{BTreeMap, BTreeSet};

use nokv_placement::regions::{RegionInfo, RegionMap, load_bytes};
use nokv_placement::schedule::{Kind, Outcome, Scheduler, Step};
use nokv_raftstore::{RegionId, StoreId};

use crate::world::World;

/// All that was moved so far.
#[derive(Default)]
pub struct Moves {
    /// Operators by kind and how they ended.
    pub counts: BTreeMap<(Kind, Outcome), u64>,
    /// Peers moved, by kind.
    pub peers: BTreeMap<Kind, u64>,
    /// Their bytes.
    pub bytes: BTreeMap<Kind, u64>,
    /// Peers that came back to a store within an hour.
    pub returns: u64,
    /// Peers that came back to a store at all.
    pub late_returns: u64,
    /// Leaders that came back to a store within an hour.
    pub leader_returns: u64,
    pub transfers: u64,
    left: BTreeMap<(RegionId, StoreId), u64>,
    led: BTreeMap<(RegionId, StoreId), u64>,
    seen: u64,
}

impl Moves {
    /// Looks at what has ended since the last time.
    pub fn collect(&mut self, scheduler: &Scheduler, map: &RegionMap, now_ms: u64) {
        self.counts.clone_from(scheduler.counts());
        let total: u64 = scheduler.counts().values().sum();
        let new = usize::try_from(total - self.seen).unwrap();
        self.seen = total;
        assert!(new <= 4_096, "more ended at once than is remembered");
        let ended: Vec<_> = scheduler.ended().rev().take(new).cloned().collect();
        for ended in ended.into_iter().rev().filter(|ended| ended.outcome == Outcome::Done) {
            let operator = ended.operator;
            for step in &operator.steps {
                match *step {
                    Step::AddLearner(store) => {
                        let size = map.get(operator.region).map_or(0, |info| load_bytes(info.size_bytes));
                        *self.peers.entry(operator.kind).or_default() += 1;
                        *self.bytes.entry(operator.kind).or_default() += size;
                        let by_choice = matches!(operator.kind, Kind::Balance | Kind::Hot);
                        let left = self.left.get(&(operator.region, store)).filter(|_| by_choice);
                        self.late_returns += u64::from(left.is_some());
                        self.returns += u64::from(left.is_some_and(|at_ms| now_ms - at_ms < 3_600_000));
                    }
                    Step::Remove(store) if matches!(operator.kind, Kind::Balance | Kind::Hot) => {
                        self.left.insert((operator.region, store), now_ms);
                    }
                    Step::Transfer(store) if matches!(operator.kind, Kind::Leader | Kind::Hot) => {
                        self.transfers += 1;
                        let last = self.led.insert((operator.region, store), now_ms);
                        self.leader_returns += u64::from(last.is_some_and(|at_ms| now_ms - at_ms < 3_600_000));
                    }
                    _ => {}
                }
            }
        }
    }

    pub fn moved_bytes(&self, kind: Kind) -> u64 {
        self.bytes.get(&kind).copied().unwrap_or(0)
    }

    pub fn moved(&self, kind: Kind) -> u64 {
        self.peers.get(&kind).copied().unwrap_or(0)
    }
}

/// How far the stores that serve are apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spread {
    /// The most less the least data, in hundredths of the mean.
    pub data: f64,
    /// Of leaders, likewise.
    pub leaders: f64,
    /// Of what their regions cost them, likewise.
    pub flow: f64,
}

impl World {
    fn serving(&self) -> Vec<StoreId> {
        let alive = |store: &StoreId| !self.dead.contains(store);
        self.state.stores_up().map(|record| record.id()).filter(alive).collect()
    }

    pub fn spread(&self) -> Spread {
        let over = |figure: &dyn Fn(StoreId) -> u64| {
            let all: Vec<u64> = self.serving().into_iter().map(figure).collect();
            let mean = all.iter().sum::<u64>() as f64 / all.len() as f64;
            100.0 * (all.iter().max().unwrap() - all.iter().min().unwrap()) as f64 / mean
        };
        let sums = |store| self.state.regions().on_store(store);
        Spread {
            data: over(&|store| sums(store).load_bytes),
            leaders: over(&|store| sums(store).leaders.len() as u64),
            flow: over(&|store| sums(store).cost),
        }
    }

    /// The least that has to be moved for all stores to have the same: bytes, and peers if each store gave its largest.
    pub fn least_to_move(&self) -> (u64, u64) {
        let serving = self.serving();
        let load = |store: &StoreId| self.state.regions().on_store(*store).load_bytes;
        let mean = serving.iter().map(load).sum::<u64>() / serving.len() as u64;
        let (mut bytes, mut peers) = (0, 0);
        for store in &serving {
            let mut excess = load(store).saturating_sub(mean);
            bytes += excess;
            let ids = self.state.regions().on_store(*store).ids();
            let mut sizes: Vec<u64> =
                ids.filter_map(|id| self.state.regions().get(id)).map(|info| load_bytes(info.size_bytes)).collect();
            sizes.sort_unstable_by(|a, b| b.cmp(a));
            for size in sizes {
                if excess == 0 {
                    break;
                }
                excess = excess.saturating_sub(size);
                peers += 1;
            }
        }
        (bytes, peers)
    }

    /// Regions that have not three voters on different, living stores and zones.
    pub fn unwell(&self) -> usize {
        let is_well = |info: &RegionInfo| {
            let stores: BTreeSet<u64> = info.voters().map(|peer| peer.store_id).collect();
            let zones: BTreeSet<u64> = stores.iter().map(|store| store % self.zones).collect();
            let alive = stores.iter().all(|store| !self.dead.contains(&StoreId(*store)));
            info.region.peers.len() == 3 && zones.len() == 3 && alive && info.leader.is_some()
        };
        self.state.regions().iter().filter(|info| !is_well(info)).count()
    }
}
