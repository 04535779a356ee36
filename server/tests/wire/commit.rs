//! KvCommit.
//! What it may say depends on the lock alone, and where that is gone, on the record of what became of the transaction.

use nokv_proto::kvrpcpb::{self, Context};
use nokv_proto::tikvpb::tikv_client::TikvClient;

use crate::rig::{Rig, TTL_MS, put};

#[tokio::test]
async fn an_own_lock_is_committed_and_asking_again_is_fine() {
    let mut rig = Rig::start().await;
    rig.lock(1, 10, &[("a", "1"), ("b", "2")]).await;
    for _ in 0..2 {
        assert_eq!(rig.commit(1, 10, 20, &["a", "b"]).await, None);
        assert_eq!(rig.read(1, "a", 20).await, "1");
        assert_eq!(rig.read(1, "b", 20).await, "2");
    }
    rig.stop().await;
}

#[tokio::test]
async fn no_keys_and_a_key_twice_are_fine() {
    let mut rig = Rig::start().await;
    assert_eq!(rig.commit(1, 10, 20, &[]).await, None);
    rig.lock(1, 10, &[("a", "1")]).await;
    assert_eq!(rig.commit(1, 10, 20, &["a", "a"]).await, None);
    assert_eq!(rig.read(1, "a", 20).await, "1");
    rig.stop().await;
}

#[tokio::test]
async fn a_rolled_back_transaction_is_refused_for_good() {
    let mut rig = Rig::start().await;
    rig.lock(1, 10, &[("a", "1")]).await;
    assert_eq!(rig.roll_back(1, 10, &["a"]).await, None);
    let error = rig.commit(1, 10, 20, &["a"]).await.unwrap();
    assert!(!error.abort.is_empty(), "{error:?}");
    assert_eq!(rig.read(1, "a", 30).await, "-");
    rig.stop().await;
}

#[tokio::test]
async fn without_a_lock_or_record_it_may_be_tried_again() {
    let mut rig = Rig::start().await;
    rig.lock(1, 10, &[("b", "1")]).await;
    let error = rig.commit(1, 10, 20, &["a", "b"]).await.unwrap();
    assert!(!error.retryable.is_empty(), "{error:?}");
    assert_eq!(rig.read(1, "b", 30).await, "locked", "none is committed if one cannot be");
    rig.stop().await;
}

#[tokio::test]
async fn another_transactions_lock_stays() {
    let mut rig = Rig::start().await;
    rig.lock(1, 15, &[("a", "theirs")]).await;
    let error = rig.commit(1, 10, 20, &["a"]).await.unwrap();
    assert!(!error.retryable.is_empty(), "{error:?}");
    assert_eq!(rig.commit(1, 15, 25, &["a"]).await, None);
    assert_eq!(rig.read(1, "a", 25).await, "theirs");
    rig.stop().await;
}

#[tokio::test]
async fn a_commit_version_up_to_the_start_is_refused() {
    let mut rig = Rig::start().await;
    rig.lock(1, 10, &[("a", "1")]).await;
    for commit in [0, 9, 10] {
        assert!(rig.commit(1, 10, commit, &["a"]).await.is_some(), "at {commit}");
    }
    assert_eq!(rig.read(1, "a", 30).await, "locked");
    assert_eq!(rig.commit(1, 10, 11, &["a"]).await, None);
    rig.stop().await;
}

#[tokio::test]
async fn both_regions_serve_the_same_way() {
    let mut rig = Rig::start().await;
    rig.lock(1, 10, &[("a", "1")]).await;
    assert!(rig.prewrite(2, 10, vec![put("z", "2")]).await.is_empty());
    assert_eq!(rig.commit(1, 10, 20, &["a"]).await, None);
    assert_eq!(rig.read(2, "z", 20).await, "locked");
    assert_eq!(rig.commit(2, 10, 20, &["z"]).await, None);
    assert_eq!((rig.read(1, "a", 20).await, rig.read(2, "z", 20).await), ("1".to_owned(), "2".to_owned()));
    rig.stop().await;
}

#[tokio::test]
async fn a_commit_below_the_locks_bound_may_be_tried_again_and_tikvs_clients_learn_the_bound() {
    let mut rig = Rig::start().await;
    let mut tikv = TikvClient::connect(format!("http://{}", rig.address)).await.unwrap();
    let context = Some(Context { region_id: 1, ..Default::default() });
    let mutation = kvrpcpb::Mutation { key: "k".into(), value: "1".into(), ..Default::default() };
    let prewrite = kvrpcpb::PrewriteRequest {
        context: context.clone(),
        mutations: vec![mutation],
        primary_lock: "k".into(),
        start_version: 10,
        lock_ttl: TTL_MS,
        min_commit_ts: 30,
        // This store has no oracle, so it cannot; the answer must say so.
        try_one_pc: true,
        ..Default::default()
    };
    let answer = tikv.kv_prewrite(prewrite).await.unwrap().into_inner();
    assert_eq!((answer.errors.len(), answer.min_commit_ts, answer.one_pc_commit_ts), (0, 0, 0));
    let commit = kvrpcpb::CommitRequest {
        context,
        start_version: 10,
        keys: vec!["k".into()],
        commit_version: 20,
        ..Default::default()
    };
    let expired = tikv.kv_commit(commit).await.unwrap().into_inner().error.unwrap().commit_ts_expired.unwrap();
    assert_eq!((expired.attempted_commit_ts, expired.min_commit_ts), (20, 30));
    let error = rig.commit(1, 10, 20, &["k"]).await.unwrap();
    assert!(error.commit_ts_expired.is_none() && error.retryable.contains("not before 30"), "{error:?}");
    assert_eq!(rig.commit(1, 10, 30, &["k"]).await, None);
    rig.stop().await;
}
