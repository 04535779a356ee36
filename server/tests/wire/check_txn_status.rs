//! KvCheckTxnStatus. Its answers are (lock_ttl, commit_version, action).
//! A reader decides by them whether to wait, to roll forward or to roll back.

use crate::rig::{Rig, TTL_MS, ms, put};

const START: u64 = 1_000;

#[tokio::test]
async fn a_lock_lives_by_physical_time_alone() {
    let mut rig = Rig::start().await;
    let start = ms(START) + 7;
    rig.lock(1, start, &[("a", "1")]).await;
    let last_moment = ms(START + TTL_MS) - 1;
    assert_eq!(rig.status(1, "a", start, last_moment).await, (TTL_MS, 0, 0));
    assert_eq!(rig.read(1, "a", ms(9_000)).await, "locked");
    assert_eq!(rig.status(1, "a", start, ms(START + TTL_MS)).await, (0, 0, 1), "TTLExpireRollback");
    assert_eq!(rig.read(1, "a", ms(9_000)).await, "-");
    assert_eq!(rig.status(1, "a", start, ms(9_000)).await, (0, 0, 0), "rolled back, and known to be");
    rig.stop().await;
}

#[tokio::test]
async fn what_is_decided_is_told() {
    let mut rig = Rig::start().await;
    rig.write(1, 10, 20, &[("a", "1")]).await;
    assert_eq!(rig.status(1, "a", 10, ms(9_000)).await, (0, 20, 0));
    rig.lock(1, 30, &[("b", "1")]).await;
    assert_eq!(rig.roll_back(1, 30, &["b"]).await, None);
    assert_eq!(rig.status(1, "b", 30, ms(9_000)).await, (0, 0, 0));
    rig.stop().await;
}

#[tokio::test]
async fn where_nothing_is_a_mark_is_left() {
    let mut rig = Rig::start().await;
    assert_eq!(rig.status(1, "a", 10, ms(1)).await, (0, 0, 2), "LockNotExistRollback");
    assert_eq!(rig.prewrite(1, 10, vec![put("a", "late")]).await.len(), 1);
    rig.lock(1, 20, &[("b", "theirs")]).await;
    assert_eq!(rig.status(1, "b", 10, ms(1)).await, (0, 0, 2));
    assert_eq!(rig.commit(1, 20, 30, &["b"]).await, None, "another transaction's lock stays");
    assert_eq!(rig.read(1, "b", 30).await, "theirs");
    rig.stop().await;
}
