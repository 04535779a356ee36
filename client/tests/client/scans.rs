//! Scans over regions and pages, with locks in the way and own writes on top.
//! Whatever the pages and regions were, the rows are those of one snapshot, in order, each once.

use std::time::Duration;

use bytes::Bytes;
use nokv_client::{Client, InvalidInput, Options, Pair, RpcError, ScanRange};

use crate::cluster::Cluster;
use crate::faults::{Effect, Fault};

fn shown(rows: &[Pair]) -> Vec<String> {
    let show = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    rows.iter().map(|(key, value)| format!("{}={}", show(key), show(value))).collect()
}

async fn fill(client: &Client) -> Vec<String> {
    let mut transaction = client.begin().await.unwrap();
    let mut keys: Vec<String> = (0..40).map(|n| format!("{}{n:02}", ["a", "h", "k", "p", "z"][n % 5])).collect();
    keys.sort();
    for key in &keys {
        transaction.put(key, "v").unwrap();
    }
    transaction.commit().await.unwrap();
    client.drain().await;
    keys.into_iter().map(|key| format!("{key}=v")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_scan_crosses_regions_and_pages_in_order() {
    let cluster = Cluster::new();
    let client = cluster.client_with(Options { scan_page_rows: 3, ..Options::default() });
    let all = fill(&client).await;
    assert_eq!(shown(&client.scan(ScanRange::all(), 1_000).await.unwrap()), all);
    for limit in [0, 1, 3, 7, 8, 9, 40, 41] {
        let rows = client.scan(ScanRange::all(), limit).await.unwrap();
        assert_eq!(shown(&rows), all[..limit.min(40)], "limit {limit}");
    }
    let rows = client.scan(ScanRange::new("h", "p"), 1_000).await.unwrap();
    let inside: Vec<_> = all.iter().filter(|row| "h" <= row.as_str() && row.as_str() < "p").cloned().collect();
    assert_eq!(shown(&rows), inside);
    let rows = client.scan(ScanRange::new(inside[2].split('=').next().unwrap(), ""), 2).await.unwrap();
    assert_eq!(shown(&rows), inside[2..4]);
    let backwards = client.scan(ScanRange::new("p", "h"), 1).await;
    assert_eq!(backwards, Err(InvalidInput::EmptyRange.into()));
}

#[tokio::test(start_paused = true)]
async fn a_scan_follows_splits_and_leaders_under_way() {
    let cluster = Cluster::new();
    let client = cluster.client_with(Options { scan_page_rows: 4, ..Options::default() });
    let all = fill(&client).await;
    cluster.split("a20", 4);
    cluster.fail(Fault::before("KvScan", |state| state.split("k", 5)).times(1).in_region(2));
    cluster.lead(3, Some(1));
    cluster.fail(Fault::once("KvScan", Effect::LoseReply).in_region(3));
    assert_eq!(shown(&client.scan(ScanRange::all(), 1_000).await.unwrap()), all);
}

#[tokio::test(start_paused = true)]
async fn locks_in_a_scans_way_are_resolved() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let all = fill(&client).await;
    // Secondaries all over the place that stay locked, of a transaction that is committed.
    cluster.fail(Fault::always("KvCommit", Effect::Swallow).in_region(1));
    cluster.fail(Fault::always("KvCommit", Effect::Swallow).in_region(3));
    let mut transaction = client.begin().await.unwrap();
    for key in ["k02", "a05", "a50", "z04"] {
        transaction.put(key, "new").unwrap();
    }
    // The first key would be the primary: make it one whose region commits.
    let mutations = ["k02", "a05", "a50", "z04"].map(|key| nokv_client::Mutation::put(key, "new"));
    client.two_phase_commit("k02", mutations.to_vec(), transaction.start_ts()).await.unwrap();
    client.drain().await;
    assert_eq!(cluster.locked(), ["a05", "a50", "z04"]);
    let mut expected: Vec<String> =
        all.into_iter()
            .map(|row| {
                if ["k02", "a05", "z04"].iter().any(|key| row.starts_with(key)) {
                    row.replace("=v", "=new")
                } else {
                    row
                }
            })
            .collect();
    expected.push("a50=new".to_owned());
    expected.sort();
    assert_eq!(shown(&client.scan(ScanRange::all(), 1_000).await.unwrap()), expected);
    assert_eq!(cluster.locked(), [""; 0]);
    let old = client.scan_at(ScanRange::all(), 1_000, transaction.start_ts()).await.unwrap();
    assert!(old.iter().all(|(_, value)| value == "v"));
}

#[tokio::test(start_paused = true)]
async fn a_scan_waits_for_a_transaction_that_is_about_to_commit() {
    let cluster = Cluster::new();
    let client = cluster.client();
    cluster.fail(Fault::once("KvCommit", Effect::Swallow).in_region(1));
    let mut transaction = client.begin().await.unwrap();
    transaction.put("apple", "1").unwrap();
    transaction.put("kiwi", "1").unwrap();
    let commit = tokio::spawn(transaction.commit());
    while cluster.locked().len() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let rows = client.scan(ScanRange::all(), 10).await.unwrap();
    assert!(rows.is_empty() || rows.len() == 2, "all of it or nothing: {rows:?}");
    commit.await.unwrap().unwrap();
    assert_eq!(client.scan(ScanRange::all(), 10).await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn own_writes_lie_over_the_snapshot() {
    let cluster = Cluster::new();
    let client = cluster.client_with(Options { scan_page_rows: 3, ..Options::default() });
    for key in ["a", "c", "e", "k", "m", "z"] {
        client.put(key, "v").await.unwrap();
    }
    let mut transaction = client.begin().await.unwrap();
    transaction.delete("a").unwrap();
    transaction.delete("k").unwrap();
    transaction.delete("nothing").unwrap();
    transaction.put("b", "own").unwrap();
    transaction.put("e", "own").unwrap();
    transaction.put("zz", "own").unwrap();
    transaction.lock_key("m").unwrap();
    let expected = ["b=own", "c=v", "e=own", "m=v", "z=v", "zz=own"];
    for limit in 0..8 {
        let rows = transaction.scan(ScanRange::all(), limit).await.unwrap();
        assert_eq!(shown(&rows), expected[..limit.min(6)], "limit {limit}");
    }
    let rows = transaction.scan(ScanRange::new("c", "zz"), 10).await.unwrap();
    assert_eq!(shown(&rows), ["c=v", "e=own", "m=v", "z=v"]);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_too_large_is_asked_for_in_smaller_pieces() {
    let cluster = Cluster::new();
    let client = cluster.client_with(Options { scan_page_rows: 20, ..Options::default() });
    let all = fill(&client).await;
    let large = || Effect::Fail(RpcError::TooLarge("at most 15 MiB".to_owned()));
    cluster.fail(Fault::once("KvScan", large()));
    assert_eq!(shown(&client.scan(ScanRange::all(), 1_000).await.unwrap()), all);
    let asked = cluster.take_trace().iter().filter(|line| line.starts_with("KvScan")).count();
    assert!((8..=12).contains(&asked), "pages of five rows: {asked}");
    cluster.fail(Fault::always("KvScan", large()));
    let error = client.scan(ScanRange::all(), 1_000).await.unwrap_err();
    assert!(matches!(error, nokv_client::Error::InvalidInput(InvalidInput::MessageTooLarge { .. })), "{error}");
    cluster.fail(Fault::always("RawScan", large()).times(2));
    client.raw_put("a", "1").await.unwrap();
    assert_eq!(client.raw_scan(ScanRange::all(), 10).await.unwrap().len(), 1);
}
