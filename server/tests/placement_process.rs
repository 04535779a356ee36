//! Placement as real processes and as a stranger's client sees it: one node that is a whole cluster, and nodes that
//! join it by one flag.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

#[allow(dead_code, reason = "each test program uses another part of it")]
mod process;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nokv_proto::metapb::{Region, Store};
use nokv_proto::pdpb::pd_client::PdClient;
use nokv_proto::pdpb::*;
use nokv_proto::schedulerpb::scheduler_client::SchedulerClient;
use nokv_server::node::NodeOptions;
use nokv_transport::StoreId;
use tempfile::TempDir;
use tonic::transport::Channel;

/// Far beyond anything that should happen.
const PATIENCE: Duration = Duration::from_secs(90);

/// A node that serves, killed when it is dropped.
struct Node {
    child: Child,
    address: String,
}

impl Node {
    fn start(workdir: &Path, store: u64, flags: &[&str]) -> Node {
        let id = store.to_string();
        let mut all = vec!["serve", "--workdir", workdir.to_str().unwrap(), "--store-id", &id, "--status-addr", "off"];
        all.extend(flags);
        let mut child = process::nokv(&all).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.find_map(|line| line.ok().filter(|line| line.starts_with("ready:"))).expect("it serves");
        let address = ready.split("gRPC on ").nth(1).unwrap().split(',').next().unwrap().to_owned();
        Node { child, address }
    }

