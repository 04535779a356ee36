//! Locks of other transactions: waited for while their owner lives, rolled forward or back by what the primary says.

use std::time::Duration;

use nokv_client::{AbortReason, Error, Options, ScanRange, Timestamp};
use nokv_engine::Engine;
use nokv_percolator::{Assertion, AssertionLevel, Commit, Key, Mutation, MutationOp, Prewrite};
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::faults::{Effect, Fault};

/// What a client leaves behind that died: locks on `keys`, the first the primary.
fn leave_locks(cluster: &Cluster, keys: &[&str], start_ts: Timestamp, ttl_ms: u64) {
    let mutations = keys.iter().map(|key| Mutation {
        key: Key::encode(key.as_bytes()),
        op: MutationOp::Put("left".into()),
        assertion: Assertion::None,
    });
    let command = Prewrite {
        mutations: mutations.collect(),
        primary: keys[0].to_owned().into(),
        start_ts,
        ttl_ms,
        txn_size: 0,
        min_commit_ts: Timestamp::ZERO,
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

#[tokio::test(start_paused = true)]
async fn a_missing_primary_is_rolled_back_only_after_a_moment() {
    let cluster = Cluster::new();
    let client = cluster.client();
    // The primary's prewrite is slow: a reader meets the secondary meanwhile and must not abort the transaction.
    cluster.fail(Fault::once("KvPrewrite", Effect::LoseRequest).in_region(1));
    let mut transaction = client.begin().await.unwrap();
    transaction.put("apple", "1").unwrap();
    transaction.put("kiwi", "1").unwrap();
    let reader = client.clone();
    cluster.lead(1, None);
    let repair = cluster.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(150)).await;
        repair.lead(1, Some(2));
    });
    let read = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        reader.get("kiwi").await
    });
    transaction.commit().await.expect("the reader waits");
    assert_eq!(read.await.unwrap().unwrap().unwrap(), "1");
    // Nobody ever comes back for this one.
    let start_ts = client.timestamp().await.unwrap();
    leave_locks(&cluster, &["apple", "kiwi"], start_ts, 60_000);
    cluster.state.lock().engine = {
        let fresh = Cluster::new();
        leave_locks_without_primary(&fresh, "kiwi", "apple", start_ts);
        fresh.state.lock().engine.clone()
    };
    assert_eq!(client.get("kiwi").await.unwrap(), None);
    assert_eq!(cluster.locked(), [""; 0]);
}

fn leave_locks_without_primary(cluster: &Cluster, key: &str, primary: &str, start_ts: Timestamp) {
    let mutation =
        Mutation { key: Key::encode(key.as_bytes()), op: MutationOp::Put("left".into()), assertion: Assertion::None };
    let command = Prewrite {
        mutations: vec![mutation],
        primary: primary.to_owned().into(),
        start_ts,
        ttl_ms: 60_000,
        txn_size: 0,
        min_commit_ts: Timestamp::ZERO,
        assertion_level: AssertionLevel::Off,
    };
    let mut state = cluster.state.lock();
    let outcome = command.execute(&state.engine.view()).unwrap();
    state.apply(&outcome.batch);
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
