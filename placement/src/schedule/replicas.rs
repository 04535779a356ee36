//! Need: a region has as many voters as it should, on stores that live and stay, as far apart as can be.
//! The first thing that is wrong is mended first; one at a time.

use nokv_proto::metapb::Peer;
use nokv_raftstore::{PeerId, StoreId};

use super::place::Look;
use super::plan::{Plan, add_voter, remove, replace};
use super::{Condition, Kind, Step};
use crate::regions::RegionInfo;

/// What a region needs most, if anything.
pub(super) fn check_replicas(look: &Look<'_>, info: &RegionInfo) -> Option<Plan> {
    if info.leader.is_none() || info.is_joint() {
        return None;
    }
    mend_learner(look, info)
        .or_else(|| mend_lost(look, info))
        .or_else(|| add_missing(look, info))
        .or_else(|| remove_surplus(look, info))
        .or_else(|| leave(look, info))
        .or_else(|| move_apart(look, info))
}

fn store_of(peer: &Peer) -> StoreId {
    StoreId(peer.store_id)
}

fn voters(info: &RegionInfo) -> Vec<StoreId> {
    info.voters().map(store_of).collect()
}

fn wanted(look: &Look<'_>) -> usize {
    usize::try_from(look.state.settings().replicas).unwrap_or(usize::MAX)
}

/// Whether nothing good is to be expected of the peer there.
fn is_lost(look: &Look<'_>, store: StoreId) -> bool {
    matches!(look.condition(store), Condition::Down | Condition::Gone)
}

fn others(all: &[StoreId], without: StoreId) -> Vec<StoreId> {
    all.iter().copied().filter(|store| *store != without).collect()
}

/// A learner without an operator is the rest of one that was cut short: it is made use of, or goes.
fn mend_learner(look: &Look<'_>, info: &RegionInfo) -> Option<Plan> {
    let learner = info.learners().next()?;
    let store = store_of(learner);
    let useful = voters(info).iter().filter(|voter| !is_lost(look, **voter)).count() < wanted(look);
    if useful && look.is_well(store) {
        return Some(Plan::new(
            Kind::Repair,
            "a voter is missing, and a learner is there",
            info,
            vec![Step::Promote(store)],
        ));
    }
    Some(Plan::new(Kind::Repair, "a learner was left behind", info, vec![Step::Remove(store)]))
}

/// A voter on a store that is given up is replaced, or at least goes if there are voters enough.
fn mend_lost(look: &Look<'_>, info: &RegionInfo) -> Option<Plan> {
    let all = voters(info);
    let lost = all.iter().copied().find(|store| is_lost(look, *store))?;
    let reason = format!("store {lost} is down");
    if all.len() > wanted(look) {
        let steps = remove(info, lost, look.heir(info, lost))?;
        return Some(Plan::new(Kind::Repair, reason, info, steps));
    }
    let to = look.best_place(info, &others(&all, lost))?;
    Some(Plan::new(Kind::Repair, reason, info, replace(info, lost, to)))
}

fn add_missing(look: &Look<'_>, info: &RegionInfo) -> Option<Plan> {
    let all = voters(info);
    if all.len() >= wanted(look) {
        return None;
    }
    let to = look.best_place(info, &all)?;
    let reason = format!("it has {} of {} replicas", all.len(), wanted(look));
    Some(Plan::new(Kind::Repair, reason, info, add_voter(to)))
}

/// One voter too many: the one that is ill goes, else one that leaves, else the one that keeps least apart, else that
/// of the fullest store; the leader only if nothing else speaks for another.
fn remove_surplus(look: &Look<'_>, info: &RegionInfo) -> Option<Plan> {
    let all = voters(info);
    if all.len() <= wanted(look) {
        return None;
    }
    let rank = |peer: &&Peer| {
        let store = store_of(peer);
        let condition = look.condition(store);
        let well = info.is_healthy(PeerId(peer.id)) && condition == Condition::Well;
        let leads = info.leader_store() == Some(store);
        (well, look.isolation(store, &others(&all, store)), leads, -look.load(store), store)
    };
    let from = store_of(info.voters().min_by_key(rank)?);
    let steps = remove(info, from, look.heir(info, from))?;
    let reason = format!("it has {} of {} replicas", all.len(), wanted(look));
    Some(Plan::new(Kind::Repair, reason, info, steps))
}

/// A voter on a store that is to leave is moved.
fn leave(look: &Look<'_>, info: &RegionInfo) -> Option<Plan> {
    let all = voters(info);
    let leaving = all.iter().copied().find(|store| look.condition(*store) == Condition::Leaving)?;
    if look.influence.of(leaving).outgoing >= look.state.settings().moves_per_store {
        return None;
    }
    let to = look.best_place(info, &others(&all, leaving))?;
    Some(Plan::new(Kind::Drain, format!("store {leaving} is to leave"), info, replace(info, leaving, to)))
}

/// The voter that is least apart from the others is moved where it is more so.
fn move_apart(look: &Look<'_>, info: &RegionInfo) -> Option<Plan> {
    if look.state.settings().location_labels.is_empty() || !info.is_whole() {
        return None;
    }
    let all = voters(info);
    let apart = |store: StoreId| look.isolation(store, &others(&all, store));
    let worst = all.iter().copied().min_by_key(|store| (apart(*store), -look.load(*store), *store))?;
    let rest = others(&all, worst);
    if apart(worst) >= look.isolation_max(&rest) {
        return None;
    }
    let to = look.best_place(info, &rest)?;
    if look.isolation(to, &rest) <= apart(worst) {
        return None;
    }
    let reason = format!("store {to} is further apart from the others than store {worst}");
    Some(Plan::new(Kind::Repair, reason, info, replace(info, worst, to)))
}
