//! Garbage collection through the log: what goes, who is refused, and that a quiet region is left alone.
//! The collector runs as the node runs it, but is told when to look.

use std::sync::Arc;

use nokv_engine::{Cf, Cursor as _, Engine as _, KeyRange, MemoryEngine, ReadView as _};
use nokv_percolator::{
    BatchGet, CheckTxnStatus, Commit, CommitBy, Get, Key, KeyError, Prewrite, ReadPoint, Timestamp, TxnStatus,
};

use super::super::RegionScan;
use super::{ExecutorOptions, Rig, context, prewrite};
use crate::collector::{CollectMetrics, Collector, CollectorOptions};

/// Turns so small that the versions of one key take several.
fn collector(rig: &Rig) -> Collector<MemoryEngine> {
    let options =
        CollectorOptions { busy_percent: 100, records_max: 3, batch_bytes_max: 64, ..CollectorOptions::default() };
    Collector::new(rig.executor.clone(), options, Arc::new(CollectMetrics::default()))
}

impl Rig {
    async fn write(&self, key: &str, start_ts: u64) {
        assert_eq!(self.prewrite(key, start_ts).await.unwrap(), 0);
        let (start_ts, commit_ts) = (Timestamp(start_ts), Timestamp(start_ts + 1));
        let commit = Commit { keys: vec![Key::encode(key.as_bytes())], start_ts, commit_ts };
        self.executor.write(&context(1), &commit).await.unwrap().unwrap();
    }

    /// Timestamps of all write records, in the order of their keys.
    fn records(&self) -> Vec<u64> {
        let view = self.raftstore.engine().view();
        let mut cursor = view.cursor(Cf::Write, KeyRange::ALL).unwrap();
        cursor.seek_to_first().unwrap();
        let mut found = Vec::new();
        while let Some(key) = cursor.key() {
            found.push(Key::split_ts(key).unwrap().1.0);
            cursor.next().unwrap();
        }
        found
    }
}

fn below(ts: u64, safe_point: u64) -> KeyError {
    KeyError::BelowSafePoint { ts: Timestamp(ts), safe_point: Timestamp(safe_point) }
}

#[tokio::test]
async fn versions_below_the_safe_point_go_and_those_above_stay() {
    let rig = Rig::start(ExecutorOptions::default()).await;
    for start_ts in [10, 20, 30, 40, 50, 60] {
        rig.write("a", start_ts).await;
    }
    rig.write("b", 12).await;
    let mut collector = collector(&rig);
    collector.visit().await;
    assert_eq!(rig.records().len(), 7, "there is no safe point yet");
    rig.executor.raise_safe_point(&context(1), Timestamp(45)).await.unwrap();
    collector.visit().await;
    assert_eq!(rig.records(), [61, 51, 41, 13]);
    rig.executor.raise_safe_point(&context(1), Timestamp(44)).await.unwrap();
    assert_eq!(rig.executor.safe_point(), Timestamp(45), "it never goes back");
}

#[tokio::test]
async fn who_comes_from_below_the_safe_point_is_refused() {
    let rig = Rig::start(ExecutorOptions::default()).await;
    rig.write("a", 10).await;
    rig.executor.raise_safe_point(&context(1), Timestamp(45)).await.unwrap();
    let key = || Key::encode(b"a");
    for version in [44, 45] {
        let read = || ReadPoint::snapshot(Timestamp(version));
        let got = rig.executor.get(&context(1), &Get { key: key(), read: read() }).await.unwrap();
        let many = BatchGet { keys: vec![key()], read: read() };
        let many = rig.executor.batch_get(&context(1), &many).await.unwrap();
        // The safe point is the store's: the other region has not been told, and refuses all the same.
        let scan =
            RegionScan { lower: Key::encode(b"m").into_encoded(), read: read(), limit: 1, ..RegionScan::default() };
        let scanned = rig.executor.scan(&context(2), &scan).await.unwrap();
        if version == 44 {
            assert_eq!((got, many, scanned), (Err(below(44, 45)), Err(below(44, 45)), Err(below(44, 45))));
        } else {
            assert!(got.unwrap().is_some() && many.unwrap().len() == 1 && scanned.unwrap().is_empty());
        }
    }
    let refused = rig.executor.write(&context(1), &prewrite(&["b"], 44)).await.unwrap();
    assert_eq!(refused.errors, [below(44, 45)]);
    assert_eq!(rig.executor.write(&context(1), &prewrite(&["b"], 45)).await.unwrap().errors, []);
}

#[tokio::test]
async fn who_committed_before_the_safe_point_rose_is_told_so_and_nobody_is_called_rolled_back() {
    let rig = Rig::start(ExecutorOptions::default()).await;
    let at_once = |key: &str| Prewrite { commit_by: CommitBy::OnePhase, ..prewrite(&[key], 40) };
    rig.write("a", 40).await;
    rig.executor.raise_safe_point(&context(1), Timestamp(45)).await.unwrap();
    let again = async |key| rig.executor.prewrite(&context(1), at_once(key), Timestamp::ZERO).await;
    assert_eq!(again("a").await.unwrap().commit_ts, Timestamp(41));
    assert_eq!(again("b").await.unwrap().errors, [below(40, 45)]);
    let status = |key: &str, caller| CheckTxnStatus {
        primary: Key::encode(key.as_bytes()),
        lock_ts: Timestamp(40),
        caller_start_ts: Timestamp(caller),
        current_ts: Timestamp::MAX,
        rollback_if_not_exist: true,
        verify_is_primary: false,
        force_sync_commit: false,
    };
    let asked = async |key, caller| rig.executor.write(&context(1), &status(key, caller)).await;
    assert_eq!(asked("a", 40).await.unwrap().unwrap().status, TxnStatus::Committed(Timestamp(41)));
    // By itself, before and after somebody has closed the key to it, because he once met a lock.
    let nothing = asked("b", 40).await.unwrap().unwrap_err();
    assert!(matches!(nothing, KeyError::TxnNotFound { .. }), "its record could be gone: {nothing}");
    assert_eq!(asked("b", 0).await.unwrap().unwrap().status, TxnStatus::RolledBack);
    let nothing = asked("b", 40).await.unwrap().unwrap_err();
    assert!(matches!(nothing, KeyError::TxnNotFound { .. }), "its record could be gone: {nothing}");
}

#[tokio::test]
async fn a_quiet_region_is_not_looked_through_again() {
    let rig = Rig::start(ExecutorOptions::default()).await;
    rig.write("a", 10).await;
    let metrics = Arc::new(CollectMetrics::default());
    let mut collector = Collector::new(rig.executor.clone(), CollectorOptions::default(), metrics.clone());
    let mut visit = async |safe_point| {
        let before = metrics.looked_through();
        rig.executor.raise_safe_point(&context(1), Timestamp(safe_point)).await.unwrap();
        collector.visit().await;
        metrics.looked_through() - before
    };
    assert_eq!(visit(20).await, 2, "both regions, for the first time");
    assert_eq!(visit(20).await, 0, "the safe point has not risen");
    assert_eq!(visit(30).await, 0, "one version, and nothing written since");
    rig.write("a", 40).await;
    assert_eq!(visit(41).await, 1);
    assert_eq!(rig.records(), [41]);
    let last = rig.last_index(2);
    assert_eq!(visit(50).await, 1, "it collected something, so that one more look is due");
    assert_eq!(visit(60).await, 0);
    assert_eq!(rig.last_index(2), last, "the quiet region's log is left alone");
}
