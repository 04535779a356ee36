//! Regions that come, go and move under a client that asks the stores where things are now: under a scan, between the
//! two phases of a commit, and before a client has ever seen them.

use nokv_client::{Options, ReadFrom, ScanRange};

use crate::cluster::Cluster;
use crate::faults::Fault;

const KEYS: [&str; 6] = ["apple", "banana", "kiwi", "melon", "quince", "walnut"];

async fn fill(client: &nokv_client::Client) {
    let mut transaction = client.begin().await.unwrap();
    KEYS.iter().for_each(|key| transaction.put(*key, *key).unwrap());
    transaction.commit().await.unwrap();
    client.drain().await;
}

#[tokio::test(start_paused = true)]
async fn regions_that_the_topology_does_not_know_are_found_at_once() {
    let cluster = Cluster::new();
    let client = cluster.asking_client();
    cluster.split("m", 77);
    cluster.state.lock().merge(77);
    cluster.lead(77, Some(2));
    client.get("melon").await.unwrap();
    client.get("walnut").await.unwrap();
    assert_eq!(
        cluster.take_trace(),
        ["KvGet region 77 store 2 [melon]: ok", "KvGet region 77 store 2 [walnut]: ok"],
        "nobody was asked in vain"
    );
}

#[tokio::test(start_paused = true)]
async fn a_region_that_was_merged_away_is_found_in_its_heir() {
    let cluster = Cluster::new();
    let client = cluster.asking_client();
    fill(&client).await;
    cluster.state.lock().merge(1);
    assert_eq!(client.get("kiwi").await.unwrap().unwrap(), "kiwi");
    client.put("kiwi", "2").await.unwrap();
    assert_eq!(cluster.committed("kiwi").as_deref(), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn a_scan_sees_each_row_once_while_regions_come_and_go() {
    let cluster = Cluster::new();
    let client = cluster.asking_client();
    fill(&client).await;
    cluster.fail(Fault::before("KvScan", |state| state.split("banana", 71)).in_region(1));
    cluster.fail(Fault::before("KvScan", |state| state.merge(71)).in_region(2));
    cluster.fail(Fault::before("KvScan", |state| state.split("r", 72)).in_region(3));
    let rows = client.scan(ScanRange::all(), 100).await.unwrap();
    assert_eq!(rows.iter().map(|(key, _)| key.as_ref()).collect::<Vec<_>>(), KEYS.map(str::as_bytes));
}

#[tokio::test(start_paused = true)]
async fn a_transaction_whose_keys_are_split_apart_and_merged_between_its_phases_commits() {
    let cluster = Cluster::new();
    let client = cluster.asking_client();
    cluster.fail(Fault::before("KvCommit", |state| {
        state.split("banana", 71);
        state.merge(71);
        state.split("kiwi", 72);
    }));
    fill(&client).await;
    assert_eq!(client.background_failures(), 0);
    assert_eq!(cluster.locked(), [""; 0]);
    for key in KEYS {
        assert_eq!(cluster.committed(key).as_deref(), Some(key));
    }
}

/// The fake stores serve no read where they follow: each first try that is not the leader's costs a second one, and the
/// leader is remembered all the same.
#[tokio::test(start_paused = true)]
async fn reads_go_to_replicas_in_turn_and_to_the_leader_where_one_cannot() {
    let cluster = Cluster::new();
    let client = cluster.client_with(Options { read_from: ReadFrom::Replicas, ..Options::default() });
    for _ in 0..3 {
        client.get("apple").await.unwrap();
    }
    assert_eq!(
        cluster.take_trace(),
        [
            "KvGet region 1 store 1 [apple]: ok",
            "KvGet region 1 store 2 [apple]: not leader",
            "KvGet region 1 store 1 [apple]: ok",
            "KvGet region 1 store 3 [apple]: not leader",
            "KvGet region 1 store 1 [apple]: ok",
        ]
    );
    client.put("apple", "1").await.unwrap();
    assert!(cluster.take_trace().iter().all(|line| line.contains("store 1")), "only reads go elsewhere");
}
