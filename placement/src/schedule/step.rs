//! A step of an operator: what is to be done, how one sees that it is done, and the order for it.
//! Steps name stores and not peers: a region has one peer on a store, and new peers get their ids at admission.

use bytes::Bytes;
use nokv_proto::metapb::{Peer, PeerRole, Region, RegionEpoch};
use nokv_raftstore::{PeerId, RegionExt as _, RegionId, StoreId};

use super::Operator;
use crate::regions::{RegionInfo, RegionMap};

/// See the file's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A new peer gets everything and decides nothing.
    AddLearner(StoreId),
    /// It has caught up and votes from now on.
    Promote(StoreId),
    /// The peer there leads from now on.
    Transfer(StoreId),
    /// The peer there goes.
    Remove(StoreId),
    /// The region becomes two.
    Split,
    /// The region goes into its neighbour.
    MergeInto(RegionId),
    /// The neighbour comes in.
    TakeIn(RegionId),
}

/// What a region's leader is to do now.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// The region.
    pub region: RegionId,
    /// Its epoch: with another one, the order is void.
    pub epoch: RegionEpoch,
    /// The leader that is meant.
    pub leader: Peer,
    /// What to do.
    pub step: OrderStep,
}

/// See [`Order`].
#[derive(Clone, Debug, PartialEq)]
pub enum OrderStep {
    /// Add this learner.
    AddLearner(Peer),
    /// Make it a voter.
    Promote(Peer),
    /// Remove it.
    Remove(Peer),
    /// Give it the leadership.
    Transfer(Peer),
    /// Split the region at these keys; none = where its load halves.
    Split(Vec<Bytes>),
    /// Merge the region into this neighbour.
    MergeInto(Region),
}

impl Step {
    /// How much the step adds to a region's membership version.
    pub(super) fn membership_changes(self) -> u64 {
        u64::from(matches!(self, Step::AddLearner(_) | Step::Promote(_) | Step::Remove(_)))
    }

    pub(super) fn is_done(self, operator: &Operator, info: &RegionInfo) -> bool {
        let region = &info.region;
        match self {
            Step::AddLearner(store) => {
                region.peer_on(store).is_some_and(|peer| Some(PeerId(peer.id)) == operator.new_peer(store))
            }
            Step::Promote(store) => region.peer_on(store).is_some_and(|peer| peer.role() == PeerRole::Voter),
            Step::Transfer(store) => info.leader_store() == Some(store),
            Step::Remove(store) => region.peer_on(store).is_none(),
            Step::Split | Step::TakeIn(_) => region.epoch().version > operator.epoch.version,
            // The region is no more, then.
            Step::MergeInto(_) => false,
        }
    }

    /// What can never come true any more with this region.
    pub(super) fn is_vain(self, info: &RegionInfo) -> Option<&'static str> {
        let leads_there = |store| info.leader_store() == Some(store);
        match self {
            Step::Remove(store) if leads_there(store) => Some("the peer that was to go leads"),
            Step::Promote(store) | Step::Transfer(store) if info.region.peer_on(store).is_none() => {
                Some("the peer is gone")
            }
            _ => None,
        }
    }

    /// The order; `None` while the leader can do nothing but wait.
    pub(super) fn order(self, operator: &Operator, info: &RegionInfo, map: &RegionMap) -> Option<OrderStep> {
        let peer_on = |store| info.region.peer_on(store).copied();
        match self {
            Step::AddLearner(StoreId(store_id)) => {
                let id = operator.new_peer(StoreId(store_id))?.0;
                let role = PeerRole::Learner.into();
                Some(OrderStep::AddLearner(Peer { id, store_id, role, ..Peer::default() }))
            }
            Step::Promote(store) => {
                let learner = peer_on(store).filter(|peer| info.is_healthy(PeerId(peer.id)))?;
                Some(OrderStep::Promote(Peer { role: PeerRole::Voter.into(), ..learner }))
            }
            Step::Transfer(store) => peer_on(store).map(OrderStep::Transfer),
            Step::Remove(store) => peer_on(store).map(OrderStep::Remove),
            Step::Split => Some(OrderStep::Split(operator.cuts.clone())),
            Step::MergeInto(target) => Some(OrderStep::MergeInto(Region::clone(&map.get(target)?.region))),
            Step::TakeIn(_) => None,
        }
    }
}
