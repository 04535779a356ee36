//! What the executor serves is counted at its region, reads by their keys and bytes, writes by what was applied; and
//! keys of both kinds are kept for whoever has to cut the region.

use nokv_percolator::{BatchGet, Commit};
use nokv_raftstore::LoadTotals;

use super::super::{RawRange, RegionScan};
use super::*;

/// What the region counted while `work` ran.
async fn counted(rig: &Rig, work: impl Future) -> LoadTotals {
    let totals = || rig.raftstore.with_load(RegionId(1), |load| load.totals()).unwrap();
    let before = totals();
    work.await;
    totals().since(&before)
}

#[tokio::test]
async fn every_read_counts_by_its_keys_and_what_it_found() {
    let rig = Rig::start(ExecutorOptions::default()).await;
    let executor = &rig.executor;
    executor.write(&context(1), &prewrite(&["a", "b", "c"], 10)).await.unwrap();
    let keys: Vec<Key> = ["a", "b", "c"].map(|key| Key::encode(key.as_bytes())).into();
    let commit = Commit { keys: keys.clone(), start_ts: Timestamp(10), commit_ts: Timestamp(12) };
    executor.write(&context(1), &commit).await.unwrap().unwrap();
    executor.raw_put(&context(1), b"fraw", &[7; 100]).await.unwrap();
    let read = ReadPoint::snapshot(Timestamp(20));

    let get = Get { key: Key::encode(b"a"), read: read.clone() };
    let one = counted(&rig, executor.get(&context(1), &get)).await;
    assert_eq!((one.lookups, one.read_bytes), (1, 5));
    let missing = Get { key: Key::encode(b"f"), read: read.clone() };
    let none = counted(&rig, executor.get(&context(1), &missing)).await;
    assert_eq!((none.lookups, none.read_bytes), (1, 0), "to find nothing is work, too");
    let batch = BatchGet { keys, read: read.clone() };
    let three = counted(&rig, executor.batch_get(&context(1), &batch)).await;
    assert_eq!((three.lookups, three.read_bytes), (3, 18));
    let scan = RegionScan { read, limit: 9, ..RegionScan::default() };
    let all = counted(&rig, executor.scan(&context(1), &scan)).await;
    assert_eq!((all.lookups, all.read_bytes), (1, 18));
    let raw = counted(&rig, executor.raw_get(&context(1), b"fraw")).await;
    assert_eq!((raw.lookups, raw.read_bytes), (1, 100));
    let range = RawRange { limit: 9, ..RawRange::default() };
    let rows = counted(&rig, executor.raw_scan(&context(1), &range)).await;
    assert_eq!((rows.lookups, rows.read_bytes), (1, 104));
    assert_eq!([one, none, three, all, raw, rows].map(|load| load.written.records), [0; 6]);
}

#[tokio::test]
async fn what_is_written_counts_once_it_is_applied_and_keys_of_all_kinds_are_kept() {
    let rig = Rig::start(ExecutorOptions::default()).await;
    let executor = &rig.executor;
    rig.raftstore.with_load(RegionId(1), |load| load.watch()).unwrap();
    let writes = counted(&rig, async {
        for number in 0..100 {
            executor.raw_put(&context(1), b"fplain", &[7; 10]).await.unwrap();
            rig.prewrite(&format!("k{number}"), 10).await.unwrap();
        }
        // The sum is kept by the raft loop, which hears of it a moment later.
        while rig.raftstore.regions()[0].applied_index < rig.last_index(1) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let writes = writes.await;
    assert_eq!((writes.lookups, writes.written.records), (0, 200));
    for _ in 0..100 {
        executor.raw_get(&context(1), b"fread").await.unwrap();
    }
    let sample = rig.raftstore.with_load(RegionId(1), |load| load.sample()).unwrap();
    let kept = |what: &[u8]| sample.iter().filter(|key| key.starts_with(what)).count();
    assert!(kept(b"fplain") > 0 && kept(b"k") > 0 && kept(b"fread") > 0, "{sample:?}");
    assert_eq!(kept(b""), 200 / 23 + 1);
    assert_eq!(Key::decode_encoded(sample.iter().find(|key| key[0] == b'k').unwrap()).unwrap()[0], b'k');
}
