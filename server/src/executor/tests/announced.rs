//! Transactions that choose their own commit timestamp: above every read before them, hidden from none after them,
//! and only where it is known how far earlier leaders have read.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use nokv_client::{OracleError, TimestampOracle};
use nokv_percolator::{KeyError, PrewriteReply};

use super::*;

/// Gives out growing timestamps from 100 on, and counts.
#[derive(Default)]
struct Oracle(AtomicU64);

impl TimestampOracle for Oracle {
    fn timestamps(&self, _count: u32) -> BoxFuture<'_, Result<Timestamp, OracleError>> {
        let timestamp = Timestamp(100 + self.0.fetch_add(1, Ordering::SeqCst));
        Box::pin(std::future::ready(Ok(timestamp)))
    }
}

async fn rig(options: ExecutorOptions) -> (Rig, Arc<Oracle>) {
    let mut rig = Rig::start(options).await;
    let oracle = Arc::new(Oracle::default());
    rig.executor = rig.executor.clone().with_oracle(oracle.clone());
    (rig, oracle)
}

fn one_phase(key: &str, start_ts: u64) -> Prewrite {
    Prewrite { commit_by: CommitBy::OnePhase, ..prewrite(&[key], start_ts) }
}

async fn commit(executor: &Executor<MemoryEngine>, key: &str, start_ts: u64, max: u64) -> PrewriteReply {
    executor.prewrite(&context(1), one_phase(key, start_ts), Timestamp(max)).await.unwrap()
}

async fn get(executor: &Executor<MemoryEngine>, key: &str, version: u64) -> Result<Option<u64>, KeyError> {
    let read = ReadPoint::snapshot(Timestamp(version));
    let command = Get { key: Key::encode(key.as_bytes()), read };
    let reply = executor.get(&context(1), &command).await.unwrap();
    reply.map(|found| found.map(|found| found.commit_ts.0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_timestamp_is_drawn_for_a_leadership_and_every_read_counts() {
    let (rig, oracle) = rig(ExecutorOptions::default()).await;
    let executor = &rig.executor;
    assert_eq!(commit(executor, "a", 10, 0).await.commit_ts.0, 101, "earlier leaders may have read up to 100");
    assert_eq!(get(executor, "b", 500).await, Ok(None));
    assert_eq!(commit(executor, "a", 200, 0).await.commit_ts.0, 501);
    assert_eq!(get(executor, "b", u64::MAX).await, Ok(None));
    assert_eq!(commit(executor, "b", 502, 0).await.commit_ts.0, 503, "the newest there is, is no timestamp");
    assert_eq!(oracle.0.load(Ordering::SeqCst), 1, "one draw");
    assert_eq!((get(executor, "a", 500).await, get(executor, "a", 501).await), (Ok(Some(101)), Ok(Some(501))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_oracle_or_above_its_limit_a_transaction_goes_in_two_phases_and_is_told() {
    let alone = Rig::start(ExecutorOptions::default()).await;
    assert_eq!(commit(&alone.executor, "a", 10, 0).await, PrewriteReply::default());
    assert_eq!(alone.lock_on("a").await, Some(10));
    let (rig, _) = rig(ExecutorOptions::default()).await;
    assert_eq!(commit(&rig.executor, "a", 10, 100).await, PrewriteReply::default());
    let asked = CommitBy::Async { secondaries: Vec::new() };
    let command = Prewrite { commit_by: asked, ..prewrite(&["b"], 10) };
    let reply = rig.executor.prewrite(&context(1), command, Timestamp::ZERO).await.unwrap();
    assert!(reply.min_commit_ts.0 > 100 && reply.commit_ts.is_zero(), "{reply:?}");
    // Last, for it reads later than anything could commit.
    assert_eq!(rig.lock_on("a").await, Some(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_waits_for_what_may_lie_below_its_version() {
    let (rig, _) = rig(ExecutorOptions::default()).await;
    commit(&rig.executor, "k", 10, 0).await;
    rig.log.hold();
    let executor = rig.executor.clone();
    let write = tokio::spawn(async move { commit(&executor, "k", 300, 0).await });
    rig.log.until_waited_for().await;
    assert_eq!(get(&rig.executor, "k", 300).await, Ok(Some(101)), "it will commit above");
    assert_eq!(get(&rig.executor, "k", u64::MAX).await, Ok(Some(101)), "it has not happened yet");
    assert_eq!(get(&rig.executor, "j", 400).await, Ok(None));
    let executor = rig.executor.clone();
    let read = tokio::spawn(async move { get(&executor, "k", 400).await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!read.is_finished(), "what it reads is not decided");
    rig.log.release();
    assert_eq!(write.await.unwrap().commit_ts.0, 301);
    assert_eq!(read.await.unwrap(), Ok(Some(301)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_waited_long_enough_is_told_of_the_lock() {
    let options = ExecutorOptions { announced_wait_max: Duration::from_millis(20), ..Default::default() };
    let (rig, _) = rig(options).await;
    commit(&rig.executor, "j", 10, 0).await;
    rig.log.hold();
    let executor = rig.executor.clone();
    let write = tokio::spawn(async move { commit(&executor, "k", 300, 0).await });
    rig.log.until_waited_for().await;
    let told = get(&rig.executor, "k", 400).await;
    assert!(matches!(&told, Err(KeyError::Locked(lock)) if lock.start_ts.0 == 300), "{told:?}");
    let scan = super::super::RegionScan { read: ReadPoint::snapshot(Timestamp(400)), limit: 9, ..Default::default() };
    let busy = rig.executor.scan(&context(1), &scan).await.unwrap_err().to_string();
    assert!(busy.contains("under way for too long"), "{busy}");
    rig.log.release();
    write.await.unwrap();
    assert_eq!(rig.executor.scan(&context(1), &scan).await.unwrap().unwrap().len(), 2);
}
