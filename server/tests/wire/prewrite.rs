//! KvPrewrite.
//! All of a request's keys are locked, or none is and each obstacle is told.

use crate::rig::{Rig, TTL_MS, delete, put};

#[tokio::test]
async fn no_mutations_give_no_errors() {
    let mut rig = Rig::start().await;
    assert!(rig.prewrite(1, 10, vec![]).await.is_empty());
    rig.stop().await;
}

#[tokio::test]
async fn another_transactions_lock_is_told_for_each_key_and_nothing_is_written() {
    let mut rig = Rig::start().await;
    rig.lock(1, 10, &[("b", "x"), ("c", "x")]).await;
    let errors = rig.prewrite(1, 20, vec![put("a", "1"), put("b", "2"), put("c", "3")]).await;
    let locked: Vec<_> = errors.iter().map(|error| error.locked.clone().unwrap()).collect();
    assert_eq!(locked.iter().map(|lock| &lock.key[..]).collect::<Vec<_>>(), [b"b", b"c"]);
    assert!(locked.iter().all(|lock| (lock.lock_version, lock.lock_ttl) == (10, TTL_MS)));
    assert!(locked.iter().all(|lock| lock.primary_lock == "b"));
    assert_eq!(rig.read(1, "a", 30).await, "-", "the free key must not be locked either");
    rig.stop().await;
}

#[tokio::test]
async fn an_own_lock_is_fine_and_stays_as_it_was() {
    let mut rig = Rig::start().await;
    rig.lock(1, 10, &[("a", "first")]).await;
    rig.lock(1, 10, &[("a", "second")]).await;
    assert_eq!(rig.commit(1, 10, 20, &["a"]).await, None);
    assert_eq!(rig.read(1, "a", 30).await, "first");
    rig.stop().await;
}

#[tokio::test]
async fn a_commit_at_or_after_the_start_is_a_conflict() {
    let mut rig = Rig::start().await;
    rig.write(1, 10, 20, &[("k", "there")]).await;
    for start in [15, 20] {
        let errors = rig.prewrite(1, start, vec![put("c", "1"), put("k", "2")]).await;
        let conflict = errors[0].conflict.clone().unwrap();
        assert_eq!(errors.len(), 1);
        assert_eq!((conflict.start_ts, conflict.conflict_ts, conflict.conflict_commit_ts), (start, 10, 20));
        assert_eq!((&conflict.key[..], &conflict.primary[..]), (&b"k"[..], &b"c"[..]));
        assert_eq!(rig.read(1, "c", 100).await, "-");
    }
    assert!(rig.prewrite(1, 21, vec![put("k", "2")]).await.is_empty());
    rig.stop().await;
}

#[tokio::test]
async fn an_own_rollback_mark_refuses_it_for_ever() {
    let mut rig = Rig::start().await;
    assert_eq!(rig.roll_back(1, 10, &["a"]).await, None);
    for _ in 0..2 {
        let errors = rig.prewrite(1, 10, vec![put("a", "late")]).await;
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(rig.read(1, "a", 100).await, "-");
    }
    assert!(rig.prewrite(1, 11, vec![put("a", "anew")]).await.is_empty(), "others are not concerned");
    rig.stop().await;
}

#[tokio::test]
async fn a_retry_after_the_commit_is_fine_and_locks_nothing() {
    let mut rig = Rig::start().await;
    rig.write(1, 10, 20, &[("a", "value")]).await;
    assert!(rig.prewrite(1, 10, vec![put("a", "value")]).await.is_empty());
    assert_eq!(rig.read(1, "a", 30).await, "value");
    rig.stop().await;
}

#[tokio::test]
async fn of_one_keys_mutations_the_later_wins() {
    let mut rig = Rig::start().await;
    let twice = vec![put("a", "first"), put("b", "gone"), put("a", "second"), delete("b")];
    assert!(rig.prewrite(1, 10, twice).await.is_empty());
    assert_eq!(rig.commit(1, 10, 20, &["a", "b"]).await, None);
    assert_eq!(rig.read(1, "a", 30).await, "second");
    assert_eq!(rig.read(1, "b", 30).await, "-");
    rig.stop().await;
}

#[tokio::test]
async fn a_value_kept_apart_from_its_record_comes_back() {
    let mut rig = Rig::start().await;
    let large = "v".repeat(100_000);
    rig.write(1, 10, 20, &[("a", &large)]).await;
    assert_eq!(rig.read(1, "a", 30).await, large);
    assert!(rig.prewrite(1, 40, vec![put("a", &"w".repeat(1_000))]).await.is_empty());
    assert_eq!(rig.roll_back(1, 40, &["a"]).await, None);
    assert_eq!(rig.read(1, "a", 50).await, large);
    rig.stop().await;
}
