//! Load is spread where it is: of the store through which most flows, a busy region's leader goes to a follower, or its
//! peer to another store; a region that alone is too much for any is split.
//!
//! Flows are noisy. A region counts as hot after several heartbeats; a move must leave the other store with less than
//! this one had; and the other store gets no more until heartbeats show what came of it.

use nokv_raftstore::{RegionExt as _, RegionId, StoreId};

use super::balance::stores_of;
use super::place::Look;
use super::plan::{Plan, replace};
use super::{Kind, Scheduler, Step};
use crate::regions::RegionInfo;

/// A region is hot after this many heartbeats with much flow, and cools down as slowly.
const DEGREE_HOT: u32 = 3;
const DEGREE_MAX: u32 = 6;
/// A store whose flow is less than this above the mean, in hundredths, is left alone.
const EXCESS_PERCENT: u64 = 20;
/// For how long a store to which a hot region came gets no other.
const REST_MS: u64 = 60_000;
/// A region with fewer keys is not split for its load.
const SPLIT_KEYS_MIN: u64 = 16;

impl Scheduler {
    /// A heartbeat tells how busy a region is.
    pub(super) fn note_flow(&mut self, info: &RegionInfo, hot_bytes_min: u64) {
        let is_busy = hot_bytes_min != 0 && info.flow.total() >= hot_bytes_min;
        let degree = self.hot.entry(info.id()).or_default();
        *degree = if is_busy { (*degree + 1).min(DEGREE_MAX) } else { degree.saturating_sub(1) };
        if *degree == 0 {
            self.hot.remove(&info.id());
        }
    }

    /// The next decision about a hot region of the store that has most, if there is one.
    pub(super) fn balance_hot(&mut self, look: &Look<'_>) -> Option<Plan> {
        let now_ms = look.now_ms;
        self.hot_resting.retain(|_, until_ms| *until_ms > now_ms);
        let stores = look.well();
        let flow = |store: StoreId| look.flow(store);
        let mean = stores.iter().map(|store| flow(*store)).sum::<u64>() / stores.len().max(1) as u64;
        let from = stores.iter().copied().max_by_key(|store| (flow(*store), std::cmp::Reverse(*store)))?;
        let excess = flow(from).saturating_sub(mean);
        if excess <= mean * EXCESS_PERCENT / 100 || excess < look.state.settings().hot_bytes_min {
            return None;
        }
        let plan = self.relieve(look, from, mean)?;
        let touched = plan.steps.iter().filter_map(|step| match step {
            Step::Transfer(store) => Some(*store),
            _ => None,
        });
        for store in touched {
            self.hot_resting.insert(store, now_ms + REST_MS);
        }
        Some(plan)
    }

    fn relieve(&self, look: &Look<'_>, from: StoreId, mean: u64) -> Option<Plan> {
        let map = look.state.regions();
        let hot = self.hot.iter().filter(|(_, degree)| **degree >= DEGREE_HOT).filter_map(|(id, _)| map.get(*id));
        let busy_min = look.state.settings().hot_bytes_min;
        let mut led: Vec<&RegionInfo> = hot
            .filter(|info| info.flow.total() >= busy_min)
            .filter(|info| info.leader_store() == Some(from) && self.is_free(info, look.state, look.now_ms))
            .collect();
        led.sort_by_key(|info| (std::cmp::Reverse(info.flow.total()), info.id()));
        let here = look.flow(from);
        led.into_iter().find_map(|info| self.spread(look, info, from, here, mean))
    }

    fn spread(&self, look: &Look<'_>, info: &RegionInfo, from: StoreId, here: u64, mean: u64) -> Option<Plan> {
        let busy = info.flow.total();
        let rate = |bytes: u64| format!("{} KiB/s", bytes >> 10);
        let better =
            |store: &StoreId| !self.hot_resting.contains_key(store) && look.flow(*store) + busy < here - busy / 4;
        let least = |store: &StoreId| (look.flow(*store), *store);
        let reason = |to: StoreId| {
            let there = rate(look.flow(to));
            format!("{} flow through it; store {from} has {}, store {to} has {there}", rate(busy), rate(here))
        };
        let followers = stores_of(info).into_iter().filter(|store| *store != from && look.may_lead(info, *store));
        if let Some(to) = followers.filter(better).min_by_key(least) {
            return Some(Plan::new(Kind::Hot, reason(to), info, vec![Step::Transfer(to)]));
        }
        let others: Vec<StoreId> = stores_of(info).into_iter().filter(|store| *store != from).collect();
        let apart = look.isolation(from, &others);
        let free = look.well().into_iter().filter(|store| {
            info.region.peer_on(*store).is_none()
                && self.left.get(&info.id()).is_none_or(|(left, _)| left != store)
                && look.may_receive(*store)
                && look.heartbeats.may_lead(*store)
                && look.isolation(*store, &others) >= apart
        });
        if let Some(to) = free.filter(better).min_by_key(least) {
            return Some(Plan::new(Kind::Hot, reason(to), info, replace(info, from, to)));
        }
        // Wherever it went, that store would be the next one with too much.
        let splits = busy > mean / 2 && info.keys >= SPLIT_KEYS_MIN;
        let reason = format!("{} flow through it, and stores have {} on average", rate(busy), rate(mean));
        splits.then(|| Plan::new(Kind::Hot, reason, info, vec![Step::Split]))
    }

    /// The regions that are hot now, the busiest first.
    pub fn hot_regions(&self) -> impl Iterator<Item = RegionId> {
        self.hot.iter().filter(|(_, degree)| **degree >= DEGREE_HOT).map(|(id, _)| *id)
    }
}
