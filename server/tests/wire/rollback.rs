//! KvBatchRollback.
//! It must be final: whatever of the transaction arrives later finds the mark.

use crate::rig::{Rig, put};

#[tokio::test]
async fn lock_and_value_go_and_the_mark_stays() {
    let mut rig = Rig::start().await;
    let large = "v".repeat(1_000);
    rig.lock(1, 10, &[("a", "1"), ("b", &large)]).await;
    for _ in 0..2 {
        assert_eq!(rig.roll_back(1, 10, &["a", "b"]).await, None);
        assert_eq!(rig.read(1, "a", 30).await, "-");
        assert_eq!(rig.read(1, "b", 30).await, "-");
    }
    assert_eq!(rig.prewrite(1, 10, vec![put("a", "1"), put("b", "2")]).await.len(), 2);
    rig.stop().await;
}

#[tokio::test]
async fn where_nothing_is_the_mark_is_left_all_the_same() {
    let mut rig = Rig::start().await;
    assert_eq!(rig.roll_back(1, 10, &["a"]).await, None);
    assert_eq!(rig.roll_back(1, 10, &[]).await, None);
    assert_eq!(rig.prewrite(1, 10, vec![put("a", "1")]).await.len(), 1);
    rig.stop().await;
}

#[tokio::test]
async fn what_is_committed_stays() {
    let mut rig = Rig::start().await;
    rig.write(1, 10, 20, &[("a", "1")]).await;
    let error = rig.roll_back(1, 10, &["a", "b"]).await.unwrap();
    assert!(!error.abort.is_empty(), "{error:?}");
    assert_eq!(rig.read(1, "a", 30).await, "1");
    assert!(rig.prewrite(1, 10, vec![put("b", "2")]).await.is_empty(), "no mark was left on the other key");
    rig.stop().await;
}

#[tokio::test]
async fn another_transactions_lock_stays() {
    let mut rig = Rig::start().await;
    rig.lock(1, 15, &[("a", "theirs")]).await;
    assert_eq!(rig.roll_back(1, 10, &["a"]).await, None);
    assert_eq!(rig.commit(1, 15, 25, &["a"]).await, None);
    assert_eq!(rig.read(1, "a", 25).await, "theirs");
    assert_eq!(rig.prewrite(1, 10, vec![put("a", "1")]).await.len(), 1);
    rig.stop().await;
}
