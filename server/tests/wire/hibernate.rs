//! Regions that sleep on three real nodes: they do, they wake for whoever comes, and a dead leader is missed.
//! What must be waited for is asked for until it is so.

use std::time::Duration;

use nokv_transport::RegionId;

use crate::cluster::{Cluster, STORES};

async fn until_asleep(cluster: &Cluster, region: u64, stores: &[u64]) {
    let sleeps =
        |store: &u64| cluster.node(*store).raftstore().region(RegionId(region)).is_some_and(|status| status.is_asleep);
    while !stores.iter().all(sleeps) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_region_sleeps_on_all_nodes_and_wakes_for_a_request_and_for_a_dead_leader() {
    let mut cluster = Cluster::start().await;
    let leader = cluster.put(1, "a", "1").await;
    until_asleep(&cluster, 1, &STORES).await;
    assert_eq!(cluster.get(1, "a").await, "1");
    cluster.put(1, "a", "2").await;
    cluster.alike(1, &STORES).await;
    until_asleep(&cluster, 1, &STORES).await;
    // It hands over before it goes, which wakes the region; the new leader then waits for the one that is away.
    cluster.stop_node(leader).await;
    assert_eq!(cluster.get(1, "a").await, "2");
    cluster.put(1, "a", "3").await;
    cluster.start_node(leader).await;
    until_asleep(&cluster, 1, &STORES).await;
    assert_eq!(cluster.get(1, "a").await, "3");
    cluster.stop().await;
}
