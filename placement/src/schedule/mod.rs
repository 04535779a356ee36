//! What should move: decisions over the state and the heartbeats, and the operators that carry them out step by step.
//! Nothing here acts: an order is data, given to a region's leader as the answer to its heartbeat.
//!
//! ```text
//!   heartbeats of stores ──▶ stores.rs ──┐
//!   tick ──▶ tick.rs ──┬─ replicas.rs    │   need: gone stores, missing and surplus replicas, isolation
//!                      ├─ merge.rs       ├─▶ Plan ──▶ admit.rs ──▶ Operator ──▶ heartbeat.rs ──▶ Order
//!                      ├─ balance.rs     │                 (limits, ids)         (each heartbeat: done? next step)
//!                      ├─ leaders.rs     │
//!                      └─ hot.rs ────────┤
//!   somebody asks ──▶ asked.rs ──────────┘
//! ```
//!
//! * `stores.rs`: how stores are, by their heartbeats. `influence.rs`: what is under way, as if it were done.
//! * `place.rs`: which store a peer should go to. `plan.rs`, `step.rs`, `operator.rs`: from a decision to its steps.
//! * `replicas.rs`, `merge.rs`, `balance.rs`, `leaders.rs`, `hot.rs`: the decisions, each with its reason.
//! * `asked.rs`: what somebody asks for: regions are cut at keys, or spread.
//! * `admit.rs`: limits. `tick.rs`: who is looked at when. `heartbeat.rs`: an operator goes on, ends or is given up.
//!
//! What keeps it from ping-pong: what is under way counts as done; balance moves only from above the mean to below it,
//! and only if the two are further apart than the move makes up for; a region rests after each operator; a store that
//! was silent for a moment loses nothing.

mod admit;
mod asked;
mod balance;
mod heartbeat;
mod hot;
mod influence;
mod leaders;
mod merge;
mod operator;
mod place;
mod plan;
mod replicas;
mod step;
mod stores;
mod tick;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use nokv_raftstore::{PeerId, RegionId, StoreId};

pub use asked::Unwilling;
pub use operator::{Ended, Kind, Operator, Outcome};
pub use step::{Order, OrderStep, Step};
pub use stores::{Condition, StoreReport};
pub use tick::Tick;

use asked::Groups;
use influence::Influence;
use stores::Heartbeats;

/// Where ids of new peers come from; `None` = there are none at the moment, and nothing is begun.
pub type PeerIds<'a> = dyn FnMut() -> Option<PeerId> + 'a;

/// How many operators that ended are remembered.
const ENDED_MAX: usize = 4_096;

/// See the file's head. It is its leader's alone: another leader begins anew, since operators are cut short without
/// harm.
#[derive(Debug)]
pub struct Scheduler {
    heartbeats: Arc<Heartbeats>,
    operators: BTreeMap<RegionId, Operator>,
    /// Regions that are moved by nothing but need until then, in milliseconds.
    resting: BTreeMap<RegionId, u64>,
    /// From where a region was moved, and until when it is not moved back but for need.
    left: BTreeMap<(RegionId, StoreId), u64>,
    /// Regions through which much has flowed, and for how many heartbeats.
    hot: BTreeMap<RegionId, u32>,
    /// Stores to which a hot region came, and which get no other until then.
    hot_resting: BTreeMap<StoreId, u64>,
    /// Regions that could not be split for their load, and until when that is not tried again.
    unsplit: BTreeMap<RegionId, u64>,
    /// Regions that were spread as somebody asked.
    groups: Groups,
    ended: VecDeque<Ended>,
    counts: BTreeMap<(Kind, Outcome), u64>,
    /// Where the patrol is.
    patrol: RegionId,
    began_ms: u64,
    random: fastrand::Rng,
}

impl Scheduler {
    /// A scheduler that begins at `now_ms`: silence is counted from here.
    pub fn new(now_ms: u64, seed: u64) -> Self {
        Self {
            heartbeats: Arc::new(Heartbeats::new(now_ms)),
            operators: BTreeMap::new(),
            resting: BTreeMap::new(),
            left: BTreeMap::new(),
            hot: BTreeMap::new(),
            hot_resting: BTreeMap::new(),
            unsplit: BTreeMap::new(),
            groups: Groups::default(),
            ended: VecDeque::new(),
            counts: BTreeMap::new(),
            patrol: RegionId(0),
            began_ms: now_ms,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// What is under way, by region.
    pub fn operators(&self) -> impl Iterator<Item = &Operator> {
        self.operators.values()
    }

    /// What is under way with a region.
    pub fn operator(&self, region: RegionId) -> Option<&Operator> {
        self.operators.get(&region)
    }

    /// What ended last, the newest at the end.
    pub fn ended(&self) -> impl DoubleEndedIterator<Item = &Ended> {
        self.ended.iter()
    }

    /// How many operators of each kind ended how.
    pub fn counts(&self) -> &BTreeMap<(Kind, Outcome), u64> {
        &self.counts
    }

    fn influence(&self, map: &crate::regions::RegionMap) -> Influence {
        let mut influence = Influence::default();
        for operator in self.operators.values() {
            influence.add(operator, map.get(operator.region));
        }
        influence
    }
}