    async fn pd(&self) -> PdClient<Channel> {
        PdClient::connect(format!("http://{}", self.address)).await.unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again until there is an answer that `is_right`.
async fn until<T: std::fmt::Debug, F>(what: &str, mut ask: impl FnMut() -> F, is_right: impl Fn(&T) -> bool) -> T
where
    F: Future<Output = Result<T, tonic::Status>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask().await;
        match answer {
            Ok(answer) if is_right(&answer) => return answer,
            answer if Instant::now() >= deadline => panic!("{what}: {answer:?}"),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn members(node: &Node) -> GetMembersResponse {
    let ask = || async { Ok(node.pd().await.get_members(GetMembersRequest::default()).await?.into_inner()) };
    until("members", ask, |it: &GetMembersResponse| it.leader.is_some()).await
}

fn header(cluster_id: u64) -> Option<RequestHeader> {
    Some(RequestHeader { cluster_id, ..RequestHeader::default() })
}

/// The highest of `count` timestamps.
async fn timestamp(pd: &mut PdClient<Channel>, cluster_id: u64, count: u32) -> u64 {
    let request = TsoRequest { header: header(cluster_id), count, dc_location: "global".to_owned() };
    let mut answers = pd.tso(tokio_stream::iter([request.clone(), request])).await.unwrap().into_inner();
    let mut last = 0;
    for _ in 0..2 {
        let answer = answers.message().await.unwrap().expect("one answer for each request");
        assert_eq!(answer.count, count);
        assert_eq!(answer.header.unwrap().cluster_id, cluster_id);
        let Timestamp { physical, logical, .. } = answer.timestamp.unwrap();
        let highest = u64::try_from(physical << 18 | logical).unwrap();
        assert!(highest >= last + u64::from(count), "{highest} after {last}");
        last = highest;
    }
    last
}

async fn region_of(node: &Node, key: &'static [u8]) -> GetRegionResponse {
    let ask = || async {
        let request = GetRegionRequest { region_key: key.into(), ..GetRegionRequest::default() };
        Ok(node.pd().await.get_region(request).await?.into_inner())
    };
    until("the region's leader", ask, |it: &GetRegionResponse| it.leader.is_some()).await
}

#[tokio::test]
async fn a_node_alone_is_a_whole_cluster() {
    let folder = TempDir::new().unwrap();
    let flags = ["--addr", "127.0.0.1:0"];
    let node = Node::start(folder.path(), 1, &flags);
    let found = members(&node).await;
    let cluster_id = found.header.as_ref().unwrap().cluster_id;
    assert_ne!(cluster_id, 0);
    let leader = found.leader.unwrap();
    assert_eq!(
        (leader.name.as_str(), leader.client_urls[0].as_str()),
        ("store-1", &*format!("http://{}", node.address))
    );

    let mut pd = node.pd().await;
    let first = timestamp(&mut pd, cluster_id, 10).await;
    let stores = pd.get_all_stores(GetAllStoresRequest::default()).await.unwrap().into_inner().stores;
    assert_eq!(stores.iter().map(|store| (store.id, &store.address)).collect::<Vec<_>>(), [(1, &node.address)]);
    let region = region_of(&node, b"any").await;
    assert_eq!((region.leader.unwrap().store_id, region.region.as_ref().unwrap().id), (1, 1));

    // Ids for a split, and then others: none twice, and none that the first region has.
    let asked = AskSplitRequest { region: region.region.clone(), ..AskSplitRequest::default() };
    let split = pd.ask_split(asked).await.unwrap().into_inner();
    let other = pd.alloc_id(AllocIdRequest::default()).await.unwrap().into_inner().id;
    assert_eq!(split.new_peer_ids.len(), 1);
    assert!(split.new_region_id > 1 && split.new_peer_ids[0] > split.new_region_id && other > split.new_peer_ids[0]);

    // TinyKV's name for the same.
    let mut scheduler = SchedulerClient::connect(format!("http://{}", node.address)).await.unwrap();
    let answer = scheduler.is_bootstrapped(IsBootstrappedRequest { header: header(cluster_id) }).await.unwrap();
    assert!(answer.into_inner().bootstrapped);
    let again = BootstrapRequest { header: header(cluster_id), store: Some(Store::default()), region: None };
    let refused = scheduler.bootstrap(again).await.unwrap().into_inner().header.unwrap().error.unwrap();
    assert_eq!(refused.r#type(), ErrorType::AlreadyBootstrapped);

    // Another cluster's client is told so, whatever it asks.
    let stranger = pd.get_region(GetRegionRequest { header: header(cluster_id ^ 2), ..Default::default() }).await;
    assert!(stranger.unwrap_err().message().contains("cluster"));

    // Killed and started again, it is the same cluster, and time goes on.
    drop(node);
    let node = Node::start(folder.path(), 1, &flags);
    assert_eq!(members(&node).await.header.unwrap().cluster_id, cluster_id);
    assert!(timestamp(&mut node.pd().await, cluster_id, 1).await > first);
    assert_eq!(region_of(&node, b"").await.region, region.region);
    let more = node.pd().await.alloc_id(AllocIdRequest::default()).await.unwrap().into_inner().id;
    assert!(more > other);
}

#[tokio::test]
async fn stores_join_by_one_flag_and_get_replicas() {
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap()];
    // However full the disk of this machine is.
    let flags = ["--addr", "127.0.0.1:0", "--min-free-percent", "0"];
    let first = Node::start(folders[0].path(), 1, &flags);
    members(&first).await;
    let joining = ["--addr", "127.0.0.1:0", "--join", &first.address];
    let _second = Node::start(folders[1].path(), 2, &joining);
    let _third = Node::start(folders[2].path(), 3, &joining);
    let ask = || async {
        Ok(first.pd().await.get_region(GetRegionRequest::default()).await?.into_inner().region.unwrap_or_default())
    };
    let voters = |region: &Region| {
        let mut stores: Vec<u64> = region.peers.iter().filter(|it| it.role == 0).map(|it| it.store_id).collect();
        stores.sort_unstable();
        stores
    };
    until("three replicas", ask, |region: &Region| voters(region) == [1, 2, 3]).await;

    // The same id from another directory, and another id at the same address.
    let stores = first.pd().await.get_all_stores(GetAllStoresRequest::default()).await.unwrap().into_inner().stores;
    let second = stores.iter().find(|store| store.id == 2).unwrap();
    let mut request = tonic::Request::new(PutStoreRequest { store: Some(second.clone()), ..Default::default() });
    request.metadata_mut().insert("nokv-directory", "12345".parse().unwrap());
    let refused = first.pd().await.put_store(request).await.unwrap().into_inner().header.unwrap().error.unwrap();
    assert!(refused.message.contains("another directory"), "{}", refused.message);
    let taken = PutStoreRequest { store: Some(Store { id: 9, ..second.clone() }), ..Default::default() };
    let refused = first.pd().await.put_store(taken).await.unwrap().into_inner().header.unwrap().error.unwrap();
    assert!(refused.message.contains("store 2 is at"), "{}", refused.message);
}

/// A bound as regions have it.
fn bound(key: &str) -> Bytes {
    nokv_percolator::Key::encode(key.as_bytes()).into_encoded()
}

async fn split(pd: &mut PdClient<Channel>, keys: &[&str]) -> SplitRegionsResponse {
    let split_keys = keys.iter().map(|key| bound(key)).collect();
    pd.split_regions(SplitRegionsRequest { split_keys, ..Default::default() }).await.unwrap().into_inner()
}

#[tokio::test]
async fn regions_are_cut_where_asked_and_found_in_every_way() {
    let folder = TempDir::new().unwrap();
    let node = Node::start(folder.path(), 1, &["--addr", "127.0.0.1:0"]);
    let cluster_id = members(&node).await.header.unwrap().cluster_id;
    let first = region_of(&node, b"").await.region.unwrap().id;
    let mut pd = node.pd().await;
    let done = split(&mut pd, &["d", "m", "t"]).await;
    assert_eq!((done.finished_percentage, done.regions_id.len()), (100, 3));
    // What is cut already is cut.
    assert_eq!(split(&mut pd, &["m"]).await.regions_id, [done.regions_id[1]]);
    let nothing = pd.split_regions(SplitRegionsRequest::default()).await;
    assert_eq!(nothing.unwrap_err().code(), tonic::Code::InvalidArgument);

    // Many questions on one stream; each answer has an entry for each key, and describes each region once.
    let keys = [bound("a"), bound("e"), bound("d"), bound("zz")];
    let question = QueryRegionRequest {
        header: header(cluster_id),
        keys: keys.to_vec(),
        prev_keys: vec![bound("e"), bound("a")],
        ids: vec![done.regions_id[1], 999_999],
        ..QueryRegionRequest::default()
    };
    let answers = pd.query_region(tokio_stream::iter([question.clone(), QueryRegionRequest::default(), question]));
    let mut answers = answers.await.unwrap().into_inner();
    let [d, m, t] = [0, 1, 2].map(|at| done.regions_id[at]);
    for at in 0..3 {
        let answer = answers.message().await.unwrap().expect("one answer for each question");
        assert_eq!(answer.header.unwrap().cluster_id, cluster_id);
        if at == 1 {
            assert!(answer.key_id_map.is_empty() && answer.regions_by_id.is_empty());
            continue;
        }
        assert_eq!(answer.key_id_map, [first, d, d, t]);
        assert_eq!(answer.prev_key_id_map, [first, 0], "before the first region there is none");
        let mut told: Vec<u64> = answer.regions_by_id.keys().copied().collect();
        told.sort_unstable();
        let mut known = vec![first, d, m, t];
        known.sort_unstable();
        assert_eq!(told, known, "and nothing of a region that nobody knows");
        assert!(answer.regions_by_id.iter().all(|(id, it)| it.region.as_ref().is_some_and(|region| region.id == *id)));
    }

    // Ranges: a region that two of them share is told once; with a limit it ends early.
    let range = |start: &str, end: &str| {
        let bound = |key: &str| if key.is_empty() { Bytes::new() } else { bound(key) };
        KeyRange { start_key: bound(start), end_key: bound(end) }
    };
    let ask = BatchScanRegionsRequest {
        header: header(cluster_id),
        ranges: vec![range("a", "e"), range("e", "f"), range("u", "")],
        contain_all_key_range: true,
        ..BatchScanRegionsRequest::default()
    };
    let found = pd.batch_scan_regions(ask.clone()).await.unwrap().into_inner().regions;
    let ids = |regions: &[nokv_proto::pdpb::Region]| -> Vec<u64> {
        regions.iter().map(|it| it.region.as_ref().unwrap().id).collect()
    };
    assert_eq!(ids(&found), [first, d, t]);
    let limited = BatchScanRegionsRequest { limit: 2, ..ask };
    assert_eq!(ids(&pd.batch_scan_regions(limited).await.unwrap().into_inner().regions), [first, d]);
}

#[tokio::test]
async fn regions_of_a_group_are_spread() {
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let one_replica = ["--addr", "127.0.0.1:0", "--min-free-percent", "0", "--replicas", "1", "--region-min-mib", "0"];
    let first = Node::start(folders[0].path(), 1, &one_replica);
    members(&first).await;
    let _second = Node::start(folders[1].path(), 2, &["--addr", "127.0.0.1:0", "--join", &first.address]);
    let pd = first.pd().await;
    let split_keys = ["d", "h", "m", "t"].map(bound).to_vec();
    let ask = || async {
        let request = SplitAndScatterRegionsRequest { split_keys: split_keys.clone(), ..Default::default() };
        Ok(pd.clone().split_and_scatter_regions(request).await?.into_inner())
    };
    let all = |it: &SplitAndScatterRegionsResponse| it.scatter_finished_percentage == 100;
    let done = until("four regions to be spread", ask, all).await;
    assert_eq!((done.split_finished_percentage, done.regions_id.len()), (100, 4));
    let where_they_are = || async {
        let mut stores = Vec::new();
        for region_id in done.regions_id.clone() {
            let request = GetRegionByIdRequest { region_id, ..Default::default() };
            let region = pd.clone().get_region_by_id(request).await?.into_inner().region.unwrap_or_default();
            stores.extend(region.peers.iter().map(|peer| peer.store_id));
        }
        stores.sort_unstable();
        Ok(stores)
    };
    until("two on each store", where_they_are, |stores: &Vec<u64>| stores[..] == [1, 1, 2, 2]).await;
    let request = ScatterRegionRequest { regions_id: vec![999_999], ..Default::default() };
    let refused = pd.clone().scatter_region(request).await.unwrap().into_inner();
    assert_eq!(refused.failed_regions_id, [999_999]);
    assert_eq!(refused.header.unwrap().error.unwrap().r#type(), ErrorType::RegionNotFound);
}

#[tokio::test]
async fn a_node_of_another_version_is_refused_and_nothing_changes() {
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let first = Node::start(folders[0].path(), 1, &["--addr", "127.0.0.1:0"]);
    members(&first).await;
    let newer = |version: &str| {
        let mut options = NodeOptions::new(StoreId(0), folders[1].path(), "127.0.0.1:0");
        (options.join, options.version) = (vec![first.address.clone()], version.to_owned());
        nokv_server::node::Node::start(
            options,
            slog::Logger::root(slog::Discard, slog::o!()),
            Arc::new(|why| panic!("{why}")),
        )
    };
    let stores =
        || async { first.pd().await.get_all_stores(GetAllStoresRequest::default()).await.unwrap().into_inner() };
    let before = stores().await;
    let said = newer("7.1.0").await.expect_err("it must not join").to_string();
    assert!(said.contains("version 7.1.0 does not go with this cluster"), "{said}");
    assert_eq!(stores().await.stores.len(), before.stores.len());
    // Its directory was given nothing: with a version that fits, the same one joins as if it were new.
    let node = newer("0.99.3").await.expect("it joins");
    let told = stores().await.stores;
    assert_eq!(told.iter().find(|store| store.id == node.store().0).unwrap().version, "0.99.3");
    node.stop().await;
}

/// Addresses that were free a moment ago: nodes that name each other cannot take any port.
fn free_addresses(count: usize) -> Vec<String> {
    let held: Vec<_> = (0..count).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect()
}

#[tokio::test]
async fn placement_survives_its_leader_and_time_never_goes_back() {
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap()];
    let addresses = free_addresses(3);
    let flag = |store: usize| format!("{}={}", store + 1, addresses[store]);
    let start = |store: usize| {
        let peers = [flag((store + 1) % 3), flag((store + 2) % 3)];
        let flags = ["--addr", &addresses[store], "--peer", &peers[0], "--peer", &peers[1]];
        Node::start(folders[store].path(), store as u64 + 1, &flags)
    };
    let mut nodes: Vec<Option<Node>> = (0..3).map(|store| Some(start(store))).collect();
    let mut last = 0;
    let mut cluster = 0;
    for _ in 0..3 {
        // Any node says who leads; the others send their askers there.
        let asked = nodes.iter().flatten().next_back().unwrap();
        let found = members(asked).await;
        assert_eq!(found.members.len(), 3);
        let cluster_id = found.header.unwrap().cluster_id;
        assert!(cluster == 0 || cluster == cluster_id, "it is another cluster all at once");
        cluster = cluster_id;
        let leader = usize::try_from(found.leader.unwrap().member_id).unwrap() - 1;
        let Some(node) = &nodes[leader] else { continue };
        let follower = nodes.iter().flatten().find(|other| other.address != node.address).unwrap();
        let refused = follower.pd().await.get_region(GetRegionRequest::default()).await;
        assert!(refused.unwrap_err().message().contains("not leader"));
        for _ in 0..20 {
            let Ok(highest) = try_timestamp(node, cluster_id).await else { break };
            assert!(highest > last, "{highest} after {last}");
            last = highest;
        }
        // Killed without a word; another one takes over, and this one comes back as a follower.
        nodes[leader] = None;
        let asked = nodes.iter().flatten().next().unwrap();
        let ask = || async {
            let members = asked.pd().await.get_members(GetMembersRequest::default()).await?.into_inner();
            let now = usize::try_from(members.leader.unwrap().member_id).unwrap() - 1;
            let node = nodes[now].as_ref().ok_or_else(|| tonic::Status::unavailable("the dead one"))?;
            try_timestamp(node, cluster_id).await
        };
        let highest = until("timestamps from another leader", ask, |highest: &u64| *highest > 0).await;
        assert!(highest > last, "{highest} after {last}");
        last = highest;
        nodes[leader] = Some(start(leader));
    }
    assert!(last > 0);
}

async fn try_timestamp(node: &Node, cluster_id: u64) -> Result<u64, tonic::Status> {
    let request = TsoRequest { header: header(cluster_id), count: 3, ..TsoRequest::default() };
    let mut answers = node.pd().await.tso(tokio_stream::iter([request])).await?.into_inner();
    let answer = answers.message().await?.ok_or_else(|| tonic::Status::unavailable("no answer"))?;
    let Timestamp { physical, logical, .. } = answer.timestamp.unwrap_or_default();
    Ok(u64::try_from(physical << 18 | logical).unwrap())
}
