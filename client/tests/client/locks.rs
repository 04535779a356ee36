//! Locks of other transactions: waited for while their owner lives, rolled forward or back by what the primary says.
//! Time stands still but for what the client itself waits, so "while" and "after" are exact.

use std::time::Duration;

use bytes::Bytes;
use nokv_client::{AbortReason, Error, Options, ScanRange, Timestamp};
use nokv_engine::Engine;
use nokv_percolator::{Assertion, AssertionLevel, Commit, CommitBy, Key, Mutation, MutationOp, Prewrite};
use tokio::time::Instant;

use crate::cluster::Cluster;

/// What a client leaves behind that died: locks on `keys`, the first the primary.
fn leave_locks(cluster: &Cluster, keys: &[&str], start_ts: Timestamp, ttl_ms: u64) {
    leave_locks_of(cluster, keys[0], keys, start_ts, ttl_ms);
}

fn leave_locks_of(cluster: &Cluster, primary: &str, keys: &[&str], start_ts: Timestamp, ttl_ms: u64) {
    let mutations = keys.iter().map(|key| Mutation {
        key: Key::encode(key.as_bytes()),
        op: MutationOp::Put("left".into()),
        assertion: Assertion::None,
    });
    let command = Prewrite {
        mutations: mutations.collect(),
        primary: primary.to_owned().into(),
        start_ts,
        ttl_ms,
        txn_size: 0,
        min_commit_ts: Timestamp::ZERO,
        commit_by: CommitBy::TwoPhases,
        assertion_level: AssertionLevel::Off,
    };
    let mut state = cluster.state.lock();
    let outcome = command.execute(&state.engine.view()).unwrap();
    assert!(outcome.reply.errors.is_empty());
    state.apply(&outcome.batch);
}

fn commit(cluster: &Cluster, key: &str, start_ts: Timestamp, commit_ts: Timestamp) {
    let mut state = cluster.state.lock();
    let outcome = Commit { keys: vec![Key::encode(key.as_bytes())], start_ts, commit_ts }.execute(&state.engine.view());
    let outcome = outcome.unwrap();
    outcome.reply.unwrap();
    state.apply(&outcome.batch);
}

#[tokio::test(start_paused = true)]
async fn a_committed_primary_rolls_its_secondaries_forward() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let start_ts = client.timestamp().await.unwrap();
    leave_locks(&cluster, &["kiwi", "apple", "quince"], start_ts, 60_000);
    commit(&cluster, "kiwi", start_ts, start_ts.next());
    let began = Instant::now();
    assert_eq!(client.get("apple").await.unwrap().unwrap(), "left");
    // The owner might have been about to prewrite its primary: a moment's patience, once.
    let grace = Options::default().secondary_grace;
    assert!(began.elapsed() >= grace && began.elapsed() < grace + Duration::from_millis(300));
    let began = Instant::now();
    assert_eq!(client.get("quince").await.unwrap().unwrap(), "left");
    assert!(began.elapsed() < Duration::from_millis(20), "the outcome is known by now: {:?}", began.elapsed());
    assert_eq!(cluster.locked(), [""; 0]);
    let trace = cluster.take_trace();
    let asked = trace.iter().filter(|line| line.starts_with("KvCheckTxnStatus")).count();
    assert_eq!(asked, 1, "{trace:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_transaction_is_rolled_back_when_its_time_is_over() {
    let cluster = Cluster::new();
    let client = cluster.client();
    client.put("apple", "before").await.unwrap();
    let start_ts = client.timestamp().await.unwrap();
    leave_locks(&cluster, &["kiwi", "apple"], start_ts, 2_000);
    let began = Instant::now();
    assert_eq!(client.get("apple").await.unwrap().unwrap(), "before");
    assert!(began.elapsed() >= Duration::from_millis(1_990) && began.elapsed() < Duration::from_millis(2_100));
    assert_eq!(cluster.locked(), [""; 0], "the primary went with the status, the secondary with the resolve");
}

