//! A region of the topology file as the cluster's own metadata.
//!
//! The file names user keys; regions live in the memcomparable encoding of the data they hold. An absent bound stays
//! empty: the encoding of the empty key would be a bound like any other.

use bytes::Bytes;
use nokv_percolator::Key;
use nokv_proto::metapb;

use super::topology::{PeerConfig, RegionConfig};
use crate::key_text::KeyText;

impl RegionConfig {
    /// The region as stores and clients know it, with encoded bounds; every peer is a voter.
    pub fn to_metapb(&self) -> metapb::Region {
        metapb::Region {
            id: self.id.0,
            start_key: encode_bound(&self.start_key),
            end_key: encode_bound(&self.end_key),
            region_epoch: Some(metapb::RegionEpoch { version: self.epoch.version, conf_ver: self.epoch.conf_version }),
            peers: self.peers.iter().copied().map(PeerConfig::to_metapb).collect(),
            ..Default::default()
        }
    }

    /// The peer that should lead first, if the file prefers one.
    pub fn leader_peer(&self) -> Option<metapb::Peer> {
        self.leader_store_id.and_then(|store| self.peer_on(store)).map(PeerConfig::to_metapb)
    }
}

impl PeerConfig {
    /// The peer as stores and clients know it: a voter.
    pub fn to_metapb(self) -> metapb::Peer {
        metapb::Peer { id: self.peer_id.0, store_id: self.store_id.0, ..Default::default() }
    }
}

fn encode_bound(key: &KeyText) -> Bytes {
    if key.is_unbounded() { Bytes::new() } else { Key::encode(key.as_bytes()).into_encoded() }
}
