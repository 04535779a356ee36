//! A topology that no file says, but the cluster itself: for commands that are given an address only.
//! It is as old as the answers it was made from.

use nokv_percolator::Key;
use nokv_proto::metapb::Region;
use nokv_transport::{PeerId, RegionId, StoreId};

use super::{EpochConfig, PeerConfig, RegionConfig, StoreConfig, Topology};
use crate::key_text::KeyText;

impl Topology {
    /// The stores (id, HOST:PORT) and regions that a cluster has told of.
    pub fn learnt(stores: impl IntoIterator<Item = (StoreId, String)>, regions: &[Region]) -> Topology {
        let store = |(store_id, addr): (StoreId, String)| StoreConfig {
            store_id,
            listen_addr: addr.clone(),
            addr,
            ..StoreConfig::default()
        };
        Topology {
            max_retries: 1,
            tso: None,
            stores: stores.into_iter().map(store).collect(),
            regions: regions.iter().map(region).collect(),
        }
    }
}

fn region(told: &Region) -> RegionConfig {
    let epoch = told.region_epoch.unwrap_or_default();
    let peer = |peer: &nokv_proto::metapb::Peer| PeerConfig {
        store_id: StoreId(peer.store_id),
        peer_id: PeerId(peer.id),
        ..PeerConfig::default()
    };
    RegionConfig {
        id: RegionId(told.id),
        start_key: bound(&told.start_key),
        end_key: bound(&told.end_key),
        epoch: EpochConfig { version: epoch.version, conf_version: epoch.conf_ver },
        peers: told.peers.iter().map(peer).collect(),
        ..RegionConfig::default()
    }
}

/// A bound that encodes no key can only come from a client of raw keys; its bytes are shown as they are.
fn bound(encoded: &[u8]) -> KeyText {
    if encoded.is_empty() {
        return KeyText::default();
    }
    KeyText::from_bytes(Key::decode_encoded(encoded).unwrap_or_else(|_| encoded.to_vec()))
}

#[cfg(test)]
mod tests {
    use nokv_proto::metapb::{Peer, RegionEpoch};

    use super::*;

    #[test]
    fn what_a_cluster_told_becomes_the_same_again() {
        let region = Region {
            id: 7,
            start_key: Key::encode(b"a").into_encoded(),
            region_epoch: Some(RegionEpoch { version: 3, conf_ver: 2 }),
            peers: vec![Peer { id: 71, store_id: 1, ..Peer::default() }],
            ..Region::default()
        };
        let topology = Topology::learnt([(StoreId(1), "a:1".to_owned())], std::slice::from_ref(&region));
        assert_eq!(topology.store(StoreId(1)).unwrap().addr, "a:1");
        assert_eq!(topology.regions[0].to_metapb(), region);
    }
}
