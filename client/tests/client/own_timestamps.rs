//! Transactions that choose their own commit timestamp: one phase, asynchronous commit, and what is made of lost
//! answers where a prewrite may have been the commit.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nokv_client::{AbortReason, Client, Error, Options, Timestamp, Transaction};
use nokv_engine::{Cf, WriteBatch};

use crate::cluster::{Cluster, State};
use crate::faults::{Effect, Fault};

/// A cluster whose stores let transactions choose, and a client that asks for it.
fn choosing() -> (Cluster, Client) {
    let cluster = Cluster::new();
    cluster.state.lock().can_choose = true;
    let client = cluster.client_with(Options::default());
    (cluster, client)
}

async fn writes(client: &Client, keys: &[&str]) -> Transaction {
    let mut transaction = client.begin().await.unwrap();
    keys.iter().for_each(|key| transaction.put(key, "1").unwrap());
    transaction
}

fn calls(cluster: &Cluster) -> Vec<String> {
    let trace = cluster.take_trace();
    trace.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn one_region_is_one_request() {
    let (cluster, client) = choosing();
    let transaction = writes(&client, &["apple", "banana"]).await;
    let start_ts = transaction.start_ts();
    let commit_ts = transaction.commit().await.unwrap();
    client.drain().await;
    assert_eq!(calls(&cluster), ["KvPrewrite"]);
    assert!(commit_ts > start_ts && commit_ts < client.timestamp().await.unwrap());
    assert_eq!(client.get_at("apple", commit_ts).await.unwrap().unwrap(), "1");
    assert_eq!(client.get_at("banana", Timestamp(commit_ts.0 - 1)).await.unwrap(), None);
    cluster.take_trace();
    client.put("cherry", "2").await.unwrap();
    assert_eq!(calls(&cluster), ["KvPrewrite"]);
    assert_eq!(cluster.locked(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn two_regions_are_answered_after_their_prewrites() {
    let (cluster, client) = choosing();
    // Somebody read far ahead in one of the regions: the other's locks commit there as well.
    let ahead = Timestamp(client.timestamp().await.unwrap().0 + 700);
    client.get_at("kiwi", ahead).await.unwrap();
    cluster.take_trace();
    let commit_ts = writes(&client, &["apple", "kiwi"]).await.commit().await.unwrap();
    assert!(commit_ts > ahead, "{commit_ts} is not above a snapshot that was read");
    assert_eq!(calls(&cluster), ["KvPrewrite", "KvPrewrite"]);
    client.drain().await;
    assert_eq!(calls(&cluster), ["KvCommit", "KvCommit"]);
    assert_eq!(cluster.locked(), [""; 0]);
    for key in ["apple", "kiwi"] {
        assert_eq!(client.get_at(key, Timestamp(commit_ts.0 - 1)).await.unwrap(), None);
        assert_eq!(client.get_at(key, commit_ts).await.unwrap().unwrap(), "1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_is_believed_and_not_asked_again_at_once() {
    let (cluster, client) = choosing();
    cluster.state.lock().can_choose = false;
    for _ in 0..3 {
        writes(&client, &["apple", "kiwi"]).await.commit().await.unwrap();
    }
    client.drain().await;
    assert_eq!(cluster.state.lock().asked_to_choose, 2, "both regions of the first transaction");
    assert_eq!(calls(&cluster).iter().filter(|call| *call == "KvCommit").count(), 6);
    tokio::time::sleep(Duration::from_secs(2)).await;
    cluster.state.lock().can_choose = true;
    writes(&client, &["apple"]).await.commit().await.unwrap();
    assert_eq!(calls(&cluster), ["KvPrewrite"]);
}

#[tokio::test(start_paused = true)]
async fn each_way_can_be_switched_off() {
    let (cluster, _) = choosing();
    let commits_of = async |one_phase_commit, async_commit, keys: &[&str]| {
        let client = cluster.client_with(Options { one_phase_commit, async_commit, ..Options::default() });
        writes(&client, keys).await.commit().await.unwrap();
        let at_once = calls(&cluster).iter().filter(|call| *call == "KvCommit").count();
        client.drain().await;
        (at_once, calls(&cluster).len())
    };
    assert_eq!(commits_of(false, false, &["a", "k"]).await, (1, 1), "primary, then the other");
    assert_eq!(commits_of(true, false, &["a", "k"]).await, (1, 1));
    assert_eq!(commits_of(false, true, &["a"]).await, (0, 1), "asynchronously, in one region too");
    assert_eq!(commits_of(true, false, &["a"]).await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_made_good_by_asking_again() {
    for effect in [Effect::LoseReply, Effect::LoseRequest, Effect::Silence, Effect::Swallow] {
        let (cluster, client) = choosing();
        cluster.fail(Fault::once("KvPrewrite", effect).in_region(1));
        let commit_ts = writes(&client, &["apple"]).await.commit().await.unwrap();
        assert_eq!(client.get_at("apple", commit_ts).await.unwrap().unwrap(), "1");
        assert_eq!(client.get_at("apple", Timestamp(commit_ts.0 - 1)).await.unwrap(), None, "that very timestamp");
    }
}

/// A commit's first try goes wrong, then the safe point rises above it, and `then` happens; it is tried again.
async fn overtaken_by_the_safe_point(effect: Option<Effect>, then: fn(&mut State)) -> nokv_client::Result<Timestamp> {
    let (cluster, client) = choosing();
    let transaction = writes(&client, &["apple"]).await;
    let tries_before = AtomicUsize::new(usize::from(effect.is_some()));
    let rises = move |state: &mut State| {
        if tries_before.load(Ordering::Relaxed) == 0 {
            state.safe_point = Timestamp(u64::MAX);
            then(state);
        } else {
            tries_before.fetch_sub(1, Ordering::Relaxed);
        }
    };
    cluster.fail(Fault::before("KvPrewrite", rises).times(2).in_region(1));
    effect.into_iter().for_each(|effect| cluster.fail(Fault::once("KvPrewrite", effect).in_region(1)));
    transaction.commit().await
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_the_safe_point_overtakes_is_never_called_aborted_by_mistake() {
    let committed = overtaken_by_the_safe_point(Some(Effect::LoseReply), |_| ()).await;
    committed.expect("its record is still there");
    let collect = |state: &mut State| {
        let mut batch = WriteBatch::new();
        batch.delete_range(Cf::Write, &[], &[0xff]);
        state.apply(&batch);
    };
    let error = overtaken_by_the_safe_point(Some(Effect::LoseReply), collect).await.unwrap_err();
    assert!(error.is_undetermined(), "it was committed: {error}");
    let error = overtaken_by_the_safe_point(Some(Effect::LoseRequest), |_| ()).await.unwrap_err();
    assert!(error.is_undetermined(), "nobody can tell that it was not: {error}");
    let error = overtaken_by_the_safe_point(None, |_| ()).await.unwrap_err();
    assert!(matches!(error, Error::Aborted { .. }), "there was no other try: {error}");
}

#[tokio::test(start_paused = true)]
async fn the_region_is_split_after_a_commit_whose_answer_is_lost() {
    let (cluster, client) = choosing();
    cluster.fail(Fault::once("KvPrewrite", Effect::LoseReply).in_region(1));
    cluster.fail(Fault::before("KvPrewrite", |state| state.split("b", 9)).in_region(1));
    let transaction = writes(&client, &["apple", "cherry"]).await;
    let commit_ts = transaction.commit().await.unwrap();
    client.drain().await;
    for key in ["apple", "cherry"] {
        assert_eq!(client.get_at(key, Timestamp(commit_ts.0 - 1)).await.unwrap(), None);
        assert_eq!(client.get_at(key, commit_ts).await.unwrap().unwrap(), "1");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_lost_up_to_the_deadline_leave_the_outcome_undetermined() {
    for (keys, effect, committed) in [
        (&["apple"][..], Effect::Silence, true),
        (&["apple"], Effect::Swallow, false),
        (&["apple", "kiwi"], Effect::Silence, true),
        (&["apple", "kiwi"], Effect::Swallow, false),
    ] {
        let (cluster, client) = choosing();
        let transaction = writes(&client, keys).await;
        cluster.fail(Fault::always("KvPrewrite", effect).in_region(1));
        let error = transaction.commit().await.unwrap_err();
        assert!(error.is_undetermined(), "{error}");
        client.drain().await;
        assert!(!cluster.take_trace().iter().any(|line| line.starts_with("KvBatchRollback")), "it may be committed");
        cluster.state.lock().faults.clear();
        // Its locks, if it left any, have outlived themselves by now.
        tokio::time::sleep(Duration::from_secs(10)).await;
        let found = client.batch_get(keys).await.unwrap();
        assert_eq!(found.len(), if committed { keys.len() } else { 0 }, "{keys:?}");
        assert_eq!(cluster.locked(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_certain_is_said() {
    // A conflict: nothing of it can ever be committed.
    let (cluster, client) = choosing();
    let transaction = writes(&client, &["apple", "kiwi"]).await;
    client.put("kiwi", "other").await.unwrap();
    let error = transaction.commit().await.unwrap_err();
    assert!(matches!(&error, Error::Aborted { reason: AbortReason::Conflict { .. }, .. }), "{error}");
    client.drain().await;
    assert_eq!((cluster.committed("apple"), cluster.locked()), (None, vec![]));

    // Nothing ever arrived anywhere.
    let transaction = writes(&client, &["apple"]).await;
    cluster.state.lock().down.extend(1..=3);
    let error = transaction.commit().await.unwrap_err();
    assert!(error.is_undetermined() || matches!(error, Error::Unavailable { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_refused_and_comes_again_later_commits_nothing() {
    let (cluster, client) = choosing();
    for keys in [&["apple"][..], &["apple", "kiwi"]] {
        let holder = cluster.client();
        // A transaction that holds the lock for longer than a writer waits.
        cluster.fail(Fault::always("KvCommit", Effect::Swallow));
        let held = tokio::spawn({
            let mut transaction = holder.begin().await.unwrap();
            transaction.put("apple", "held").unwrap();
            transaction.put("pear", "held").unwrap();
            async move { transaction.commit().await }
        });
        while cluster.locked().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let transaction = writes(&client, keys).await;
        cluster.fail(Fault::always("KvPrewrite", Effect::Again(Duration::from_secs(20))));
        let error = transaction.commit().await.unwrap_err();
        assert!(matches!(&error, Error::Aborted { reason: AbortReason::Locked { .. }, .. }), "{error}");
        cluster.state.lock().faults.clear();
        drop(held.await);
        // The holder's time is over; its locks go when somebody meets them.
        tokio::time::sleep(Duration::from_secs(10)).await;
        client.batch_get(["apple", "pear"]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(20)).await;
        let found = client.batch_get(keys).await.unwrap();
        assert!(found.values().all(|value| value == "held"), "it was called aborted: {found:?}");
        assert_eq!(cluster.locked(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn locks_of_a_dead_client_are_committed_if_all_are_there_and_else_rolled_back() {
    for all in [true, false] {
        let (cluster, client) = choosing();
        let transaction = writes(&client, &["apple", "kiwi", "pear"]).await;
        let start_ts = transaction.start_ts();
        if !all {
            cluster.fail(Fault::once("KvPrewrite", Effect::Late(Duration::from_secs(30))).in_region(3));
            cluster.fail(Fault::always("KvPrewrite", Effect::Swallow).in_region(3));
        }
        cluster.fail(Fault::always("KvCommit", Effect::Swallow));
        cluster.fail(Fault::always("KvCheckTxnStatus", Effect::Swallow));
        let outcome = transaction.commit().await;
        assert_eq!(outcome.is_ok(), all, "{outcome:?}");
        client.drain().await;
        cluster.state.lock().faults.clear();
        let reader = cluster.client();
        tokio::time::sleep(Duration::from_secs(8)).await;
        let found = reader.batch_get(["apple", "kiwi", "pear"]).await.unwrap();
        assert_eq!(found.len(), if all { 3 } else { 0 });
        if let Ok(commit_ts) = outcome {
            assert_eq!(reader.batch_get_at(["pear"], Timestamp(commit_ts.0 - 1)).await.unwrap().len(), 0);
            assert_eq!(reader.batch_get_at(["pear"], commit_ts).await.unwrap().len(), 1);
        }
        // What comes late finds the door closed.
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(reader.get("pear").await.unwrap().is_some(), all, "transaction {start_ts}");
        assert_eq!(cluster.locked(), [""; 0]);
    }
}
