//! Leaders are spread, since they do most of the work: from the store that leads most to a follower's that leads least.
//! A store that is slow or about to stop gives all of them away.

use nokv_raftstore::{RegionId, StoreId};

use super::balance::some_of;
use super::place::Look;
use super::plan::Plan;
use super::{Kind, Scheduler, Step};
use crate::regions::RegionInfo;

/// How many regions of a store are tried before another store is.
const TRIES: usize = 12;

impl Scheduler {
    /// The next transfer that balances leaders, if there is one.
    pub(super) fn balance_leaders(&mut self, look: &Look<'_>, tired: &mut Vec<StoreId>) -> Option<Plan> {
        let stores = look.well();
        if let Some(plan) = self.leave_slow(look, &stores) {
            return Some(plan);
        }
        let total: i64 = stores.iter().map(|store| look.leaders(*store)).sum();
        let mean = total / i64::try_from(stores.len().max(1)).unwrap_or(1);
        let tolerance = (mean / 1_000 * i64::from(look.state.settings().tolerance_permille))
            .max(mean * i64::from(look.state.settings().tolerance_permille) / 1_000)
            .max(1);
        let mut ranked: Vec<(i64, StoreId)> = stores.iter().map(|store| (look.leaders(*store), *store)).collect();
        ranked.sort_unstable_by_key(|(leaders, store)| (-leaders, *store));
        // From the fullest on, give; then from the emptiest on, take: either alone gets stuck.
        for (leaders, from) in ranked.iter().copied().filter(|(leaders, _)| *leaders > mean + tolerance) {
            if tired.contains(&from) {
                continue;
            }
            let set = &look.state.regions().on_store(from).leaders;
            let found = some_of(set, TRIES, &mut self.random);
            if let Some(plan) = self.give(look, &found, leaders) {
                return Some(plan);
            }
            tired.push(from);
        }
        for (leaders, to) in ranked.iter().rev().copied().filter(|(leaders, _)| *leaders < mean - tolerance) {
            if tired.contains(&to) {
                continue;
            }
            let set = &look.state.regions().on_store(to).followers;
            let found = some_of(set, TRIES, &mut self.random);
            if let Some(plan) = self.take(look, &found, to, leaders) {
                return Some(plan);
            }
            tired.push(to);
        }
        None
    }

    fn give(&self, look: &Look<'_>, regions: &[RegionId], leaders: i64) -> Option<Plan> {
        let free = regions.iter().filter_map(|id| look.state.regions().get(*id));
        let mut free = free.filter(|info| self.is_free(info, look.state, look.now_ms));
        free.find_map(|info| {
            let from = info.leader_store()?;
            let to = look.heir(info, from).filter(|to| leaders - look.leaders(*to) > 1)?;
            Some(transfer(look, info, from, to))
        })
    }

    fn take(&self, look: &Look<'_>, regions: &[RegionId], to: StoreId, leaders: i64) -> Option<Plan> {
        let free = regions.iter().filter_map(|id| look.state.regions().get(*id));
        let mut free = free.filter(|info| self.is_free(info, look.state, look.now_ms) && look.may_lead(info, to));
        free.find_map(|info| {
            let from = info.leader_store().filter(|from| look.leaders(*from) - leaders > 1)?;
            Some(transfer(look, info, from, to))
        })
    }

    fn leave_slow(&self, look: &Look<'_>, stores: &[StoreId]) -> Option<Plan> {
        let slow = stores.iter().filter(|store| !look.heartbeats.may_lead(**store));
        let mut led =
            slow.flat_map(|store| look.state.regions().on_store(*store).leaders.iter().map(|id| (*store, *id)));
        led.find_map(|(from, id)| {
            let info = look.state.regions().get(id).filter(|info| self.operator(info.id()).is_none())?;
            let to = look.heir(info, from)?;
            let reason = format!("store {from} is slow, or about to stop");
            Some(Plan::new(Kind::Leader, reason, info, vec![Step::Transfer(to)]))
        })
    }
}

fn transfer(look: &Look<'_>, info: &RegionInfo, from: StoreId, to: StoreId) -> Plan {
    let reason = format!("store {from} leads {} regions, store {to} leads {}", look.leaders(from), look.leaders(to));
    Plan::new(Kind::Leader, reason, info, vec![Step::Transfer(to)])
}