/// A transaction whose primary's prewrite comes 150 ms after its secondary's, and a reader of the secondary meanwhile.
async fn read_while_the_primary_is_late(secondary_grace: Duration) -> (Result<Timestamp, Error>, Option<Bytes>) {
    let cluster = Cluster::new();
    let client = cluster.client_with(Options { secondary_grace, ..Options::default() });
    cluster.lead(1, None);
    let repair = cluster.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(150)).await;
        repair.lead(1, Some(2));
    });
    let reader = client.clone();
    let read = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        reader.get("kiwi").await.unwrap()
    });
    let mut transaction = client.begin().await.unwrap();
    transaction.put("apple", "1").unwrap();
    transaction.put("kiwi", "1").unwrap();
    let outcome = transaction.commit().await;
    client.drain().await;
    assert_eq!(cluster.locked(), [""; 0]);
    (outcome, read.await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_secondary_without_its_primary_is_given_a_moment() {
    let (outcome, read) = read_while_the_primary_is_late(Options::default().secondary_grace).await;
    outcome.expect("the reader waited");
    assert_eq!(read.unwrap(), "1");
    // What the moment is for: to ask about a primary that is not there yet is to abort its transaction.
    let (outcome, read) = read_while_the_primary_is_late(Duration::ZERO).await;
    assert!(matches!(outcome, Err(Error::Aborted { reason: AbortReason::RolledBack(_), .. })), "{outcome:?}");
    assert_eq!(read, None);
}

#[tokio::test(start_paused = true)]
async fn a_secondary_whose_primary_never_came_is_rolled_back() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let start_ts = client.timestamp().await.unwrap();
    leave_locks_of(&cluster, "apple", &["kiwi"], start_ts, 60_000);
    assert_eq!(client.get("kiwi").await.unwrap(), None);
    assert_eq!(cluster.locked(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_read_waits_for_a_live_transaction_up_to_its_deadline() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let start_ts = client.timestamp().await.unwrap();
    leave_locks(&cluster, &["apple"], start_ts, 60_000);
    let began = Instant::now();
    let error = client.get("apple").await.unwrap_err();
    assert!(matches!(&error, Error::Locked { key, owner, .. } if key == "apple" && *owner == start_ts), "{error}");
    assert_eq!(began.elapsed(), Options::default().deadline);
    let owner = cluster.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        commit(&owner, "apple", start_ts, start_ts.next());
    });
    assert_eq!(client.get("apple").await.unwrap().unwrap(), "left");
    let older = Timestamp(start_ts.0 - 1);
    assert_eq!(client.get_at("apple", older).await.unwrap(), None, "a lock of a later transaction is no concern");
}

#[tokio::test(start_paused = true)]
async fn a_writer_rolls_a_dead_transaction_back_and_goes_on() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let start_ts = client.timestamp().await.unwrap();
    leave_locks(&cluster, &["kiwi", "apple", "banana"], start_ts, 1_000);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let mut transaction = client.begin().await.unwrap();
    transaction.put("apple", "mine").unwrap();
    transaction.put("banana", "mine").unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(cluster.committed("apple").as_deref(), Some("mine"));
    assert_eq!((cluster.committed("kiwi"), cluster.locked()), (None, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_writer_gives_way_to_a_live_transaction_and_leaves_nothing() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let owner = client.timestamp().await.unwrap();
    leave_locks(&cluster, &["kiwi"], owner, 60_000);
    let mut transaction = client.begin().await.unwrap();
    let start_ts = transaction.start_ts();
    transaction.put("apple", "mine").unwrap();
    transaction.put("kiwi", "mine").unwrap();
    let began = Instant::now();
    let reason = AbortReason::Locked { key: "kiwi".into(), owner };
    assert_eq!(transaction.commit().await, Err(Error::Aborted { start_ts, reason }));
    assert!(began.elapsed() < Options::default().write_lock_wait + Duration::from_millis(300));
    client.drain().await;
    assert_eq!(cluster.locked(), ["kiwi"]);
}

#[tokio::test(start_paused = true)]
async fn two_writers_that_wait_for_each_other_both_end() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let transfer = |from: &'static str, to: &'static str| {
        let client = client.clone();
        async move {
            loop {
                let mut transaction = client.begin().await.unwrap();
                transaction.put(from, "x").unwrap();
                transaction.put(to, "x").unwrap();
                match transaction.commit().await {
                    Ok(commit_ts) => break commit_ts,
                    Err(error) => assert!(error.is_retryable(), "{error}"),
                }
            }
        }
    };
    let began = Instant::now();
    let both = (0..20).flat_map(|_| [transfer("apple", "kiwi"), transfer("kiwi", "apple")]);
    let mut commits = futures_util::future::join_all(both.map(tokio::spawn)).await;
    commits.sort_by_key(|commit| *commit.as_ref().unwrap());
    commits.dedup_by_key(|commit| *commit.as_ref().unwrap());
    assert_eq!(commits.len(), 40);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    client.drain().await;
    assert_eq!(cluster.locked(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn many_locks_of_one_transaction_cost_one_question_and_one_resolve_a_region() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let start_ts = client.timestamp().await.unwrap();
    let keys: Vec<String> = (0..100).map(|n| format!("a{n:03}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    leave_locks(&cluster, &keys, start_ts, 10);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(client.scan(ScanRange::all(), 1_000).await.unwrap(), []);
    assert_eq!(cluster.locked(), [""; 0]);
    let trace = cluster.take_trace();
    let count = |call: &str| trace.iter().filter(|line| line.starts_with(call)).count();
    assert_eq!((count("KvCheckTxnStatus"), count("KvResolveLock")), (1, 1), "{trace:#?}");
}
