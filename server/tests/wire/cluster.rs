//! Three nodes on disk, in one process: leaders, followers that say who leads, handing over, and coming back.
//! What must be waited for is asked for until it is so: no deadline here that a slow machine could miss.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nokv_proto::kvrpcpb::{Context, GetRequest, RawGetRequest, RawPutRequest};
use nokv_proto::metapb::{Peer, Region};
use nokv_raftstore::Config;
use nokv_server::node::{Node, NodeOptions};
use nokv_transport::{RegionId, StoreId};
use tempfile::TempDir;

use crate::rig::{connect, key, region, text};

const STORES: [u64; 3] = [1, 2, 3];

struct Cluster {
    nodes: Vec<Option<Node>>,
    folder: TempDir,
}

fn regions() -> Vec<Region> {
    let replicated = |mut region: Region| {
        let peer = |store| Peer { id: store * 100 + region.id, store_id: store, ..Default::default() };
        region.peers = STORES.map(peer).into();
        region
    };
    vec![replicated(region(1, "", "m")), replicated(region(2, "m", ""))]
}

impl Cluster {
    async fn start() -> Cluster {
        let mut cluster = Cluster { nodes: vec![None, None, None], folder: TempDir::new().unwrap() };
        for store in STORES {
            cluster.start_node(store).await;
        }
        cluster
    }

    async fn start_node(&mut self, store: u64) {
        let node = start_node(store, self.folder.path()).await;
        for other in self.nodes.iter().flatten() {
            other.address_book().set(node.store(), &node.address().to_string()).unwrap();
            node.address_book().set(other.store(), &other.address().to_string()).unwrap();
        }
        self.nodes[place(store)] = Some(node);
    }

    async fn stop_node(&mut self, store: u64) {
        self.nodes[place(store)].take().unwrap().stop().await;
    }

    fn node(&self, store: u64) -> &Node {
        self.nodes[place(store)].as_ref().unwrap()
    }

    fn leader_of(&self, region: u64) -> Option<u64> {
        let leads = |node: &&Node| node.raftstore().led_regions().contains(&RegionId(region));
        self.nodes.iter().flatten().find(leads).map(|node| node.store().0)
    }

    /// Writes a raw key at whoever leads, as often as it takes.
    async fn put(&self, region: u64, name: &str, value: &str) -> u64 {
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

    async fn get(&self, region: u64, name: &str) -> String {
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

    async fn stop(mut self) {
        for node in self.nodes.iter_mut().filter_map(Option::take) {
            node.stop().await;
        }
    }
}

fn place(store: u64) -> usize {
    usize::try_from(store).unwrap() - 1
}

async fn start_node(store: u64, folder: &Path) -> Node {
    let mut options = NodeOptions::new(StoreId(store), folder.join(store.to_string()), "127.0.0.1:0");
    options.regions = Some(regions());
    // Fast elections, and the same ones in every run.
    options.raft = Config { tick: Duration::from_millis(20), seed: store, ..Config::default() };
    let log = slog::Logger::root(slog::Discard, slog::o!());
    let on_fatal = Arc::new(|error: &dyn std::fmt::Display| -> () { panic!("{error}") });
    Node::start(options, log, on_fatal).await.unwrap()
}

fn context(region: u64, store: u64) -> Context {
    let peer = Peer { id: store * 100 + region, store_id: store, ..Default::default() };
    Context { region_id: region, peer: Some(peer), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_say_who_leads() {
    let cluster = Cluster::start().await;
    let leader = cluster.put(1, "a", "1").await;
    for store in STORES.into_iter().filter(|store| *store != leader) {
        let mut client = connect(cluster.node(store).address()).await;
        loop {
            let request = GetRequest { context: Some(context(1, store)), key: key("a"), ..Default::default() };
            let error = client.kv_get(request).await.unwrap().into_inner().region_error.unwrap();
            let not_leader = error.not_leader.unwrap();
            assert_eq!(not_leader.region_id, 1);
            // A follower that has not heard of the election yet knows of no leader.
            if let Some(peer) = not_leader.leader {
                assert_eq!((peer.store_id, peer.id), (leader, leader * 100 + 1));
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_hands_its_regions_over_and_comes_back() {
    let mut cluster = Cluster::start().await;
    let leader = cluster.put(1, "a", "1").await;
    cluster.put(2, "n", "1").await;
    cluster.stop_node(leader).await;
    assert!(cluster.leader_of(1).is_some(), "another store leads already when the stop is done");
    cluster.put(1, "a", "2").await;
    cluster.put(2, "n", "2").await;
    cluster.start_node(leader).await;
    assert_eq!((cluster.get(1, "a").await, cluster.get(2, "n").await), ("2".to_owned(), "2".to_owned()));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_quorum_reads_and_writes_are_answered_with_an_error() {
    let mut cluster = Cluster::start().await;
    let leader = cluster.put(1, "a", "1").await;
    for store in STORES.into_iter().filter(|store| *store != leader) {
        cluster.stop_node(store).await;
    }
    let mut client = connect(cluster.node(leader).address()).await;
    let put = RawPutRequest { context: Some(context(1, leader)), key: key("a"), ..Default::default() };
    let refused = client.raw_put(put).await.unwrap().into_inner().region_error;
    assert!(refused.is_some());
    let get = || RawGetRequest { context: Some(context(1, leader)), key: key("a"), ..Default::default() };
    // Until its lease ends it may still read.
    while client.raw_get(get()).await.unwrap().into_inner().region_error.is_none() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let back = STORES.into_iter().find(|store| *store != leader).unwrap();
    cluster.start_node(back).await;
    cluster.put(1, "a", "3").await;
    assert_eq!(cluster.get(1, "a").await, "3");
    drop(client);
    cluster.stop().await;
}
