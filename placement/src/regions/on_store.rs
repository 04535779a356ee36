//! What one store holds and leads: the sets from which scheduling picks, and the sums that it weighs.
//! They are kept up to date with every report, so that a decision looks at stores and not at all regions.

use std::collections::BTreeSet;

use nokv_proto::metapb::{Peer, PeerRole};
use nokv_raftstore::{PeerId, RegionId};

#[cfg(doc)]
use super::Flow;
use super::RegionInfo;

/// What an empty region weighs, so that many empty ones are spread too.
pub const REGION_BYTES_MIN: u64 = 1 << 20;

/// See the file's head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreRegions {
    /// The regions that it leads.
    pub leaders: BTreeSet<RegionId>,
    /// The regions of which it holds a voter that does not lead, or whose leader is unknown.
    pub followers: BTreeSet<RegionId>,
    /// The regions of which it holds a learner.
    pub learners: BTreeSet<RegionId>,
    /// Peers that have not caught up.
    pub pending: usize,
    /// The data of all its peers, an empty region counting [`REGION_BYTES_MIN`].
    pub load_bytes: u64,
    /// Bytes written to its peers, a second.
    pub write_bytes: u64,
    /// Bytes read from those that lead, a second.
    pub read_bytes: u64,
    /// Keys looked up in those, a second.
    pub lookups: u64,
    /// What all that costs it, in the currency of [`Flow`].
    pub cost: u64,
}

impl StoreRegions {
    pub(super) const EMPTY: Self = Self {
        leaders: BTreeSet::new(),
        followers: BTreeSet::new(),
        learners: BTreeSet::new(),
        pending: 0,
        load_bytes: 0,
        write_bytes: 0,
        read_bytes: 0,
        lookups: 0,
        cost: 0,
    };

    /// How many peers it holds.
    pub fn peers(&self) -> usize {
        self.leaders.len() + self.followers.len() + self.learners.len()
    }

    /// Every region of which it holds a peer.
    pub fn ids(&self) -> impl Iterator<Item = RegionId> {
        self.leaders.iter().chain(&self.followers).chain(&self.learners).copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.peers() == 0
    }

    pub(super) fn count(&mut self, info: &RegionInfo, peer: &Peer, in_it: bool) {
        let leads = info.leader.is_some_and(|leader| leader.id == peer.id);
        let set = match peer.role() {
            PeerRole::Learner => &mut self.learners,
            _ if leads => &mut self.leaders,
            _ => &mut self.followers,
        };
        let add = |sum: &mut u64, amount: u64| {
            *sum = if in_it { *sum + amount } else { sum.saturating_sub(amount) };
        };
        if in_it {
            set.insert(info.id());
        } else {
            set.remove(&info.id());
        }
        add(&mut self.load_bytes, load_bytes(info.size_bytes));
        add(&mut self.write_bytes, info.flow.write_bytes);
        if leads {
            add(&mut self.read_bytes, info.flow.read_bytes);
            add(&mut self.lookups, info.flow.lookups);
            add(&mut self.cost, info.flow.leader_cost());
        } else {
            add(&mut self.cost, info.flow.follower_cost());
        }
        if info.pending.contains(&PeerId(peer.id)) {
            self.pending = if in_it { self.pending + 1 } else { self.pending.saturating_sub(1) };
        }
    }
}

/// What a region of this size weighs.
pub fn load_bytes(size_bytes: u64) -> u64 {
    size_bytes.max(REGION_BYTES_MIN)
}
