//! What happens at the executor's bounds, and that work in bounded parts comes to the same as in one.
//! The bounds are set so low that each is met at once.

use std::sync::atomic::Ordering;

use nokv_engine::{Cf, WriteBatch};
use nokv_percolator::Commit;

use super::super::{RawRange, RegionScan, ResolveRegion};
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_budget_is_answered_with_the_bound() {
    let options = ExecutorOptions { write_commands_max: 1, ..Default::default() };
    let rig = Rig::start(options).await;
    rig.log.hold();
    let executor = rig.executor.clone();
    let first = tokio::spawn(async move { executor.write(&context(1), &prewrite(&["k"], 10)).await });
    rig.log.until_waited_for().await;
    let busy = rig.prewrite("h", 20).await.unwrap_err().to_string();
    assert!(busy.contains("1 writes are under way"), "{busy}");
    rig.log.release();
    first.await.unwrap().unwrap();
    assert_eq!(rig.prewrite("h", 20).await.unwrap(), 0);
}

#[tokio::test]
async fn many_locks_are_resolved_in_bounded_batches() {
    let options = ExecutorOptions { resolve_keys_max: 2, ..Default::default() };
    let rig = Rig::start(options).await;
    let keys = ["a", "b", "c", "d", "e"];
    rig.executor.write(&context(1), &prewrite(&keys, 10)).await.unwrap();
    rig.prewrite("h", 11).await.unwrap();
    let before = rig.last_index(1);
    let resolve = ResolveRegion { start_ts: Timestamp(10), commit_ts: Timestamp(12) };
    rig.executor.resolve_region(&context(1), resolve).await.unwrap().unwrap();
    assert_eq!(rig.last_index(1) - before, 3, "two, two and one");
    let scan = RegionScan { lower: Key::encode(b"a").into_encoded(), limit: 10, ..at(13) };
    let pairs = rig.executor.scan(&context(1), &scan).await.unwrap().unwrap();
    let committed: Vec<&[u8]> = pairs.iter().filter(|pair| pair.result.is_ok()).map(|pair| &pair.key[..]).collect();
    assert_eq!(committed, [b"a", b"b", b"c", b"d", b"e"]);
    assert_eq!(rig.lock_on("h").await, Some(11));
}

#[tokio::test]
async fn keys_too_long_for_one_batch_are_resolved_one_by_one() {
    let options = ExecutorOptions { resolve_bytes_max: 1, ..Default::default() };
    let rig = Rig::start(options).await;
    rig.executor.write(&context(1), &prewrite(&["a", "b", "c"], 10)).await.unwrap();
    let before = rig.last_index(1);
    let resolve = ResolveRegion { start_ts: Timestamp(10), commit_ts: Timestamp::ZERO };
    rig.executor.resolve_region(&context(1), resolve).await.unwrap().unwrap();
    assert_eq!(rig.last_index(1) - before, 3);
    assert_eq!(rig.lock_on("b").await, None);
}

#[tokio::test]
async fn a_scan_in_steps_is_the_scan() {
    let options = ExecutorOptions { scan_step_bytes: 1, ..Default::default() };
    let rig = Rig::start(options).await;
    let keys = ["a", "b", "c", "d"];
    rig.executor.write(&context(1), &prewrite(&keys, 10)).await.unwrap();
    let commit = Commit {
        keys: keys.iter().map(|key| Key::encode(key.as_bytes())).collect(),
        start_ts: Timestamp(10),
        commit_ts: Timestamp(11),
    };
    rig.executor.write(&context(1), &commit).await.unwrap().unwrap();
    for (reverse, limit, expected) in [
        (false, 10, &["a", "b", "c", "d"][..]),
        (false, 3, &["a", "b", "c"]),
        (true, 10, &["d", "c", "b", "a"]),
        (true, 2, &["d", "c"]),
        (false, 0, &[]),
    ] {
        let lower = if reverse { Bytes::new() } else { Key::encode(b"").into_encoded() };
        let scan = RegionScan { lower, limit, reverse, ..at(12) };
        let pairs = rig.executor.scan(&context(1), &scan).await.unwrap().unwrap();
        let found: Vec<&[u8]> = pairs.iter().map(|pair| &pair.key[..]).collect();
        let expected: Vec<&[u8]> = expected.iter().map(|key| key.as_bytes()).collect();
        assert_eq!(found, expected, "reverse {reverse}, limit {limit}");
    }
    for key in keys {
        rig.executor.raw_put(&context(1), key.as_bytes(), b"raw").await.unwrap();
    }
    let range = RawRange { lower: Bytes::from_static(b"b"), limit: 2, ..Default::default() };
    let pairs = rig.executor.raw_scan(&context(1), &range).await.unwrap();
    assert_eq!(pairs.iter().map(|(key, _)| &key[..]).collect::<Vec<_>>(), [b"b", b"c"]);
}

#[tokio::test]
async fn a_scan_that_finds_too_much_is_refused_and_never_cut_short() {
    let options = ExecutorOptions { scan_bytes_max: 20, scan_step_bytes: 8, ..Default::default() };
    let rig = Rig::start(options).await;
    for key in ["a", "b", "c", "d"] {
        rig.executor.raw_put(&context(1), key.as_bytes(), b"12345").await.unwrap();
    }
    let range = |limit| RawRange { limit, ..Default::default() };
    assert_eq!(rig.executor.raw_scan(&context(1), &range(3)).await.unwrap().len(), 3);
    let refused = rig.executor.raw_scan(&context(1), &range(4)).await.unwrap_err();
    assert!(matches!(refused, ExecuteError::AnswerTooLarge { bytes_max: 20 }), "{refused:?}");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_told_to_the_node() {
    let rig = Rig::start(ExecutorOptions::default()).await;
    let mut garbage = WriteBatch::new();
    garbage.put(Cf::Lock, Key::encode(b"k").as_encoded(), b"no lock");
    rig.write_directly(&garbage);
    assert_eq!(rig.failures.load(Ordering::SeqCst), 0);
    let error = rig.prewrite("k", 10).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Machine(_)), "{error:?}");
    assert_eq!(rig.failures.load(Ordering::SeqCst), 1);
}

fn at(version: u64) -> RegionScan {
    RegionScan { read: ReadPoint::snapshot(Timestamp(version)), ..Default::default() }
}
