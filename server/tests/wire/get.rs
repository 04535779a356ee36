//! KvGet.
//! One version of one key: the newest up to the snapshot, or the lock that might still change it.

use crate::rig::{Rig, TTL_MS, delete, lock_only};

#[tokio::test]
async fn the_newest_record_up_to_the_version_counts() {
    let mut rig = Rig::start().await;
    rig.write(1, 10, 20, &[("a", "old"), ("empty", "")]).await;
    rig.write(1, 30, 40, &[("a", "new")]).await;
    for (version, seen) in [(19, "-"), (20, "old"), (39, "old"), (40, "new"), (u64::MAX - 1, "new")] {
        assert_eq!(rig.read(1, "a", version).await, seen, "at {version}");
    }
    let empty = rig.get(1, "empty", 20).await;
    assert!(!empty.not_found && empty.value.is_empty() && empty.error.is_none(), "an empty value is found");
    assert!(rig.get(1, "absent", 20).await.not_found);
    assert!(rig.prewrite(1, 50, vec![delete("a")]).await.is_empty());
    assert_eq!(rig.commit(1, 50, 60, &["a"]).await, None);
    assert_eq!(rig.read(1, "a", 59).await, "new");
    assert_eq!(rig.read(1, "a", 60).await, "-");
    rig.stop().await;
}

#[tokio::test]
async fn a_lock_up_to_the_version_is_told_and_a_later_one_ignored() {
    let mut rig = Rig::start().await;
    rig.write(1, 10, 20, &[("b", "old")]).await;
    rig.lock(1, 30, &[("a", "new"), ("b", "new")]).await;
    for version in [30, 31] {
        let response = rig.get(1, "b", version).await;
        let locked = response.error.unwrap().locked.unwrap();
        assert_eq!((&locked.key[..], &locked.primary_lock[..]), (&b"b"[..], &b"a"[..]));
        assert_eq!((locked.lock_version, locked.lock_ttl), (30, TTL_MS));
        assert!(response.value.is_empty() && !response.not_found);
    }
    assert_eq!(rig.read(1, "b", 29).await, "old");
    assert_eq!(rig.read(1, "a", 29).await, "-");
    rig.stop().await;
}

#[tokio::test]
async fn rollback_and_lock_records_hide_nothing() {
    let mut rig = Rig::start().await;
    rig.write(1, 10, 20, &[("a", "value")]).await;
    assert_eq!(rig.roll_back(1, 30, &["a"]).await, None);
    assert!(rig.prewrite(1, 40, vec![lock_only("a")]).await.is_empty());
    assert_eq!(rig.read(1, "a", 41).await, "value", "a lock that changes nothing stops no reader");
    assert_eq!(rig.commit(1, 40, 50, &["a"]).await, None);
    assert_eq!(rig.read(1, "a", 60).await, "value");
    rig.stop().await;
}

#[tokio::test]
async fn a_larger_live_key_does_not_disturb_a_point_read() {
    let mut rig = Rig::start().await;
    rig.write(1, 10, 20, &[("k", "1"), ("k1", "2"), ("ka", "3")]).await;
    assert_eq!(rig.read(1, "k", 30).await, "1");
    assert_eq!(rig.read(1, "k0", 30).await, "-");
    rig.stop().await;
}
