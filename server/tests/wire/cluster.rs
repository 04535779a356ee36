//! Three nodes on disk, and more if a test wants them, in one process; and whoever leads is found.
//! What must be waited for is asked for until it is so: no deadline here that a slow machine could miss.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nokv_engine::Engine as _;
use nokv_proto::kvrpcpb::{Context, RawGetRequest, RawPutRequest};
use nokv_proto::metapb::{Peer, Region};
use nokv_raftstore::{Config, RegionDigest, digest};
use nokv_server::node::{Node, NodeOptions};
use nokv_server::region_ids::RegionIds;
use nokv_transport::{RegionId, StoreId};
use tempfile::TempDir;

use crate::rig::{Counter, connect, key, region, text};

pub const STORES: [u64; 3] = [1, 2, 3];

/// The nodes; regions 1 and 2, cut at m, begin on the first three.
pub struct Cluster {
    nodes: BTreeMap<u64, Node>,
    /// Of all that were ever started.
    addresses: BTreeMap<u64, String>,
    pub folder: TempDir,
    ids: RegionIds,
    tso: Option<String>,
}

pub fn regions() -> Vec<Region> {
    let replicated = |mut region: Region| {
        let peer = |store| Peer { id: store * 100 + region.id, store_id: store, ..Default::default() };
        region.peers = STORES.map(peer).into();
        region
    };
    vec![replicated(region(1, "", "m")), replicated(region(2, "m", ""))]
}

impl Cluster {
    pub async fn start() -> Cluster {
        Self::begin(None).await
    }

    /// Whose stores know a timestamp server.
    pub async fn start_with_tso(url: &str) -> Cluster {
        Self::begin(Some(url.to_owned())).await
    }

    async fn begin(tso: Option<String>) -> Cluster {
        let ids = RegionIds::new(Arc::new(Counter::from_ms(1_790_000_000_000)));
        let (nodes, addresses) = (BTreeMap::new(), BTreeMap::new());
        let mut cluster = Cluster { nodes, addresses, folder: TempDir::new().unwrap(), ids, tso };
        for store in STORES {
            cluster.start_node(store).await;
        }
        cluster
    }

    pub async fn start_node(&mut self, store: u64) {
        let mut options = options(store, self.folder.path(), self.ids.clone(), &self.addresses);
        options.tso = self.tso.clone();
        let log = slog::Logger::root(slog::Discard, slog::o!());
        let on_fatal = Arc::new(|error: &dyn std::fmt::Display| -> () { panic!("{error}") });
        let node = Node::start(options, log, on_fatal).await.unwrap();
        for other in self.nodes.values() {
            other.address_book().set(node.store(), &node.address().to_string()).unwrap();
            node.address_book().set(other.store(), &other.address().to_string()).unwrap();
        }
        self.addresses.insert(store, node.address().to_string());
        self.nodes.insert(store, node);
    }

    pub async fn stop_node(&mut self, store: u64) {
        self.nodes.remove(&store).unwrap().stop().await;
    }

    /// Where the stores listen that were ever started.
    pub fn addresses(&self) -> Vec<String> {
        self.addresses.values().cloned().collect()
    }

    pub fn node(&self, store: u64) -> &Node {
        self.nodes.get(&store).unwrap()
    }

    pub fn leader_of(&self, region: u64) -> Option<u64> {
        let leads = |node: &&Node| node.raftstore().led_regions().contains(&RegionId(region));
        self.nodes.values().find(leads).map(|node| node.store().0)
    }

    /// Writes a raw key at whoever leads, as often as it takes.
    pub async fn put(&self, region: u64, name: &str, value: &str) -> u64 {
        loop {
            if let Some(leader) = self.leader_of(region) {
                let mut client = connect(self.node(leader).address()).await;
                let context = Some(context(region, leader));
                let request = RawPutRequest { context, key: key(name), value: key(value), ..Default::default() };
                if client.raw_put(request).await.unwrap().into_inner() == Default::default() {
                    return leader;
                }
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub async fn get(&self, region: u64, name: &str) -> String {
        loop {
            if let Some(leader) = self.leader_of(region) {
                let mut client = connect(self.node(leader).address()).await;
                let request =
                    RawGetRequest { context: Some(context(region, leader)), key: key(name), ..Default::default() };
                let response = client.raw_get(request).await.unwrap().into_inner();
                if response.region_error.is_none() {
                    return if response.not_found { "-".to_owned() } else { text(&response.value) };
                }
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// A topology file of all stores that were started, as the command line reads it.
    pub fn config(&self) -> PathBuf {
        let store = |(id, address)| serde_json::json!({ "store_id": id, "addr": address });
        let stores = self.addresses.iter().map(store);
        let peers = |region: u64| -> serde_json::Value {
            STORES
                .iter()
                .map(|store| serde_json::json!({ "store_id": store, "peer_id": store * 100 + region }))
                .collect()
        };
        let config = serde_json::json!({
            "stores": stores.collect::<serde_json::Value>(),
            "regions": [
                { "id": 1, "start_key": "-", "end_key": "m", "peers": peers(1) },
                { "id": 2, "start_key": "m", "end_key": "-", "peers": peers(2) },
            ],
        });
        let file = self.folder.path().join("topology.json");
        std::fs::write(&file, config.to_string()).unwrap();
        file
    }

    /// Waits until the stores hold the same bytes of a region.
    pub async fn alike(&self, region: u64, stores: &[u64]) {
        loop {
            let digests: Vec<_> = stores.iter().map(|store| self.digest(region, *store)).collect();
            if digests.iter().all(|digest| digest.is_some() && *digest == digests[0]) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn digest(&self, region: u64, store: u64) -> Option<RegionDigest> {
        let raftstore = self.node(store).raftstore();
        let status = raftstore.region(RegionId(region))?;
        digest(&raftstore.engine().view(), &status.state.region).ok()
    }

    pub async fn stop(mut self) {
        for node in std::mem::take(&mut self.nodes).into_values() {
            node.stop().await;
        }
    }
}

fn options(store: u64, folder: &Path, ids: RegionIds, others: &BTreeMap<u64, String>) -> NodeOptions {
    let mut options = NodeOptions::new(StoreId(store), folder.join(store.to_string()), "127.0.0.1:0");
    options.regions = Some(regions());
    options.ids = Some(ids);
    let others = others.iter().filter(|(id, _)| **id != store);
    options.stores = others.map(|(id, address)| (StoreId(*id), address.clone())).collect();
    // Fast elections, and the same ones in every run.
    options.collector.poll = Duration::from_millis(20);
    options.settle_interval = Duration::from_millis(20);
    options.raft =
        Config { tick: Duration::from_millis(20), seed: store, hibernate_after_ticks: 10, ..Config::default() };
    options
}

pub fn context(region: u64, store: u64) -> Context {
    let peer = Peer { id: store * 100 + region, store_id: store, ..Default::default() };
    Context { region_id: region, peer: Some(peer), ..Default::default() }
}
