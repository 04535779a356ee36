//! Once in a while the whole cluster is looked at: stores that are given up or leave, a part of all regions, balance.
//! What is decided is admitted at once and counts for the next decision; each region's leader hears of it at its next
//! heartbeat, or by what is returned here, at once.

use nokv_proto::metapb::StoreState;
use nokv_raftstore::{RegionId, StoreId};

use super::place::Look;
use super::plan::Plan;
use super::replicas::check_replicas;
use super::{Condition, Order, PeerIds, Scheduler};
use crate::state::{Command, State, StoreRecord};

/// How many regions a tick looks at on its patrol.
const PATROL: usize = 1_024;
/// How many moves of each kind a tick begins.
const BEGUN_MAX: usize = 256;

/// How many decisions about hot regions a tick takes.
const HOT_BEGUN_MAX: usize = 8;

/// What a tick comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tick {
    /// For the leaders of these regions, at once.
    pub orders: Vec<Order>,
    /// For the state: stores that have left.
    pub commands: Vec<Command>,
}

impl Scheduler {
    /// Looks at the cluster. To be called every few seconds.
    pub fn tick(&mut self, state: &State, now_ms: u64, ids: &mut PeerIds<'_>) -> Tick {
        self.follow_silent(state, now_ms);
        self.left.retain(|_, until_ms| *until_ms > now_ms);
        self.resting.retain(|_, until_ms| *until_ms > now_ms);
        self.hot.retain(|id, _| state.regions().get(*id).is_some());
        let mut look = self.look(state, now_ms);
        let mut begun = Vec::new();
        let ids_of = state.stores().map(|record| record.id());
        let to_empty: Vec<StoreId> = ids_of.filter(|store| look.needs_emptying(*store)).collect();
        for store in to_empty {
            let regions: Vec<RegionId> = state.regions().on_store(store).ids().collect();
            self.mend(&mut look, &regions, &mut begun, ids);
        }
        let mut on_patrol: Vec<RegionId> =
            state.regions().iter_after(self.patrol).take(PATROL).map(|info| info.id()).collect();
        self.patrol = on_patrol.last().copied().unwrap_or_default();
        if on_patrol.len() < PATROL {
            self.patrol = RegionId(0);
        }
        self.mend(&mut look, &on_patrol, &mut begun, ids);
        if !state.settings().balance_paused {
            on_patrol.retain(|id| !self.operators.contains_key(id));
            self.merge(&mut look, &on_patrol, &mut begun, ids);
            self.balance(&mut look, &mut begun, ids);
        }
        let map = state.regions();
        let order = |id: &RegionId| self.operators.get(id)?.order(map.get(*id)?, map);
        Tick { orders: begun.iter().filter_map(order).collect(), commands: look.gone() }
    }

    fn mend(&mut self, look: &mut Look<'_>, regions: &[RegionId], begun: &mut Vec<RegionId>, ids: &mut PeerIds<'_>) {
        for id in regions {
            let Some(info) = look.state.regions().get(*id) else { continue };
            if self.operators.contains_key(id) {
                continue;
            }
            if let Some(plan) = check_replicas(look, info) {
                self.begin(look, plan, begun, ids);
            }
        }
    }

    fn merge(&mut self, look: &mut Look<'_>, regions: &[RegionId], begun: &mut Vec<RegionId>, ids: &mut PeerIds<'_>) {
        for id in regions {
            let plan = look.state.regions().get(*id).and_then(|info| self.check_merge(look, info));
            if let Some(plan) = plan {
                self.begin(look, plan, begun, ids);
            }
        }
    }

    fn balance(&mut self, look: &mut Look<'_>, begun: &mut Vec<RegionId>, ids: &mut PeerIds<'_>) {
        for _ in 0..HOT_BEGUN_MAX {
            let Some(plan) = self.balance_hot(look) else { break };
            if !self.begin(look, plan, begun, ids) {
                break;
            }
        }
        let mut tired = Vec::new();
        for _ in 0..BEGUN_MAX {
            let Some(plan) = self.balance_data(look, &mut tired) else { break };
            if !self.begin(look, plan, begun, ids) {
                break;
            }
        }
        let mut tired = Vec::new();
        for _ in 0..BEGUN_MAX {
            let Some(plan) = self.balance_leaders(look, &mut tired) else { break };
            if !self.begin(look, plan, begun, ids) {
                break;
            }
        }
    }

    fn begin(&mut self, look: &mut Look<'_>, plan: Plan, begun: &mut Vec<RegionId>, ids: &mut PeerIds<'_>) -> bool {
        let Some(operator) = self.admit(look, plan, ids) else { return false };
        look.count(&operator);
        begun.push(operator.region);
        true
    }
}

impl Look<'_> {
    /// Whether a store's peers must go elsewhere.
    fn needs_emptying(&self, store: StoreId) -> bool {
        matches!(self.condition(store), Condition::Down | Condition::Leaving | Condition::Gone)
    }

    /// The stores that were to leave and hold nothing any more, by the map and by their own word, if they have one.
    fn gone(&self) -> Vec<Command> {
        let leaving = self.state.stores().filter(|record| record.state() == StoreState::Offline).map(StoreRecord::id);
        let empty = leaving.filter(|store| {
            let says_so = self.heartbeats.report(*store).peers == 0 || self.condition(*store) == Condition::Down;
            says_so && self.state.regions().on_store(*store).peers() == 0
        });
        empty.map(Command::BuryStore).collect()
    }
}
