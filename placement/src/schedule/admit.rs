//! A plan becomes an operator, if its stores have room for one more and there are ids for its new peers.
//! What is not admitted is not remembered: if it is still right later, it is decided again.

use std::collections::BTreeMap;

use nokv_raftstore::{RegionExt as _, RegionId, StoreId};

use super::place::Look;
use super::plan::Plan;
use super::{ENDED_MAX, Ended, Kind, Operator, Outcome, PeerIds, Scheduler, Step};
use crate::regions::RegionInfo;
use crate::state::State;

/// For how long balance does not move a region back.
const NO_RETURN_MS: u64 = 60 * 60_000;
/// How long an operator that moves no data is waited for.
const QUICK_MS: u64 = 60_000;
/// How long a split for load is waited for: a leader splits at the next heartbeat, or has seen that it would not help.
const SPLIT_MS: u64 = 30_000;
/// How long one that moves data is waited for, at least.
const SLOW_MS: u64 = 10 * 60_000;
/// The slowest pace at which data may move, in bytes a millisecond, before an operator is given up.
const PACE_BYTES: u64 = 256;

impl Scheduler {
    /// Admits a plan as of `look`. `None` = it has to wait.
    pub(super) fn admit(&mut self, look: &Look<'_>, plan: Plan, ids: &mut PeerIds<'_>) -> Option<Operator> {
        let map = look.state.regions();
        let info = map.get(plan.region)?;
        let partner = plan.partner.map(|id| map.get(id).ok_or(())).transpose().ok()?;
        let is_taken = |id: RegionId| self.operators.contains_key(&id);
        if is_taken(plan.region) || plan.partner.is_some_and(is_taken) || !has_room(look, &plan) {
            return None;
        }
        let mut new_peers = BTreeMap::new();
        for step in &plan.steps {
            if let Step::AddLearner(store) = step {
                new_peers.insert(*store, ids()?);
            }
        }
        let began_ms = look.now_ms;
        let until_ms = began_ms + patience_ms(&plan, info);
        let operator = Operator {
            region: plan.region,
            kind: plan.kind,
            reason: plan.reason,
            steps: plan.steps,
            at: 0,
            epoch: info.region.epoch(),
            began_ms,
            until_ms,
            new_peers,
            cuts: plan.cuts,
        };
        if let Some(partner) = partner {
            let taking = Operator {
                region: partner.id(),
                reason: operator.reason.clone(),
                steps: vec![Step::TakeIn(operator.region)],
                epoch: partner.region.epoch(),
                new_peers: BTreeMap::new(),
                ..operator.clone()
            };
            self.operators.insert(taking.region, taking);
        }
        self.operators.insert(operator.region, operator.clone());
        Some(operator)
    }

    /// Takes an operator off, remembers how it ended, and lets its region rest if it was moved.
    pub(super) fn end(&mut self, state: &State, id: RegionId, outcome: Outcome, why: &'static str, now_ms: u64) {
        let Some(operator) = self.operators.remove(&id) else { return };
        *self.counts.entry((operator.kind, outcome)).or_default() += 1;
        self.note_split(&operator, outcome, now_ms);
        // A region that was split for its load is to be moved on at once.
        if operator.kind != Kind::Repair && !operator.steps.contains(&Step::Split) {
            self.resting.insert(id, now_ms + state.settings().cooldown_ms);
        }
        let gone = operator.steps.iter().find_map(|step| match step {
            Step::Remove(store) => Some(*store),
            _ => None,
        });
        if let Some(store) = gone.filter(|_| outcome == Outcome::Done) {
            self.left.insert((id, store), now_ms + NO_RETURN_MS);
        }
        self.ended.push_back(Ended { operator, outcome, why, at_ms: now_ms });
        if self.ended.len() > ENDED_MAX {
            self.ended.pop_front();
        }
    }
}

fn has_room(look: &Look<'_>, plan: &Plan) -> bool {
    plan.steps.iter().all(|step| match step {
        Step::AddLearner(store) => look.may_receive(*store),
        Step::Transfer(store) => look.influence.of(*store).transfers < look.state.settings().transfers_per_store,
        _ => true,
    })
}

fn patience_ms(plan: &Plan, info: &RegionInfo) -> u64 {
    let steps = &plan.steps;
    if plan.kind == Kind::Hot && steps.contains(&Step::Split) {
        return SPLIT_MS;
    }
    let coming = |step: &&Step| matches!(step, Step::AddLearner(_) | Step::Promote(_));
    let moves = steps.iter().filter(coming).count() as u64;
    if moves == 0 && !steps.iter().any(|step| matches!(step, Step::MergeInto(_))) {
        return QUICK_MS;
    }
    SLOW_MS.max(moves * (info.size_bytes / PACE_BYTES))
}

/// The stores that get a peer or the leadership by these steps.
pub(super) fn arrivals(steps: &[Step]) -> impl Iterator<Item = StoreId> {
    steps.iter().filter_map(|step| match step {
        Step::AddLearner(store) | Step::Promote(store) | Step::Transfer(store) => Some(*store),
        _ => None,
    })
}
