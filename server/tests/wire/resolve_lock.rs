//! KvResolveLock.
//! It ends what a dead client left behind: all of one transaction's locks, in as many batches as it takes.

use nokv_proto::kvrpcpb::{ResolveLockRequest, TxnInfo};

use crate::rig::{Rig, bytes_of, context};

#[tokio::test]
async fn zero_rolls_back_and_a_version_commits_every_lock_of_the_region() {
    let mut rig = Rig::start().await;
    rig.lock(1, 10, &[("a", "1"), ("c", "3")]).await;
    rig.lock(1, 11, &[("b", "2"), ("d", "4")]).await;
    rig.lock(2, 10, &[("x", "1")]).await;
    assert_eq!(rig.resolve(1, 10, 20).await, None);
    assert_eq!(rig.resolve(1, 11, 0).await, None);
    for (key, seen) in [("a", "1"), ("b", "-"), ("c", "3"), ("d", "-")] {
        assert_eq!(rig.read(1, key, 30).await, seen, "{key}");
    }
    assert_eq!(rig.read(2, "x", 30).await, "locked", "the other region is not concerned");
    assert_eq!(rig.resolve(2, 10, 20).await, None);
    assert_eq!(rig.read(2, "x", 30).await, "1");
    rig.stop().await;
}

#[tokio::test]
async fn none_is_fine() {
    let mut rig = Rig::start().await;
    assert_eq!(rig.resolve(1, 10, 0).await, None);
    assert_eq!(rig.resolve(1, 10, 20).await, None);
    rig.stop().await;
}

#[tokio::test]
async fn a_version_up_to_the_start_is_refused() {
    let mut rig = Rig::start().await;
    rig.lock(1, 10, &[("a", "1")]).await;
    assert!(rig.resolve(1, 10, 10).await.is_some());
    assert_eq!(rig.read(1, "a", 30).await, "locked");
    rig.stop().await;
}

#[tokio::test]
async fn more_locks_than_one_batch() {
    let mut rig = Rig::start().await;
    let names: Vec<String> = (0..600).map(|number| format!("k{number:04}")).collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    rig.lock(1, 10, &pairs).await;
    assert_eq!(rig.resolve(1, 10, 20).await, None);
    let found = rig.scan(1, "", 1_000, 30).await;
    assert_eq!(found.len(), 600);
    assert!(found.iter().all(|pair| pair.error.is_none()));
    rig.stop().await;
}

#[tokio::test]
async fn kvprotos_other_two_forms() {
    let mut rig = Rig::start().await;
    rig.lock(1, 10, &[("a", "1"), ("b", "2")]).await;
    rig.lock(1, 11, &[("c", "3")]).await;
    rig.lock(1, 12, &[("d", "4")]).await;
    let listed = ResolveLockRequest {
        context: Some(context(1)),
        start_version: 10,
        commit_version: 20,
        keys: bytes_of(&["a"]),
        ..Default::default()
    };
    assert_eq!(rig.client.kv_resolve_lock(listed).await.unwrap().into_inner(), Default::default());
    assert_eq!((rig.read(1, "a", 30).await, rig.read(1, "b", 30).await), ("1".to_owned(), "locked".to_owned()));
    let info = |txn, status| TxnInfo { txn, status, ..Default::default() };
    let many = ResolveLockRequest {
        context: Some(context(1)),
        txn_infos: vec![info(11, 21), info(12, 0)],
        ..Default::default()
    };
    assert_eq!(rig.client.kv_resolve_lock(many).await.unwrap().into_inner(), Default::default());
    assert_eq!((rig.read(1, "c", 30).await, rig.read(1, "d", 30).await), ("3".to_owned(), "-".to_owned()));
    rig.stop().await;
}
