//! A fixed map of stores and regions, given by the caller or read from NoKV's `raft_config.json`.
//! The config's keys are user keys; region bounds here and on the wire are their memcomparable encoding.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use nokv_percolator::Key;
use nokv_proto::metapb;
use serde::Deserialize;

use crate::directory::Located;
use crate::error::{InvalidInput, Result};
use crate::region_cache::{contains, up_to};

/// Stores by id and regions by start key. Regions do not overlap; there may be gaps, whose keys cannot be reached.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topology {
    pub(crate) stores: BTreeMap<u64, String>,
    regions: BTreeMap<Bytes, Located>,
}

impl Topology {
    /// A topology of `stores` (id, host:port) and `regions`, whose bounds are memcomparable-encoded.
    ///
    /// # Errors
    /// [`InvalidInput::Topology`] if ids repeat, regions overlap, or a peer's store is not listed.
    pub fn new(
        stores: impl IntoIterator<Item = (u64, String)>,
        regions: impl IntoIterator<Item = Located>,
    ) -> Result<Self> {
        let mut topology = Topology::default();
        for (id, address) in stores {
            if topology.stores.insert(id, address).is_some() {
                return Err(bad(format!("store {id} is listed twice")));
            }
        }
        let mut ids = BTreeSet::new();
        for located in regions {
            let id = located.region.id;
            if !ids.insert(id) {
                return Err(bad(format!("region {id} is listed twice")));
            }
            if located.region.peers.is_empty() {
                return Err(bad(format!("region {id} has no peers")));
            }
            for peer in &located.region.peers {
                if !topology.stores.contains_key(&peer.store_id) {
                    return Err(bad(format!("region {id} has a peer on store {}, which is not listed", peer.store_id)));
                }
            }
            if let Some(other) = topology.regions.insert(located.region.start_key.clone(), located) {
                return Err(bad(format!("regions {} and {id} start at one key", other.region.id)));
            }
        }
        topology.check_overlaps()?;
        Ok(topology)
    }

    /// Reads the parts that a client needs of NoKV's config: `stores[]{store_id, addr}` and
    /// `regions[]{id, start_key, end_key, epoch{version, conf_version}, peers[]{store_id, peer_id}, leader_store_id}`.
    /// Keys are plain text, `hex:…`, or `-`/empty for unbounded. Other fields are not looked at.
    ///
    /// # Errors
    /// [`InvalidInput::Topology`] with what is wrong where.
    pub fn from_config_json(json: &str) -> Result<Self> {
        let config: Config = serde_json::from_str(json).map_err(|error| bad(error.to_string()))?;
        let stores = config.stores.into_iter().map(|store| (store.store_id, store.addr));
        let regions = config.regions.into_iter().map(RegionConfig::located).collect::<Result<Vec<_>>>()?;
        Topology::new(stores, regions)
    }

    /// A key as the config writes it: plain text, `hex:` and hexadecimal digits, or `-` or nothing for unbounded
    /// (`None`).
    ///
    /// # Errors
    /// [`InvalidInput::Topology`] if the hexadecimal digits are none.
    pub fn parse_key(text: &str) -> Result<Option<Vec<u8>>> {
        let Some(digits) = text.strip_prefix("hex:") else {
            return Ok((!text.is_empty() && text != "-").then(|| text.as_bytes().to_vec()));
        };
        let key = digits.as_bytes().chunks(2).map(|pair| match pair {
            &[high, low] => Some(hex_digit(high)? << 4 | hex_digit(low)?),
            _ => None,
        });
        match key.collect::<Option<Vec<u8>>>() {
            Some(key) => Ok((!key.is_empty()).then_some(key)),
            None => Err(bad(format!("key {text}: not pairs of hexadecimal digits"))),
        }
    }

    /// The region that holds `key`, encoded as bounds are.
    pub fn region(&self, key: &[u8]) -> Option<&Located> {
        let (_, located) = self.regions.range::<[u8], _>(up_to(key)).next_back()?;
        contains(&located.region, key).then_some(located)
    }

    /// All regions, by start key.
    pub fn regions(&self) -> impl Iterator<Item = &Located> {
        self.regions.values()
    }

    /// All stores and their addresses, by id.
    pub fn stores(&self) -> impl Iterator<Item = (u64, &str)> {
        self.stores.iter().map(|(id, address)| (*id, address.as_str()))
    }

    fn check_overlaps(&self) -> Result<()> {
        let mut previous: Option<&metapb::Region> = None;
        for Located { region, .. } in self.regions.values() {
            if !region.end_key.is_empty() && region.end_key <= region.start_key {
                return Err(bad(format!("region {} ends before it starts", region.id)));
            }
            if let Some(before) = previous
                && (before.end_key.is_empty() || before.end_key > region.start_key)
            {
                return Err(bad(format!("regions {} and {} overlap", before.id, region.id)));
            }
            previous = Some(region);
        }
        Ok(())
    }
}

