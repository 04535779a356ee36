//! What is known of one region: its description, which is kept for good, and what its leader told last, which is not.
//! Rates are of the leader's last interval, so that they neither grow with time nor depend on who asks when.

use std::ops::Deref;

use bytes::Bytes;
use nokv_proto::metapb::{Peer, PeerRole, Region};
use nokv_proto::pdpb;
use nokv_raftstore::{PeerId, RegionExt as _, RegionId, StoreId};

use super::Report;

/// A peer from which the leader has heard nothing for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DownPeer {
    /// The peer.
    pub peer: PeerId,
    /// For how long, in seconds.
    pub seconds: u64,
}

/// One region: what its leader told last, or its bare description until one has.
#[derive(Clone, Debug, PartialEq)]
pub struct RegionInfo {
    /// Its description, which is kept for good, and how it is, which is not.
    pub told: Report,
    /// When its leader was heard of last, in milliseconds of placement's clock; 0 = never.
    pub heard_ms: u64,
    /// When its range became what it is, in milliseconds; 0 = before this leader began.
    pub range_ms: u64,
}

/// What was told is read as if it were the region's own.
impl Deref for RegionInfo {
    type Target = Report;

    fn deref(&self) -> &Report {
        &self.told
    }
}

impl RegionInfo {
    /// A region of which nothing is known but its description.
    pub fn new(region: Region) -> Self {
        Self { told: Report { region: region.into(), ..Report::default() }, heard_ms: 0, range_ms: 0 }
    }

    /// Its id.
    pub fn id(&self) -> RegionId {
        self.region.region_id()
    }

    /// The store of its leader.
    pub fn leader_store(&self) -> Option<StoreId> {
        self.leader.map(|peer| StoreId(peer.store_id))
    }

    /// Its members that vote.
    pub fn voters(&self) -> impl Iterator<Item = &Peer> {
        self.region.peers.iter().filter(|peer| peer.role() != PeerRole::Learner)
    }

    /// Its members that only follow.
    pub fn learners(&self) -> impl Iterator<Item = &Peer> {
        self.region.peers.iter().filter(|peer| peer.role() == PeerRole::Learner)
    }

    /// Whether several changes of its members are under way at once.
    pub fn is_joint(&self) -> bool {
        let halfway = |peer: &Peer| matches!(peer.role(), PeerRole::IncomingVoter | PeerRole::DemotingVoter);
        self.region.peers.iter().any(halfway)
    }

    /// Whether `peer` has caught up and is heard of.
    pub fn is_healthy(&self, peer: PeerId) -> bool {
        !self.pending.contains(&peer) && self.down.iter().all(|down| down.peer != peer)
    }

    /// Whether every member has caught up and is heard of.
    pub fn is_whole(&self) -> bool {
        self.pending.is_empty() && self.down.is_empty() && !self.is_joint()
    }

    /// The answer to a lookup.
    pub fn to_response(&self) -> pdpb::RegionResponse {
        pdpb::RegionResponse {
            region: Some(Region::clone(&self.region)),
            leader: self.leader,
            down_peers: self.down_peers(),
            pending_peers: self.pending_peers(),
            buckets: None,
        }
    }

    /// The members that are down, as the wire has them.
    pub fn down_peers(&self) -> Vec<pdpb::PeerStats> {
        let described = |down: &DownPeer| {
            let peer = self.region.peer(down.peer).copied()?;
            Some(pdpb::PeerStats { peer: Some(peer), down_seconds: down.seconds })
        };
        self.down.iter().filter_map(described).collect()
    }

    /// The members that have not caught up, as the wire has them.
    pub fn pending_peers(&self) -> Vec<Peer> {
        self.pending.iter().filter_map(|id| self.region.peer(*id).copied()).collect()
    }

    /// Its first key and its end.
    pub fn bounds(&self) -> (&Bytes, &Bytes) {
        (&self.region.start_key, &self.region.end_key)
    }
}
