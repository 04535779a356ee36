//! A region's leader was heard of: its operator goes on, ends or is given up, or need finds it something to do.
//! The answer is the order for the step that is under way; it is given again with each heartbeat until it is done.

use nokv_raftstore::{RegionId, StoreId};

use super::admit::arrivals;
use super::replicas::check_replicas;
use super::{Condition, Kind, Operator, Order, Outcome, PeerIds, Scheduler, Step};
use crate::regions::RegionInfo;
use crate::state::State;

impl Scheduler {
    /// To be called after a report of region `id` was taken in. The order for its leader, if there is one.
    pub fn on_region(&mut self, state: &State, id: RegionId, now_ms: u64, ids: &mut PeerIds<'_>) -> Option<Order> {
        let info = state.regions().get(id)?;
        self.note_flow(info, state.settings().hot_bytes_min);
        self.follow(state, info, now_ms);
        if self.is_in_need(state, info, now_ms) && !self.is_repaired_just_now(info, now_ms) {
            let look = self.look(state, now_ms);
            if let Some(plan) = check_replicas(&look, info) {
                self.admit(&look, plan, ids);
            }
        }
        self.operators.get(&id)?.order(info, state.regions())
    }

    /// Whether something is wrong that can be seen at a glance; what takes more is found on patrol.
    fn is_in_need(&self, state: &State, info: &RegionInfo, now_ms: u64) -> bool {
        let wanted = usize::try_from(state.settings().replicas).unwrap_or(usize::MAX);
        let ill = |store| {
            let condition = self.heartbeats.condition(state, store, now_ms);
            matches!(condition, Condition::Down | Condition::Gone | Condition::Leaving)
        };
        !self.operators.contains_key(&info.id())
            && (info.region.peers.len() != wanted
                || info.learners().next().is_some()
                || info.voters().any(|peer| ill(StoreId(peer.store_id))))
    }

    /// Lets the operator of a region see what has become of the region.
    pub(super) fn follow(&mut self, state: &State, info: &RegionInfo, now_ms: u64) {
        let id = info.id();
        let Some(operator) = self.operators.get_mut(&id) else { return };
        operator.advance(info);
        if operator.current().is_none() {
            return self.end(state, id, Outcome::Done, "", now_ms);
        }
        if let Some(why) = operator.misfit(info) {
            return self.end(state, id, Outcome::Cancelled, why, now_ms);
        }
        if now_ms >= operator.until_ms {
            let why =
                if operator.is_split_for_load() { "its leader found no place to cut it" } else { "it took too long" };
            return self.end(state, id, Outcome::TimedOut, why, now_ms);
        }
        let ill = |store| self.heartbeats.condition(state, store, now_ms) != Condition::Well;
        if arrivals(operator.remaining()).any(ill) {
            self.end(state, id, Outcome::Cancelled, "the store that was to get something is not well", now_ms);
        }
    }

    /// Operators of regions that are not heard of any more: they are merged away, or their time runs out.
    pub(super) fn follow_silent(&mut self, state: &State, now_ms: u64) {
        let map = state.regions();
        let over = |operator: &Operator| map.get(operator.region).is_none() || now_ms >= operator.until_ms;
        let ended: Vec<RegionId> = self.operators.values().filter(|it| over(it)).map(|it| it.region).collect();
        for id in ended {
            let merged = self.operators.get(&id).is_some_and(|it| matches!(it.current(), Some(Step::MergeInto(_))));
            match map.get(id) {
                Some(info) => self.follow(state, info, now_ms),
                None if merged => self.end(state, id, Outcome::Done, "", now_ms),
                None => self.end(state, id, Outcome::Cancelled, "the region is no more", now_ms),
            }
        }
        // Whoever was to take a region in is free again when that region's operator has ended.
        let awaited = |it: &Operator| match it.current() {
            Some(Step::TakeIn(other)) if !self.operators.contains_key(&other) => Some((it.region, other)),
            _ => None,
        };
        let alone: Vec<(RegionId, RegionId)> = self.operators.values().filter_map(awaited).collect();
        for (id, other) in alone {
            match map.get(other) {
                None => self.end(state, id, Outcome::Done, "", now_ms),
                Some(_) => self.end(state, id, Outcome::Cancelled, "the merge was given up", now_ms),
            }
        }
    }

    /// A repair that failed is not begun anew at once, or one store that cannot follow would be asked for ever.
    fn is_repaired_just_now(&self, info: &RegionInfo, now_ms: u64) -> bool {
        const PAUSE_MS: u64 = 5_000;
        let mut last = self.ended.iter().rev().take_while(|ended| now_ms.saturating_sub(ended.at_ms) < PAUSE_MS);
        last.any(|ended| {
            ended.operator.region == info.id() && ended.operator.kind == Kind::Repair && ended.outcome != Outcome::Done
        })
    }
}
