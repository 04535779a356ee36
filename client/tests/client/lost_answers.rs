//! Commits whose answer is lost: found out where that can be done, undetermined where not, never called failed.
//! To call a commit failed that took effect is the one lie that a program cannot defend itself against.

use std::time::Duration;

use nokv_client::{AbortReason, Client, Error, Options, Timestamp, Transaction};
use nokv_engine::{Cf, Engine, WriteBatch};
use nokv_percolator::{Key, Lock};
use nokv_proto::errorpb;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::faults::{Effect, Fault};

async fn transaction(client: &Client) -> Transaction {
    let mut transaction = client.begin().await.unwrap();
    transaction.put("apple", "1").unwrap();
    transaction.put("kiwi", "1").unwrap();
    transaction
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_made_good_by_asking_again() {
    let cluster = Cluster::new();
    let client = cluster.client();
    for effect in [Effect::LoseReply, Effect::LoseRequest, Effect::Silence, Effect::Swallow] {
        cluster.fail(Fault::once("KvCommit", effect).in_region(1));
        let commit_ts = transaction(&client).await.commit().await.unwrap();
        assert_eq!(client.get_at("apple", commit_ts).await.unwrap().unwrap(), "1");
    }
    client.drain().await;
    assert_eq!(cluster.locked(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn answers_lost_up_to_the_deadline_leave_the_outcome_undetermined() {
    for (effect, committed) in [(Effect::LoseReply, true), (Effect::Silence, true), (Effect::Swallow, false)] {
        let cluster = Cluster::new();
        let client = cluster.client();
        let transaction = transaction(&client).await;
        let start_ts = transaction.start_ts();
        cluster.fail(Fault::always("KvCommit", effect));
        let began = Instant::now();
        let error = transaction.commit().await.unwrap_err();
        assert!(
            matches!(&error, Error::Undetermined { operation: "commit", start_ts: Some(ts), .. } if *ts == start_ts),
            "{error}"
        );
        assert!(error.is_undetermined() && !error.is_retryable());
        assert!(began.elapsed() < Options::default().deadline + Duration::from_millis(50));
        client.drain().await;
        assert_eq!(cluster.committed("apple").is_some(), committed, "it was left as it was");
        assert!(!cluster.take_trace().iter().any(|line| line.starts_with("KvBatchRollback")));
        // Reading finds out, for all keys alike.
        cluster.state.lock().faults.clear();
        let found = client.batch_get(["apple", "kiwi"]).await.unwrap();
        assert_eq!(found.len(), if committed { 2 } else { 0 });
        assert_eq!(cluster.locked(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_never_left_is_unavailable_not_undetermined() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let transaction = transaction(&client).await;
    // Every store goes down after the prewrites, so no connection is made for the commit.
    let watch = cluster.clone();
    tokio::spawn(async move {
        while watch.locked().len() < 2 {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        watch.state.lock().down.extend([1, 2, 3]);
    });
    let error = transaction.commit().await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    cluster.state.lock().down.clear();
    client.drain().await;
    assert_eq!((cluster.committed("apple"), cluster.locked()), (None, vec![]), "so it may be and is cleaned up");
}

#[tokio::test(start_paused = true)]
async fn another_client_that_rolled_it_back_decides() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let options = Options { lock_ttl_base: Duration::from_millis(100), ..Options::default() };
    let hasty = cluster.client_with(options);
    let transaction = transaction(&hasty).await;
    let start_ts = transaction.start_ts();
    // The commit is held up until its locks have expired and somebody needed the key.
    cluster.fail(Fault::once("KvCommit", Effect::Swallow).in_region(1));
    let other = client.clone();
    let read = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        other.get("apple").await
    });
    let error = transaction.commit().await.unwrap_err();
    assert!(
        matches!(&error, Error::Aborted { start_ts: ts, reason: AbortReason::RolledBack(_) } if *ts == start_ts),
        "{error}"
    );
    assert_eq!(read.await.unwrap().unwrap(), None);
    hasty.drain().await;
    assert_eq!(cluster.locked(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_lost_answer_is_checked_with_the_primary() {
    for (lost, committed) in [(Effect::LoseReply, true), (Effect::LoseRequest, false)] {
        let cluster = Cluster::new();
        let client = cluster.client();
        let transaction = transaction(&client).await;
        cluster.fail(Fault::once("KvCommit", lost).in_region(1));
        let second = cluster.clone();
        tokio::spawn(async move {
            while !second.state.lock().faults.is_empty() {
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
            second.state.lock().refuse_commit = true;
        });
        let outcome = transaction.commit().await;
        assert_eq!(outcome.is_ok(), committed, "{outcome:?}");
        assert!(committed || matches!(outcome, Err(Error::Aborted { .. })), "{outcome:?}");
        client.drain().await;
        assert_eq!((cluster.committed("kiwi").is_some(), cluster.locked()), (committed, vec![]));
        let trace = cluster.take_trace();
        assert!(trace.iter().any(|line| line.starts_with("KvCheckTxnStatus")), "{trace:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_without_a_lost_answer_needs_no_question() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let transaction = transaction(&client).await;
    cluster.state.lock().refuse_commit = true;
    let outcome = transaction.commit().await;
    assert!(matches!(outcome, Err(Error::Aborted { .. })), "{outcome:?}");
    client.drain().await;
    assert_eq!((cluster.committed("kiwi"), cluster.locked()), (None, vec![]));
    assert!(!cluster.take_trace().iter().any(|line| line.starts_with("KvCheckTxnStatus")));
}

#[tokio::test(start_paused = true)]
async fn a_pushed_transaction_draws_a_later_commit_timestamp() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let transaction = transaction(&client).await;
    let pushed_to = Timestamp::compose(cluster.now().physical_ms() + 200, 0);
    cluster.fail(Fault::before("KvCommit", move |state| {
        let primary = Key::encode(b"apple");
        let lock = state.engine.get(Cf::Lock, primary.as_encoded()).unwrap().unwrap();
        let lock = Lock { min_commit_ts: pushed_to, ..Lock::decode(&lock).unwrap() };
        let mut batch = WriteBatch::new();
        batch.put(Cf::Lock, primary.as_encoded(), &lock.encode());
        state.apply(&batch);
    }));
    let commit_ts = transaction.commit().await.unwrap();
    assert!(commit_ts >= pushed_to);
    client.drain().await;
    assert_eq!(client.get_at("kiwi", commit_ts).await.unwrap().unwrap(), "1");
}

#[tokio::test(start_paused = true)]
async fn an_undetermined_answer_of_the_store_is_asked_about_again() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let unknown = errorpb::UndeterminedResult { message: "lost leadership".to_owned() };
    let error = errorpb::Error { undetermined_result: Some(unknown), ..Default::default() };
    cluster.fail(Fault::once("KvCommit", Effect::RegionError(Box::new(error.clone()))).in_region(1));
    transaction(&client).await.commit().await.unwrap();
    cluster.fail(Fault::always("KvCommit", Effect::RegionError(Box::new(error))).in_region(1));
    assert!(transaction(&client).await.commit().await.unwrap_err().is_undetermined());
}

#[tokio::test(start_paused = true)]
async fn secondaries_that_cannot_be_committed_are_resolved_by_who_meets_them() {
    let cluster = Cluster::new();
    let client = cluster.client();
    cluster.fail(Fault::always("KvCommit", Effect::Swallow).in_region(2));
    let commit_ts = transaction(&client).await.commit().await.unwrap();
    client.drain().await;
    assert_eq!(client.background_failures(), 1);
    assert_eq!(cluster.locked(), ["kiwi"]);
    assert_eq!(client.get("kiwi").await.unwrap().unwrap(), "1");
    assert_eq!(client.get_at("kiwi", Timestamp(commit_ts.0 - 1)).await.unwrap(), None);
    assert_eq!(cluster.locked(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_lost_when_every_call_fails_now_and_then() {
    let cluster = Cluster::new();
    let client = cluster.client();
    for call in ["KvPrewrite", "KvCommit", "KvBatchRollback", "KvGet", "KvCheckTxnStatus", "KvResolveLock"] {
        let mut at = Duration::from_millis(37);
        for n in 0..60u64 {
            let (cluster, effect) = (
                cluster.clone(),
                match n % 4 {
                    0 => Effect::LoseReply,
                    1 => Effect::LoseRequest,
                    2 => Effect::Again(Duration::from_millis(n * 7)),
                    _ => Effect::Late(Duration::from_millis(n * 11)),
                },
            );
            at += Duration::from_millis(13 + n % 7 * 10);
            tokio::spawn(async move {
                tokio::time::sleep(at).await;
                cluster.fail(Fault::once(call, effect));
            });
        }
    }
    // Each worker counts in its own pair of keys; a lost increment or a torn pair would show.
    let workers = (0..6).map(|worker| {
        let client = client.clone();
        tokio::spawn(async move {
            let (left, right) = (format!("a{worker}"), format!("q{worker}"));
            let mut count = 0u32;
            while count < 15 {
                let mut transaction = client.begin().await.unwrap();
                let pair = transaction.batch_get([&left, &right]).await.unwrap();
                let read = |key: &String| pair.get(key.as_bytes()).map(|value| value.len()).unwrap_or(0);
                assert_eq!((read(&left), read(&right)), (count as usize, count as usize));
                transaction.put(&left, vec![b'|'; count as usize + 1]).unwrap();
                transaction.put(&right, vec![b'|'; count as usize + 1]).unwrap();
                match transaction.commit().await {
                    Ok(_) => count += 1,
                    Err(error) => assert!(error.is_retryable(), "{error}"),
                }
            }
        })
    });
    for worker in futures_util::future::join_all(workers).await {
        worker.unwrap();
    }
    client.drain().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(client.scan(nokv_client::ScanRange::all(), 100).await.unwrap().len(), 12);
    assert_eq!(cluster.locked(), [""; 0]);
}
