//! KvScan.
//! Many keys of one snapshot: an obstacle on one of them does not hide the others.

use nokv_proto::kvrpcpb::{KvPair, ScanRequest};

use crate::rig::{Rig, context, key, text};

fn seen(pairs: &[KvPair]) -> Vec<String> {
    let one = |pair: &KvPair| match &pair.error {
        Some(error) => format!("{}: locked by {}", text(&pair.key), error.locked.as_ref().unwrap().lock_version),
        None => format!("{}={}", text(&pair.key), text(&pair.value)),
    };
    pairs.iter().map(one).collect()
}

#[tokio::test]
async fn a_limit_of_zero_gives_nothing_and_others_that_many() {
    let mut rig = Rig::start().await;
    rig.write(1, 10, 20, &[("a", "1"), ("b", "2"), ("c", "3")]).await;
    assert!(rig.scan(1, "", 0, 30).await.is_empty());
    assert_eq!(seen(&rig.scan(1, "", 2, 30).await), ["a=1", "b=2"]);
    assert_eq!(seen(&rig.scan(1, "b", 10, 30).await), ["b=2", "c=3"]);
    assert_eq!(seen(&rig.scan(1, "bb", 10, 30).await), ["c=3"]);
    assert!(rig.scan(1, "", 10, 19).await.is_empty(), "nothing is there yet at 19");
    rig.stop().await;
}

#[tokio::test]
async fn a_locked_key_is_told_and_the_scan_goes_on() {
    let mut rig = Rig::start().await;
    rig.write(1, 10, 20, &[("a", "1"), ("b", "2"), ("d", "4")]).await;
    rig.lock(1, 30, &[("b", "x"), ("c", "x")]).await;
    assert_eq!(seen(&rig.scan(1, "", 10, 30).await), ["a=1", "b: locked by 30", "c: locked by 30", "d=4"]);
    assert_eq!(seen(&rig.scan(1, "", 10, 29).await), ["a=1", "b=2", "d=4"]);
    rig.stop().await;
}

#[tokio::test]
async fn it_stops_at_the_end_of_the_region() {
    let mut rig = Rig::start().await;
    rig.write(1, 10, 20, &[("k", "1"), ("l", "2")]).await;
    rig.write(2, 11, 21, &[("m", "3"), ("n", "4")]).await;
    rig.lock(2, 12, &[("z", "x")]).await;
    assert_eq!(seen(&rig.scan(1, "", 10, 30).await), ["k=1", "l=2"]);
    assert_eq!(seen(&rig.scan(2, "m", 10, 30).await), ["m=3", "n=4", "z: locked by 12"]);
    let beyond = ScanRequest { end_key: key("zz"), ..request("", 10) };
    assert_eq!(seen(&rig.client.kv_scan(beyond).await.unwrap().into_inner().pairs), ["k=1", "l=2"]);
    rig.stop().await;
}

#[tokio::test]
async fn ends_directions_and_keys_alone() {
    let mut rig = Rig::start().await;
    rig.write(1, 10, 20, &[("a", "1"), ("b", "2"), ("c", "3"), ("l", "4")]).await;
    rig.write(2, 11, 21, &[("n", "5")]).await;
    for (asked, expected) in [
        (ScanRequest { end_key: key("c"), ..request("a", 10) }, &["a=1", "b=2"][..]),
        (ScanRequest { end_key: key("b"), ..request("b", 10) }, &[]),
        (ScanRequest { reverse: true, ..request("c", 10) }, &["b=2", "a=1"]),
        (ScanRequest { reverse: true, ..request("m", 2) }, &["l=4", "c=3"]),
        (ScanRequest { reverse: true, ..request("", 1) }, &["l=4"]),
        (ScanRequest { reverse: true, end_key: key("b"), ..request("l", 10) }, &["c=3", "b=2"]),
        (ScanRequest { key_only: true, ..request("c", 1) }, &["c="]),
    ] {
        let response = rig.client.kv_scan(asked.clone()).await.unwrap().into_inner();
        assert_eq!(response.region_error, None, "{asked:?}");
        assert_eq!(seen(&response.pairs), expected, "{asked:?}");
    }
    rig.stop().await;
}

fn request(start: &str, limit: u32) -> ScanRequest {
    ScanRequest { context: Some(context(1)), start_key: key(start), limit, version: 30, ..Default::default() }
}
