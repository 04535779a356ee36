//! Load is spread where it is: of a store that has more than its share, a busy region's leader goes to a follower, or
//! its peer to another store; a region that alone is too much for any is split.
//!
//! What a region costs, and whom, [`Flow`](crate::regions::Flow) says: reads cost the leader alone, writes every peer.
//!
//! Flows are noisy. A region counts as hot after several heartbeats; a move must leave the other store with less than
//! this one had; and the other store gets no more until heartbeats show what came of it. A region whose leader could
//! not split it, because its load is on one key or wanders, is not to be split for a while.

use std::cmp::Reverse;

use nokv_raftstore::{RegionExt as _, RegionId, StoreId};

use super::admit::arrivals;
use super::balance::stores_of;
use super::place::Look;
use super::plan::{Plan, replace};
use super::{Kind, Operator, Outcome, Scheduler, Step};
use crate::regions::RegionInfo;

/// A region is hot after this many heartbeats with much flow, and cools down as slowly.
const DEGREE_HOT: u32 = 3;
const DEGREE_MAX: u32 = 6;
/// A store whose load is less than this above the mean, in hundredths, is left alone.
const EXCESS_PERCENT: u64 = 10;
/// For less than this above the mean no region is split: what a region costs by itself outweighs it.
const SPLIT_EXCESS_PERCENT: u64 = 20;
/// For how long a store to which a hot region came gets no other.
const REST_MS: u64 = 60_000;
/// For how long a region is not to be split again that could not be.
const SPLIT_PAUSE_MS: u64 = 10 * 60_000;

impl Scheduler {
    /// A heartbeat tells how busy a region is.
    pub(super) fn note_flow(&mut self, info: &RegionInfo, hot_bytes_min: u64) {
        let is_busy = hot_bytes_min != 0 && info.flow.leader_cost() >= hot_bytes_min;
        let degree = self.hot.entry(info.id()).or_default();
        *degree = if is_busy { (*degree + 1).min(DEGREE_MAX) } else { degree.saturating_sub(1) };
        if *degree == 0 {
            self.hot.remove(&info.id());
        }
    }

    /// An operator has ended: if it was to split a region for its load and nothing came of it, nothing will for now.
    pub(super) fn note_split(&mut self, operator: &Operator, outcome: Outcome, now_ms: u64) {
        if operator.is_split_for_load() && outcome == Outcome::TimedOut {
            self.unsplit.insert(operator.region, now_ms + SPLIT_PAUSE_MS);
        }
    }

    /// The next decision about a hot region of a store that has too much, if there is one.
    pub(super) fn balance_hot(&mut self, look: &Look<'_>) -> Option<Plan> {
        let now_ms = look.now_ms;
        self.hot_resting.retain(|_, until_ms| *until_ms > now_ms);
        self.unsplit.retain(|_, until_ms| *until_ms > now_ms);
        let mut stores: Vec<(u64, StoreId)> = look.well().into_iter().map(|store| (look.cost(store), store)).collect();
        let mean = stores.iter().map(|(cost, _)| cost).sum::<u64>() / stores.len().max(1) as u64;
        stores.sort_unstable_by_key(|(cost, store)| (Reverse(*cost), *store));
        let is_too_much = |cost: u64| {
            let excess = cost.saturating_sub(mean);
            exceeds(cost, mean, EXCESS_PERCENT) && excess >= look.state.settings().hot_bytes_min
        };
        // One of which nothing can be taken is not in the way of the next.
        let too_much = stores.into_iter().take_while(|(cost, _)| is_too_much(*cost));
        let plan = too_much.map(|(here, from)| Excess { from, here, mean }).find_map(|it| self.relieve(look, &it))?;
        for store in arrivals(&plan.steps) {
            self.hot_resting.insert(store, now_ms + REST_MS);
        }
        Some(plan)
    }

