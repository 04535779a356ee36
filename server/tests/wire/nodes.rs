//! Three nodes: leaders, followers that say who leads, handing over, and coming back.
//! Each test has its own nodes, on directories and ports of their own.

use std::collections::BTreeMap;
use std::time::Duration;

use nokv_proto::kvrpcpb::{Context, GetRequest, RawGetRequest, RawPutRequest};

use crate::cluster::{Cluster, STORES, context};
use crate::rig::{connect, key, text};

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

/// Each read begins after its write was acknowledged, so none may miss it, wherever it is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_serve_reads_that_miss_nothing() {
    let cluster = Cluster::start().await;
    let mut clients = BTreeMap::new();
    for store in STORES {
        clients.insert(store, connect(cluster.node(store).address()).await);
    }
    let mut served_by_followers = 0;
    for round in 0..50 {
        let value = round.to_string();
        let leader = cluster.put(1, "a", &value).await;
        for (store, client) in &mut clients {
            let context = Context { replica_read: true, ..context(1, *store) };
            let answer = loop {
                let get = RawGetRequest { context: Some(context.clone()), key: key("a"), ..Default::default() };
                let answer = client.raw_get(get).await.unwrap().into_inner();
                // A replica that has not heard of the election yet, or one whose leader has just changed.
                if answer.region_error.is_none() {
                    break answer;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            };
            assert_eq!(text(&answer.value), value, "round {round}, store {store}");
            served_by_followers += usize::from(*store != leader);
        }
    }
    assert!(served_by_followers > 0);
    // Keys of another region are refused as they are by the leader.
    let follower = STORES.into_iter().find(|store| cluster.leader_of(1) != Some(*store)).unwrap();
    let context = Some(Context { replica_read: true, ..context(1, follower) });
    let get = RawGetRequest { context, key: key("z"), ..Default::default() };
    let error = clients.get_mut(&follower).unwrap().raw_get(get).await.unwrap().into_inner().region_error.unwrap();
    assert!(error.key_not_in_region.is_some(), "{error:?}");
    drop(clients);
    cluster.stop().await;
}
