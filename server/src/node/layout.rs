//! Which regions a directory is given on its first day, or holds already, and which store a `--peer` flag means.
//!
//! Without a topology file a new directory is given one region that holds every key, with a peer on each store named,
//! itself included; a peer's id is its store's. All stores of a cluster must so be started with the same set of stores.

use std::collections::BTreeMap;
use std::str::FromStr;

use nokv_proto::metapb::{Peer, Region, RegionEpoch};
use nokv_raftstore::RegionExt;
use nokv_transport::{PeerId, RegionId, StoreId};

use super::NodeError;

/// The region that holds everything.
const WHOLE_REGION: RegionId = RegionId(1);

/// A `--peer` flag: an id, of a store or of a peer, and where that store listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFlag {
    /// A store's id, or the id of one of its peers.
    pub id: u64,
    /// HOST:PORT.
    pub address: String,
}

impl FromStr for PeerFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, address) = text.split_once('=').ok_or("write ID=HOST:PORT, ID being a store's or a peer's id")?;
        let id = id.parse().ok().filter(|id| *id != 0).ok_or_else(|| format!("{id:?} is no id (a number from 1)"))?;
        if !address.contains(':') {
            return Err(format!("{address:?} is no HOST:PORT"));
        }
        Ok(Self { id, address: address.to_owned() })
    }
}

/// The one region of a new cluster that is described by flags alone.
pub(super) fn whole_region(store: StoreId, peers: &[PeerFlag]) -> Region {
    let mut stores: Vec<u64> = peers.iter().map(|peer| peer.id).chain([store.0]).collect();
    stores.sort_unstable();
    stores.dedup();
    Region {
        id: WHOLE_REGION.0,
        region_epoch: Some(RegionEpoch { conf_ver: 1, version: 1 }),
        peers: stores.into_iter().map(|id| Peer { id, store_id: id, ..Default::default() }).collect(),
        ..Default::default()
    }
}

/// Where the stores that `peers` means listen.
///
/// # Errors
/// A flag means no store of these regions, or two of them give one store two addresses.
pub(super) fn addresses(peers: &[PeerFlag], regions: &[Region]) -> Result<BTreeMap<StoreId, String>, NodeError> {
    let mut addresses: BTreeMap<StoreId, String> = BTreeMap::new();
    for flag in peers {
        let Some(store) = store_meant(flag.id, regions) else {
            let text = format!(
                "--peer {}={}: no region of this store has a store or a peer with that id",
                flag.id, flag.address
            );
            return Err(NodeError::Flags(text));
        };
        if let Some(other) = addresses.insert(store, flag.address.clone())
            && other != flag.address
        {
            let text = format!("--peer gives store {store} two addresses: {other} and {}", flag.address);
            return Err(NodeError::Flags(text));
        }
    }
    Ok(addresses)
}

/// A store's id comes first: where both exist, the ids of stores are the ones that people have in mind.
fn store_meant(id: u64, regions: &[Region]) -> Option<StoreId> {
    let is_store = regions.iter().any(|region| region.peer_on(StoreId(id)).is_some());
    if is_store {
        return Some(StoreId(id));
    }
    regions.iter().find_map(|region| region.peer(PeerId(id))).map(|peer| StoreId(peer.store_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(text: &str) -> PeerFlag {
        text.parse().unwrap()
    }

    #[test]
    fn a_flag_is_an_id_and_an_address() {
        assert_eq!(flag("2=host:20160"), PeerFlag { id: 2, address: "host:20160".to_owned() });
        for wrong in ["", "2", "x=host:1", "0=host:1", "2=host", "-1=host:1"] {
            assert!(wrong.parse::<PeerFlag>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn flags_alone_make_one_region_of_the_stores_named() {
        let region = whole_region(StoreId(2), &[flag("3=c:1"), flag("1=a:1"), flag("2=b:1")]);
        assert!(region.start_key.is_empty() && region.end_key.is_empty());
        let peers: Vec<_> = region.peers.iter().map(|peer| (peer.id, peer.store_id)).collect();
        assert_eq!(peers, [(1, 1), (2, 2), (3, 3)]);
    }

    #[test]
    fn an_id_is_a_stores_or_a_peers() {
        let peer = |id, store_id| Peer { id, store_id, ..Default::default() };
        let regions = [Region { id: 1, peers: vec![peer(101, 1), peer(201, 2)], ..Default::default() }];
        let meant = addresses(&[flag("1=a:1"), flag("201=b:1")], &regions).unwrap();
        assert_eq!(meant, BTreeMap::from([(StoreId(1), "a:1".to_owned()), (StoreId(2), "b:1".to_owned())]));
        let unknown = addresses(&[flag("9=c:1")], &regions).unwrap_err().to_string();
        assert!(unknown.contains("--peer 9=c:1"), "{unknown}");
        let twice = addresses(&[flag("2=b:1"), flag("201=b:2")], &regions).unwrap_err().to_string();
        assert!(twice.contains("two addresses"), "{twice}");
    }
}
