//! What somebody asks for: regions that are to be cut at certain keys, before much is written between them, and regions
//! that are to be spread over the stores, since they will be busy at the same time.
//!
//! Spreading is by groups: each region goes where the fewest peers of its group were sent, and is led where the fewest
//! of its leaders were. How much each region holds or moves does not matter: it is for regions that are empty yet.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use bytes::Bytes;
use nokv_raftstore::{RegionExt as _, RegionId, StoreId};

use super::balance::stores_of;
use super::place::Look;
use super::plan::{Plan, add_voter};
use super::{Kind, PeerIds, Scheduler, Step};
use crate::regions::RegionInfo;
use crate::state::State;

/// Groups that are remembered.
const GROUPS_MAX: usize = 64;

/// Why nothing is done with a region that somebody asked for. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwilling {
    /// Nobody has heard of such a region. Look it up again.
    #[error("there is no such region")]
    NoRegion,
    /// Something is under way with it, it is not whole, or its stores have no room. Ask again later.
    #[error("the region has to be left alone at the moment")]
    NotNow,
}

/// How many peers and leaders of a group were sent to each store.
type Sent = BTreeMap<StoreId, (u64, u64)>;

/// The groups by name, and which of them were used last.
#[derive(Debug, Default)]
pub(super) struct Groups {
    by_name: BTreeMap<String, (u64, Sent)>,
    uses: u64,
}

impl Groups {
    fn sent(&mut self, name: &str) -> &mut Sent {
        self.uses += 1;
        if !self.by_name.contains_key(name)
            && self.by_name.len() >= GROUPS_MAX
            && let Some(oldest) = self.by_name.iter().min_by_key(|(_, (used, _))| *used).map(|(name, _)| name.clone())
        {
            self.by_name.remove(&oldest);
        }
        let group = self.by_name.entry(name.to_owned()).or_default();
        group.0 = self.uses;
        &mut group.1
    }
}

impl Scheduler {
    /// Spreads a region among those of its group. Its leader is told with its next heartbeat.
    ///
    /// # Errors
    /// [`Unwilling`].
    pub fn scatter(
        &mut self,
        state: &State,
        id: RegionId,
        group: &str,
        now_ms: u64,
        ids: &mut PeerIds<'_>,
    ) -> Result<(), Unwilling> {
        let info = state.regions().get(id).ok_or(Unwilling::NoRegion)?;
        let look = self.look(state, now_ms);
        if !self.may_be_asked(&look, info) {
            return Err(Unwilling::NotNow);
        }
        let sent = self.groups.sent(group).clone();
        let (stores, leader) = spread(&look, info, &sent);
        let steps = steps_to(info, &stores, leader);
        if !steps.is_empty() {
            let plan = Plan::new(Kind::Scatter, format!("group {group:?} is spread"), info, steps);
            self.admit(&look, plan, ids).ok_or(Unwilling::NotNow)?;
        }
        let sent = self.groups.sent(group);
        stores.iter().for_each(|store| sent.entry(*store).or_default().0 += 1);
        sent.entry(leader).or_default().1 += 1;
        Ok(())
    }

    /// Cuts a region at these keys, which lie within it. Its leader is told with its next heartbeat.
    ///
    /// # Errors
    /// [`Unwilling`].
    pub fn cut(&mut self, state: &State, id: RegionId, keys: Vec<Bytes>, now_ms: u64) -> Result<(), Unwilling> {
        let info = state.regions().get(id).ok_or(Unwilling::NoRegion)?;
        let look = self.look(state, now_ms);
        if info.leader.is_none() || self.operators.contains_key(&id) {
            return Err(Unwilling::NotNow);
        }
        let reason = format!("it is to be cut at {} keys", keys.len());
        let plan = Plan { cuts: keys, ..Plan::new(Kind::Cut, reason, info, vec![Step::Split]) };
        self.admit(&look, plan, &mut || None).map(drop).ok_or(Unwilling::NotNow)
    }

    /// A region that rests after a move may still be spread: somebody wants it.
    fn may_be_asked(&self, look: &Look<'_>, info: &RegionInfo) -> bool {
        info.leader.is_some()
            && info.is_whole()
            && info.learners().next().is_none()
            && !self.operators.contains_key(&info.id())
            && stores_of(info).iter().all(|store| look.is_well(*store))
    }
}

/// Where the region's peers and its leader are to be.
fn spread(look: &Look<'_>, info: &RegionInfo, sent: &Sent) -> (Vec<StoreId>, StoreId) {
    let of = |store: &StoreId| sent.get(store).copied().unwrap_or_default();
    let mut stores = stores_of(info);
    for at in 0..stores.len() {
        let Some(here) = stores.get(at).copied() else { break };
        let others: Vec<StoreId> = stores.iter().copied().filter(|store| *store != here).collect();
        let apart = look.isolation(here, &others);
        let fits = |store: &StoreId| {
            !stores.contains(store)
                && info.region.peer_on(*store).is_none()
                && look.may_receive(*store)
                && look.isolation(*store, &others) >= apart
        };
        let free = look.well().into_iter().filter(fits);
        let best = free.min_by_key(|store| (of(store).0, look.load(*store), *store));
        if let Some(to) = best.filter(|to| of(to).0 < of(&here).0)
            && let Some(place) = stores.get_mut(at)
        {
            *place = to;
        }
    }
    let leads = info.leader_store();
    let may_lead = |store: &&StoreId| leads == Some(**store) || look.heartbeats.may_lead(**store);
    let leader = stores.iter().filter(may_lead).min_by_key(|it| (of(it).1, Reverse(leads == Some(**it)), **it));
    let leader = leader.copied().or(leads).unwrap_or_default();
    (stores, leader)
}

/// All that come vote before anybody goes, and the leader hands over before it does.
fn steps_to(info: &RegionInfo, stores: &[StoreId], leader: StoreId) -> Vec<Step> {
    let before = stores_of(info);
    let mut steps: Vec<Step> = Vec::new();
    let leads = info.leader_store();
    let (mut goes, comes) = (
        before.iter().filter(|store| !stores.contains(store)).copied().collect::<Vec<_>>(),
        stores.iter().filter(|store| !before.contains(store)),
    );
    // Whoever leads goes last.
    goes.sort_by_key(|store| leads == Some(*store));
    let mut goes = goes.into_iter();
    for to in comes {
        steps.extend(add_voter(*to));
        match goes.next() {
            Some(from) if leads == Some(from) => steps.extend([Step::Transfer(leader), Step::Remove(from)]),
            Some(from) => steps.push(Step::Remove(from)),
            None => {}
        }
    }
    if leads != Some(leader) && !steps.contains(&Step::Transfer(leader)) {
        steps.push(Step::Transfer(leader));
    }
    steps
}
