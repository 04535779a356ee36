//! Small neighbours become one, so that deleted data does not leave thousands of empty regions behind.
//! The small one is first brought onto the stores of the one that takes it in; then it goes into it.

use std::collections::BTreeSet;

use nokv_raftstore::StoreId;

use super::place::Look;
use super::plan::{Plan, add_voter};
use super::{Kind, Scheduler, Step};
use crate::regions::RegionInfo;

impl Scheduler {
    /// The merge of a small region with its smaller neighbour, if both hold still.
    pub(super) fn check_merge(&self, look: &Look<'_>, info: &RegionInfo) -> Option<Plan> {
        let settings = look.state.settings();
        let room = settings.merges > look.influence.merges && !settings.balance_paused;
        if !room || info.size_bytes >= settings.merge_bytes_max || !self.may_merge(look, info) {
            return None;
        }
        let map = look.state.regions();
        let fits = |other: &&RegionInfo| {
            info.size_bytes + other.size_bytes <= settings.merged_bytes_max && self.may_merge(look, other)
        };
        let neighbours = map.left_of(info).into_iter().chain(map.right_of(info));
        let into = neighbours.filter(fits).min_by_key(|other| (other.size_bytes, other.id()))?;
        let mut steps = align(look, info, into)?;
        steps.push(Step::MergeInto(into.id()));
        let reason = format!("it is small, with {} MiB", info.size_bytes >> 20);
        Some(Plan { partner: Some(into.id()), ..Plan::new(Kind::Merge, reason, info, steps) })
    }

    fn may_merge(&self, look: &Look<'_>, info: &RegionInfo) -> bool {
        let (settings, now_ms) = (look.state.settings(), look.now_ms);
        let quiet_since_ms = info.range_ms.max(self.began_ms);
        let cost = info.flow.leader_cost();
        self.is_free(info, look.state, now_ms)
            && now_ms.saturating_sub(quiet_since_ms) >= settings.merge_after_split_ms
            && (settings.hot_bytes_min == 0 || cost < settings.hot_bytes_min / 4)
            && !self.hot.contains_key(&info.id())
            && all_well(look, info)
    }
}

fn all_well(look: &Look<'_>, info: &RegionInfo) -> bool {
    info.voters().all(|peer| look.is_well(StoreId(peer.store_id)))
}

/// The steps that bring a region onto the stores of another.
fn align(look: &Look<'_>, info: &RegionInfo, onto: &RegionInfo) -> Option<Vec<Step>> {
    let stores = |info: &RegionInfo| info.voters().map(|peer| StoreId(peer.store_id)).collect::<BTreeSet<_>>();
    let (here, there) = (stores(info), stores(onto));
    let coming: Vec<StoreId> = there.difference(&here).copied().collect();
    let going: Vec<StoreId> = here.difference(&there).copied().collect();
    if !coming.iter().all(|store| look.may_receive(*store)) {
        return None;
    }
    let mut steps: Vec<Step> = coming.into_iter().flat_map(add_voter).collect();
    let leader = info.leader_store()?;
    if going.contains(&leader) {
        steps.push(Step::Transfer(onto.leader_store()?));
    }
    steps.extend(going.into_iter().map(Step::Remove));
    Some(steps)
}
