//! Which store a peer should go to: one that is well and has room, that keeps the replicas apart, and that has least.
//! One look at the cluster serves many decisions; what they bring about is added to it.

use std::sync::Arc;

use nokv_raftstore::{PeerId, RegionExt as _, StoreId};

use super::influence::Influence;
use super::stores::Heartbeats;
use super::{Condition, Operator, Scheduler};
use crate::regions::RegionInfo;
use crate::state::State;

/// At how many levels places may differ; each weighs as much more than all below it as there could be replicas.
const LEVEL_FACTOR: u64 = 32;
/// A store on which this many peers have not caught up gets no more.
const PENDING_MAX: usize = 64;

/// The cluster as decisions see it.
pub(super) struct Look<'a> {
    pub(super) state: &'a State,
    pub(super) heartbeats: Arc<Heartbeats>,
    pub(super) influence: Influence,
    pub(super) now_ms: u64,
}

impl Look<'_> {
    pub(super) fn condition(&self, store: StoreId) -> Condition {
        self.heartbeats.condition(self.state, store, self.now_ms)
    }

    pub(super) fn is_well(&self, store: StoreId) -> bool {
        self.condition(store) == Condition::Well
    }

    /// The stores that are well.
    pub(super) fn well(&self) -> Vec<StoreId> {
        self.state.stores_up().map(|record| record.id()).filter(|store| self.is_well(*store)).collect()
    }

    /// Bytes that a store holds when all that is under way is done.
    pub(super) fn load(&self, store: StoreId) -> i64 {
        let bytes = self.state.regions().on_store(store).load_bytes;
        i64::try_from(bytes).unwrap_or(i64::MAX).saturating_add(self.influence.of(store).bytes)
    }

    /// Regions that a store leads when all that is under way is done.
    pub(super) fn leaders(&self, store: StoreId) -> i64 {
        let leaders = self.state.regions().on_store(store).leaders.len();
        i64::try_from(leaders).unwrap_or(i64::MAX).saturating_add(self.influence.of(store).leaders)
    }

    /// What its regions cost a store when all that is under way is done.
    pub(super) fn cost(&self, store: StoreId) -> u64 {
        self.state.regions().on_store(store).cost.saturating_add_signed(self.influence.of(store).cost)
    }

    /// Whether another peer may come to a store now.
    pub(super) fn may_receive(&self, store: StoreId) -> bool {
        let settings = self.state.settings();
        self.is_well(store)
            && self.heartbeats.has_room(settings, store)
            && self.influence.of(store).incoming < settings.moves_per_store
            && self.state.regions().on_store(store).pending < PENDING_MAX
    }

    /// Whether a peer on a store may be made leader now.
    pub(super) fn may_lead(&self, info: &RegionInfo, store: StoreId) -> bool {
        let voter = info.voters().find(|peer| peer.store_id == store.0);
        self.is_well(store)
            && self.heartbeats.may_lead(store)
            && voter.is_some_and(|peer| info.is_healthy(PeerId(peer.id)))
            && self.influence.of(store).transfers < self.state.settings().transfers_per_store
    }

    /// The store that should lead a region if `except` may not.
    pub(super) fn heir(&self, info: &RegionInfo, except: StoreId) -> Option<StoreId> {
        let others = info.voters().map(|peer| StoreId(peer.store_id)).filter(|store| *store != except);
        others.filter(|store| self.may_lead(info, *store)).min_by_key(|store| (self.leaders(*store), *store))
    }

    /// How well a place is apart from the places of `others`; more is better.
    pub(super) fn isolation(&self, place: StoreId, others: &[StoreId]) -> u64 {
        others.iter().map(|other| self.distance(place, *other)).sum()
    }

    fn distance(&self, one: StoreId, other: StoreId) -> u64 {
        let labels = &self.state.settings().location_labels;
        let label = |store: StoreId, key: &str| self.state.store(store).and_then(|record| record.label(key));
        let differs = labels.iter().position(|key| label(one, key) != label(other, key));
        let level = |at: usize| u32::try_from(labels.len() - at - 1).unwrap_or(0);
        differs.map_or(0, |at| LEVEL_FACTOR.saturating_pow(level(at)))
    }

    /// How well apart a place beside `others` can be at best.
    pub(super) fn isolation_max(&self, others: &[StoreId]) -> u64 {
        let levels = u32::try_from(self.state.settings().location_labels.len()).unwrap_or(0);
        levels.checked_sub(1).map_or(0, |top| LEVEL_FACTOR.saturating_pow(top)).saturating_mul(others.len() as u64)
    }

    /// The best store for one more peer of a region beside those on `others`: most apart, then least loaded. If those
    /// that are most apart are only busy for the moment, they are waited for: a second choice would be moved again.
    pub(super) fn best_place(&self, info: &RegionInfo, others: &[StoreId]) -> Option<StoreId> {
        let settings = self.state.settings();
        let could = |store: &StoreId| {
            info.region.peer_on(*store).is_none() && self.is_well(*store) && self.heartbeats.has_room(settings, *store)
        };
        let stores = self.state.stores_up().map(|record| record.id()).filter(could);
        let apart: Vec<(u64, StoreId)> = stores.map(|store| (self.isolation(store, others), store)).collect();
        let most = apart.iter().map(|(apart, _)| *apart).max()?;
        let best = apart.into_iter().filter(|(apart, store)| *apart == most && self.may_receive(*store));
        best.map(|(_, store)| store).min_by_key(|store| (self.load(*store), *store))
    }

    /// What was decided counts from now on.
    pub(super) fn count(&mut self, operator: &Operator) {
        self.influence.add(operator, self.state.regions().get(operator.region));
    }
}

impl Scheduler {
    pub(super) fn look<'a>(&self, state: &'a State, now_ms: u64) -> Look<'a> {
        Look { state, heartbeats: self.heartbeats.clone(), influence: self.influence(state.regions()), now_ms }
    }

    /// Whether a region may be moved for other reasons than need.
    pub(super) fn is_free(&self, info: &RegionInfo, state: &State, now_ms: u64) -> bool {
        let wanted = usize::try_from(state.settings().replicas).unwrap_or(usize::MAX);
        !self.operators.contains_key(&info.id())
            && self.resting.get(&info.id()).is_none_or(|until_ms| *until_ms <= now_ms)
            && info.leader.is_some()
            && info.is_whole()
            && info.learners().next().is_none()
            && info.voters().count() >= wanted.min(state.stores_up().count())
    }
}
