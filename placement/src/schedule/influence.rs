//! What is under way, as if it were done: how much it adds to each store, and how many operators are busy there.
//! Scores that did not count it would have everything sent to the one store that is empty now.

use std::collections::BTreeMap;

use nokv_raftstore::StoreId;

use super::{Operator, Step};
use crate::regions::{Flow, RegionInfo, load_bytes};

/// What comes to a store, or leaves it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Coming {
    /// Bytes of data.
    pub(super) bytes: i64,
    /// Leaders.
    pub(super) leaders: i64,
    /// Peers that are on their way to it.
    pub(super) incoming: u32,
    /// Peers that leave it.
    pub(super) outgoing: u32,
    /// What these peers and leaders cost.
    pub(super) cost: i64,
    /// Leaders that are on their way to it.
    pub(super) transfers: u32,
}

/// See the file's head.
#[derive(Clone, Debug, Default)]
pub(super) struct Influence {
    by_store: BTreeMap<StoreId, Coming>,
    /// Merges under way.
    pub(super) merges: u32,
}

impl Influence {
    pub(super) fn of(&self, store: StoreId) -> Coming {
        self.by_store.get(&store).copied().unwrap_or_default()
    }

    /// Counts what is left of an operator.
    pub(super) fn add(&mut self, operator: &Operator, info: Option<&RegionInfo>) {
        let bytes = i64::try_from(load_bytes(info.map_or(0, |info| info.size_bytes))).unwrap_or(i64::MAX);
        let cost = |of: fn(Flow) -> u64| info.map_or(0, |info| i64::try_from(of(info.flow)).unwrap_or(i64::MAX));
        // A peer brings a follower's part; whoever leads adds the rest.
        let peers = cost(Flow::follower_cost);
        let leads = cost(Flow::leader_cost) - peers;
        let mut leader = info.and_then(RegionInfo::leader_store);
        for step in operator.remaining() {
            match *step {
                Step::AddLearner(store) => {
                    let coming = self.by_store.entry(store).or_default();
                    coming.bytes += bytes;
                    coming.cost += peers;
                    coming.incoming += 1;
                }
                Step::Promote(store) if operator.current() == Some(*step) => {
                    self.by_store.entry(store).or_default().incoming += 1;
                }
                Step::Transfer(store) => {
                    let coming = self.by_store.entry(store).or_default();
                    coming.leaders += 1;
                    coming.cost += leads;
                    coming.transfers += 1;
                    if let Some(from) = leader.replace(store) {
                        let leaving = self.by_store.entry(from).or_default();
                        leaving.leaders -= 1;
                        leaving.cost -= leads;
                    }
                }
                Step::Remove(store) => {
                    let coming = self.by_store.entry(store).or_default();
                    coming.bytes -= bytes;
                    coming.cost -= peers;
                    coming.outgoing += 1;
                }
                Step::MergeInto(_) => self.merges += 1,
                Step::Promote(_) | Step::Split | Step::TakeIn(_) => {}
            }
        }
    }
}
