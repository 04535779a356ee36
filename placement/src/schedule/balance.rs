//! Data is spread: a peer goes from the store that has most, above the mean, to one that has least, below it.
//! Each move brings both nearer to the mean and overshoots neither, so it needs no more moves than there is excess,
//! and comes to rest.

use nokv_raftstore::{RegionExt as _, RegionId, StoreId};

use super::place::Look;
use super::plan::{Plan, replace};
use super::{Kind, Scheduler};
use crate::regions::{RegionInfo, load_bytes};

/// How many regions of a store are tried before another store is.
const TRIES: usize = 12;

impl Scheduler {
    /// The next move that balances data, if there is one.
    pub(super) fn balance_data(&mut self, look: &Look<'_>, tired: &mut Vec<StoreId>) -> Option<Plan> {
        let stores = look.well();
        let total: i128 = stores.iter().map(|store| i128::from(look.load(*store))).sum();
        let mean = i64::try_from(total / i128::try_from(stores.len().max(1)).unwrap_or(1)).unwrap_or(i64::MAX);
        let settings = look.state.settings();
        let tolerance = mean / 1_000 * i64::from(settings.tolerance_permille) * 2;
        let mut sources: Vec<(i64, StoreId)> =
            stores.iter().map(|store| (look.load(*store), *store)).filter(|(load, _)| *load > mean).collect();
        sources.sort_unstable_by_key(|(load, store)| (-load, *store));
        let mut targets: Vec<(i64, StoreId)> = stores
            .iter()
            .map(|store| (look.load(*store), *store))
            .filter(|(load, store)| *load < mean && look.may_receive(*store))
            .collect();
        targets.sort_unstable();
        let least = targets.first()?.0;
        for (load, from) in sources {
            if load - least <= tolerance {
                break;
            }
            if tired.contains(&from) || look.influence.of(from).outgoing >= settings.moves_per_store {
                continue;
            }
            if let Some(plan) = self.move_from(look, from, load, &targets, tolerance) {
                return Some(plan);
            }
            // Nothing of it can be moved now; it is not asked again in this round.
            tired.push(from);
        }
        None
    }

    fn move_from(
        &mut self,
        look: &Look<'_>,
        from: StoreId,
        load: i64,
        targets: &[(i64, StoreId)],
        tolerance: i64,
    ) -> Option<Plan> {
        for id in self.pick(look, from) {
            let Some(info) = look.state.regions().get(id) else { continue };
            if !self.is_free(info, look.state, look.now_ms) {
                continue;
            }
            let weight = i64::try_from(load_bytes(info.size_bytes)).unwrap_or(i64::MAX);
            let gap = tolerance.max(weight.saturating_mul(2));
            let others: Vec<StoreId> =
                info.voters().map(|peer| StoreId(peer.store_id)).filter(|store| *store != from).collect();
            let apart = look.isolation(from, &others);
            let fits = |(there, store): &&(i64, StoreId)| {
                load - there > gap
                    && info.region.peer_on(*store).is_none()
                    && !self.left.contains_key(&(id, *store))
                    && look.isolation(*store, &others) >= apart
            };
            if let Some((there, to)) = targets.iter().find(fits) {
                let reason = format!("store {from} has {} MiB, store {to} has {}", load >> 20, there >> 20);
                return Some(Plan::new(Kind::Balance, reason, info, replace(info, from, *to)));
            }
        }
        None
    }

    /// Some regions of a store, from a random place on: followers first, whose move disturbs nobody.
    fn pick(&mut self, look: &Look<'_>, store: StoreId) -> Vec<RegionId> {
        let sums = look.state.regions().on_store(store);
        let mut picked = some_of(&sums.followers, TRIES, &mut self.random);
        if picked.len() < TRIES {
            let more = TRIES - picked.len();
            picked.extend(some_of(&sums.leaders, more, &mut self.random));
        }
        picked
    }
}

/// Up to `count` of a set, beginning at a random place.
pub(super) fn some_of(
    set: &std::collections::BTreeSet<RegionId>,
    count: usize,
    random: &mut fastrand::Rng,
) -> Vec<RegionId> {
    let (Some(first), Some(last)) = (set.first(), set.last()) else { return Vec::new() };
    let from = RegionId(random.u64(first.0..=last.0));
    set.range(from..).chain(set.range(..from)).take(count).copied().collect()
}

/// The stores of a region's voters.
pub(super) fn stores_of(info: &RegionInfo) -> Vec<StoreId> {
    info.voters().map(|peer| StoreId(peer.store_id)).collect()
}