    fn relieve(&self, look: &Look<'_>, excess: &Excess) -> Option<Plan> {
        let map = look.state.regions();
        let hot = self.hot.iter().filter(|(_, degree)| **degree >= DEGREE_HOT).filter_map(|(id, _)| map.get(*id));
        let busy_min = look.state.settings().hot_bytes_min;
        let mut there: Vec<(u64, &RegionInfo)> = hot
            .map(|info| (cost_on(info, excess.from), info))
            .filter(|(cost, info)| *cost >= busy_min && self.is_free(info, look.state, look.now_ms))
            .collect();
        there.sort_by_key(|(cost, info)| (Reverse(*cost), info.id()));
        there.into_iter().find_map(|(cost, info)| self.spread(look, info, cost, excess))
    }

    /// What can be done about a region that costs its store so much.
    fn spread(&self, look: &Look<'_>, info: &RegionInfo, cost: u64, excess: &Excess) -> Option<Plan> {
        let Excess { from, here, mean } = *excess;
        let better = |moved: u64| {
            move |store: &StoreId| {
                !self.hot_resting.contains_key(store) && look.cost(*store) + moved < here.saturating_sub(moved / 4)
            }
        };
        let least = |store: &StoreId| (look.cost(*store), *store);
        let reason = |to: StoreId| {
            let loads =
                format!("store {from} has a load of {} KiB/s, store {to} of {}", here >> 10, look.cost(to) >> 10);
            format!("{}; {loads}", info.flow)
        };
        let leads = info.leader_store() == Some(from);
        if leads {
            let moved = cost - info.flow.follower_cost();
            let followers = stores_of(info).into_iter().filter(|store| *store != from && look.may_lead(info, *store));
            if let Some(to) = followers.filter(better(moved)).min_by_key(least) {
                return Some(Plan::new(Kind::Hot, reason(to), info, vec![Step::Transfer(to)]));
            }
        }
        let others: Vec<StoreId> = stores_of(info).into_iter().filter(|store| *store != from).collect();
        let apart = look.isolation(from, &others);
        let free = look.well().into_iter().filter(|store| {
            info.region.peer_on(*store).is_none()
                && !self.left.contains_key(&(info.id(), *store))
                && look.may_receive(*store)
                && (!leads || look.heartbeats.may_lead(*store))
                && look.isolation(*store, &others) >= apart
        });
        if let Some(to) = free.filter(better(cost)).min_by_key(least) {
            return Some(Plan::new(Kind::Hot, reason(to), info, replace(info, from, to)));
        }
        let is_worth_it = exceeds(here, mean, SPLIT_EXCESS_PERCENT) && !self.unsplit.contains_key(&info.id());
        // Wherever it went, that store would be the next one with too much. Whether it has a key at which a cut would
        // help, its leader knows.
        let splits = leads && cost > mean / 2 && is_worth_it;
        let reason = || {
            let (cost, mean) = (cost >> 10, mean >> 10);
            format!("{}, a load of {cost} KiB/s where stores have {mean} on average", info.flow)
        };
        splits.then(|| Plan::new(Kind::Hot, reason(), info, vec![Step::Split]))
    }

    /// The regions that are hot now, the busiest first.
    pub fn hot_regions(&self) -> impl Iterator<Item = RegionId> {
        self.hot.iter().filter(|(_, degree)| **degree >= DEGREE_HOT).map(|(id, _)| *id)
    }
}

impl Operator {
    /// Whether it cuts a region where its load halves, and does nothing else.
    pub(super) fn is_split_for_load(&self) -> bool {
        self.kind == Kind::Hot && self.steps.contains(&Step::Split)
    }
}

/// A store that has more than its share.
struct Excess {
    from: StoreId,
    /// What it has.
    here: u64,
    /// What stores have on average.
    mean: u64,
}

fn exceeds(cost: u64, mean: u64, percent: u64) -> bool {
    u128::from(cost) * 100 > u128::from(mean) * u128::from(100 + percent)
}

/// What a region costs a store.
fn cost_on(info: &RegionInfo, store: StoreId) -> u64 {
    if info.leader_store() == Some(store) {
        info.flow.leader_cost()
    } else if info.voters().any(|peer| peer.store_id == store.0) {
        info.flow.follower_cost()
    } else {
        0
    }
}