fn bad(reason: String) -> crate::Error {
    InvalidInput::Topology(reason).into()
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[derive(Deserialize)]
struct Config {
    stores: Vec<StoreConfig>,
    regions: Vec<RegionConfig>,
}

#[derive(Deserialize)]
struct StoreConfig {
    store_id: u64,
    addr: String,
}

#[derive(Deserialize)]
struct RegionConfig {
    id: u64,
    #[serde(default)]
    start_key: String,
    #[serde(default)]
    end_key: String,
    epoch: EpochConfig,
    peers: Vec<PeerConfig>,
    #[serde(default)]
    leader_store_id: u64,
}

#[derive(Deserialize)]
struct EpochConfig {
    version: u64,
    conf_version: u64,
}

#[derive(Deserialize)]
struct PeerConfig {
    store_id: u64,
    peer_id: u64,
}

impl RegionConfig {
    fn located(self) -> Result<Located> {
        let bound = |text: &str| -> Result<Bytes> {
            Ok(Topology::parse_key(text)?.map(|key| Key::encode(&key).into_encoded()).unwrap_or_default())
        };
        let peers: Vec<metapb::Peer> = self
            .peers
            .iter()
            .map(|peer| metapb::Peer { id: peer.peer_id, store_id: peer.store_id, ..Default::default() })
            .collect();
        let leader = peers.iter().find(|peer| peer.store_id == self.leader_store_id).cloned();
        let epoch = metapb::RegionEpoch { version: self.epoch.version, conf_ver: self.epoch.conf_version };
        let region = metapb::Region {
            id: self.id,
            start_key: bound(&self.start_key)?,
            end_key: bound(&self.end_key)?,
            region_epoch: Some(epoch),
            peers,
            ..Default::default()
        };
        Ok(Located { region, leader })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    const TWO_REGIONS: &str = r#"{
        "max_retries": 8, "tso": {"listen_addr": "127.0.0.1:1"},
        "stores": [{"store_id": 1, "addr": "a:1", "docker_addr": "x"}, {"store_id": 2, "addr": "b:2"}],
        "regions": [
            {"id": 7, "start_key": "-", "end_key": "m", "epoch": {"version": 3, "conf_version": 2},
             "peers": [{"store_id": 1, "peer_id": 71}, {"store_id": 2, "peer_id": 72}], "leader_store_id": 2},
            {"id": 8, "start_key": "hex:6D", "end_key": "", "epoch": {"version": 1, "conf_version": 1},
             "peers": [{"store_id": 1, "peer_id": 81}]}
        ]}"#;

    #[test]
    fn the_config_is_read_and_its_keys_encoded() {
        let topology = Topology::from_config_json(TWO_REGIONS).unwrap();
        assert_eq!(topology.stores().collect::<Vec<_>>(), [(1, "a:1"), (2, "b:2")]);
        let left = topology.region(Key::encode(b"lzz").as_encoded()).unwrap();
        assert_eq!((left.region.id, left.leader.as_ref().map(|peer| peer.id)), (7, Some(72)));
        assert_eq!(left.region.region_epoch, Some(metapb::RegionEpoch { conf_ver: 2, version: 3 }));
        let right = topology.region(Key::encode(b"m").as_encoded()).unwrap();
        assert_eq!((right.region.id, right.leader.as_ref()), (8, None));
        assert_eq!(right.region.start_key, left.region.end_key);
        assert_eq!(left.region.end_key, Key::encode(b"m").into_encoded());
    }

    #[test]
    fn bad_configs_say_what_is_wrong() {
        let reason = |json: &str| match Topology::from_config_json(json) {
            Err(Error::InvalidInput(InvalidInput::Topology(reason))) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(reason(&TWO_REGIONS.replace("hex:6D", "b")), "regions 7 and 8 overlap");
        assert_eq!(reason(&TWO_REGIONS.replace("hex:6D", "-")), "regions 7 and 8 start at one key");
        assert_eq!(reason(&TWO_REGIONS.replace("hex:6D", "hex:6")), "key hex:6: not pairs of hexadecimal digits");
        assert_eq!(reason(&TWO_REGIONS.replace("\"id\": 8", "\"id\": 7")), "region 7 is listed twice");
        assert_eq!(
            reason(&TWO_REGIONS.replace("\"store_id\": 2, \"peer", "\"store_id\": 9, \"peer")),
            "region 7 has a peer on store 9, which is not listed"
        );
        assert!(reason("{").contains("EOF"));
    }

    #[test]
    fn a_gap_has_no_region() {
        let topology = Topology::from_config_json(&TWO_REGIONS.replace("hex:6D", "n")).unwrap();
        assert_eq!(topology.region(Key::encode(b"mm").as_encoded()), None);
    }
}
