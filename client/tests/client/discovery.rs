//! A client that is given addresses only.
//! It asks the stores for their regions and for each other, and bears with those that do not answer.

use std::sync::Arc;

use nokv_client::{Client, DiscoveringDirectory, Error, Options, ScanRange};

use crate::cluster::{Cluster, address};

fn client(cluster: &Cluster, stores: impl IntoIterator<Item = u64>) -> Client {
    let cluster = Arc::new(cluster.clone());
    let directory = DiscoveringDirectory::new(cluster.clone(), stores.into_iter().map(address));
    Client::new(cluster.clone(), cluster, Arc::new(directory), Options { seed: 42, ..Options::default() })
}

#[tokio::test(start_paused = true)]
async fn regions_and_stores_are_found_by_asking() {
    let cluster = Cluster::new();
    cluster.split("v", 77);
    cluster.lead(2, Some(1));
    let client = client(&cluster, [3, 1, 2]);
    for key in ["apple", "kiwi", "quince", "walnut"] {
        client.put(key, "1").await.unwrap();
    }
    assert_eq!(client.scan(ScanRange::all(), 10).await.unwrap().len(), 4);
    let trace = cluster.take_trace();
    let wrong: Vec<_> = trace.iter().filter(|line| line.starts_with("Kv") && line.contains(": not leader")).collect();
    assert_eq!(wrong, [""; 0], "leaders were learned with the regions");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_at_first_is_met_later() {
    let cluster = Cluster::new();
    cluster.state.lock().down.insert(1);
    cluster.lead(1, Some(2));
    let client = client(&cluster, [1, 2, 3]);
    client.put("apple", "1").await.unwrap();
    cluster.state.lock().down.clear();
    cluster.lead(1, Some(1));
    client.put("apple", "2").await.unwrap();
    assert_eq!(cluster.committed("apple").as_deref(), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn nobody_at_any_address_is_said_at_the_deadline() {
    let cluster = Cluster::new();
    cluster.state.lock().down.extend([1, 2, 3]);
    let error = client(&cluster, [1, 2]).get("apple").await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable { last, .. } if last.contains("no store answers at")), "{error}");
}
