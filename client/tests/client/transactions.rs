//! Transactions over several regions: what they see, what they write, in which order, and what they leave behind.
//! The fake cluster keeps a record of every request, so that the order in which things happen can be asserted.

use std::time::Duration;

use nokv_client::{AbortReason, Error, InvalidInput, Mutation, Options, Timestamp};

use crate::cluster::Cluster;
use crate::faults::{Effect, Fault};

#[tokio::test(start_paused = true)]
async fn all_regions_are_prewritten_at_once_then_the_primary_decides() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let mut transaction = client.begin().await.unwrap();
    for key in ["apple", "banana", "kiwi", "quince"] {
        transaction.put(key, "1").unwrap();
    }
    let commit_ts = transaction.commit().await.unwrap();
    assert_eq!(cluster.committed("apple").as_deref(), Some("1"));
    client.drain().await;
    assert_eq!(cluster.locked(), [""; 0]);
    assert_eq!(client.get_at("quince", commit_ts).await.unwrap().unwrap(), "1");
    assert_eq!(client.get_at("quince", Timestamp(commit_ts.0 - 1)).await.unwrap(), None);
    let trace = cluster.take_trace();
    assert_eq!(
        trace.get(..6).unwrap(),
        [
            "KvPrewrite region 1 store 1 [apple banana]: ok",
            "KvPrewrite region 2 store 2 [kiwi]: ok",
            "KvPrewrite region 3 store 3 [quince]: ok",
            // The primary takes its neighbour along.
            "KvCommit region 1 store 1 [apple banana]: ok",
            "KvCommit region 2 store 2 [kiwi]: ok",
            "KvCommit region 3 store 3 [quince]: ok",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_transaction_reads_its_snapshot_and_its_own_writes() {
    let cluster = Cluster::new();
    let client = cluster.client();
    client.put("apple", "old").await.unwrap();
    client.put("kiwi", "old").await.unwrap();
    let mut transaction = client.begin().await.unwrap();
    client.put("quince", "too late").await.unwrap();
    client.put("kiwi", "too late").await.unwrap();
    transaction.put("banana", "own").unwrap();
    transaction.delete("apple").unwrap();
    transaction.lock_key("kiwi").unwrap();
    assert_eq!(transaction.get("apple").await.unwrap(), None);
    assert_eq!(transaction.get("banana").await.unwrap().unwrap(), "own");
    assert_eq!(transaction.get("kiwi").await.unwrap().unwrap(), "old");
    let values = transaction.batch_get(["apple", "banana", "kiwi", "quince"]).await.unwrap();
    let values: Vec<_> = values.iter().map(|(key, value)| (key.as_ref(), value.as_ref())).collect();
    assert_eq!(values, [(&b"banana"[..], &b"own"[..]), (b"kiwi", b"old")]);
    transaction.rollback();
    client.drain().await;
    assert_eq!((cluster.committed("apple").as_deref(), cluster.committed("banana")), (Some("old"), None));
    assert_eq!(cluster.locked(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_second_of_two_writers_is_aborted_and_cleaned_up() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let mut slow = client.begin().await.unwrap();
    slow.put("apple", "slow").unwrap();
    slow.put("kiwi", "slow").unwrap();
    let start_ts = slow.start_ts();
    let mut fast = client.begin().await.unwrap();
    fast.put("kiwi", "fast").unwrap();
    let fast_ts = fast.start_ts();
    fast.commit().await.unwrap();
    cluster.take_trace();
    let error = slow.commit().await.unwrap_err();
    let reason = AbortReason::Conflict { key: "kiwi".into(), by: fast_ts };
    assert_eq!(error, Error::Aborted { start_ts, reason });
    assert!(error.is_retryable() && !error.is_undetermined());
    client.drain().await;
    assert_eq!(cluster.locked(), [""; 0]);
    assert_eq!((cluster.committed("apple"), cluster.committed("kiwi").as_deref()), (None, Some("fast")));
    let trace = cluster.take_trace();
    let rollbacks: Vec<_> = trace.iter().filter(|line| line.starts_with("KvBatchRollback")).collect();
    assert_eq!(
        rollbacks,
        ["KvBatchRollback region 1 store 1 [apple]: ok"],
        "only what may have been locked: {trace:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_locked_key_guards_a_read() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let mut reader = client.begin().await.unwrap();
    reader.lock_key("kiwi").unwrap();
    reader.put("apple", "decided on kiwi").unwrap();
    client.put("kiwi", "changed").await.unwrap();
    assert!(matches!(reader.commit().await, Err(Error::Aborted { reason: AbortReason::Conflict { .. }, .. })));
    let mut reader = client.begin().await.unwrap();
    reader.lock_key("kiwi").unwrap();
    reader.put("apple", "decided on kiwi").unwrap();
    reader.commit().await.unwrap();
    client.drain().await;
    assert_eq!(cluster.committed("kiwi").as_deref(), Some("changed"));
    assert_eq!(cluster.locked(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn regions_may_split_between_prewrite_and_commit() {
    let cluster = Cluster::new();
    let client = cluster.client();
    cluster.fail(Fault::before("KvCommit", |state| {
        state.split("b", 4);
        state.split("k", 5);
        state.split("m", 6);
    }));
    let mut transaction = client.begin().await.unwrap();
    for key in ["apple", "banana", "jujube", "kiwi", "mango"] {
        transaction.put(key, "1").unwrap();
    }
    transaction.commit().await.unwrap();
    client.drain().await;
    for key in ["apple", "banana", "jujube", "kiwi", "mango"] {
        assert_eq!(cluster.committed(key).as_deref(), Some("1"), "{key}");
    }
    assert_eq!(cluster.locked(), [""; 0]);
    assert_eq!(client.background_failures(), 0);
    let trace = cluster.take_trace();
    assert!(trace.contains(&"KvCommit region 1 store 1 [apple banana]: epoch not match".to_owned()), "{trace:#?}");
    assert!(trace.contains(&"KvCommit region 1 store 1 [apple]: ok".to_owned()), "{trace:#?}");
}

#[tokio::test(start_paused = true)]
async fn regions_may_split_and_leaders_move_during_prewrite() {
    let cluster = Cluster::new();
    let client = cluster.client();
    cluster.fail(Fault::before("KvPrewrite", |state| {
        state.split("b", 4);
        state.regions.get_mut(&3).unwrap().leader = Some(2);
    }));
    let mut transaction = client.begin().await.unwrap();
    for key in ["apple", "banana", "cherry", "quince"] {
        transaction.put(key, "1").unwrap();
    }
    transaction.commit().await.unwrap();
    client.drain().await;
    for key in ["apple", "banana", "cherry", "quince"] {
        assert_eq!(cluster.committed(key).as_deref(), Some("1"), "{key}");
    }
    assert_eq!(cluster.locked(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_prewrite_that_is_never_served_is_cleaned_up_where_it_was() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let repair = cluster.clone();
    cluster.lead(3, None);
    let mut transaction = client.begin().await.unwrap();
    transaction.put("apple", "1").unwrap();
    transaction.put("quince", "1").unwrap();
    let error = transaction.commit().await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { operation: "commit", .. }), "{error}");
    repair.lead(3, Some(3));
    client.drain().await;
    assert_eq!(cluster.locked(), [""; 0]);
    assert_eq!(cluster.committed("apple"), None);
}

#[tokio::test(start_paused = true)]
async fn a_prewrite_that_comes_late_finds_the_door_closed() {
    let cluster = Cluster::new();
    let deadline = Duration::from_secs(3);
    let two_phases = Options { one_phase_commit: false, async_commit: false, ..Options::default() };
    let client = cluster.client_with(Options { deadline, ..two_phases });
    // Lost for the client, and delivered long after it has given up and cleaned up.
    cluster.fail(Fault::always("KvPrewrite", Effect::Late(Duration::from_secs(20))));
    let mut transaction = client.begin().await.unwrap();
    transaction.put("apple", "1").unwrap();
    transaction.put("kiwi", "1").unwrap();
    assert!(matches!(transaction.commit().await, Err(Error::Unavailable { .. })));
    client.drain().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(cluster.locked(), [""; 0]);
    let trace = cluster.take_trace();
    let late = trace.iter().filter(|line| line.starts_with("KvPrewrite") && line.ends_with(": conflict")).count();
    assert!(late > 1, "{trace:#?}");
}

#[tokio::test(start_paused = true)]
async fn requests_that_arrive_twice_change_nothing() {
    let cluster = Cluster::new();
    let client = cluster.client();
    for call in ["KvPrewrite", "KvCommit"] {
        cluster.fail(Fault::always(call, Effect::Again(Duration::from_millis(300))));
    }
    for round in 0..3 {
        let mut transaction = client.begin().await.unwrap();
        transaction.put("apple", format!("{round}")).unwrap();
        transaction.put("kiwi", format!("{round}")).unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(client.get("apple").await.unwrap().unwrap(), format!("{round}"));
    }
    client.drain().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(cluster.committed("kiwi").as_deref(), Some("2"));
    assert_eq!(cluster.locked(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn large_transactions_go_in_batches() {
    let cluster = Cluster::new();
    let client = cluster.client_with(Options { batch_keys_max: 10, concurrency: 3, ..Options::default() });
    let mut transaction = client.begin().await.unwrap();
    let keys: Vec<String> = (0..95).map(|n| format!("{}{n:03}", ["a", "k", "q"][n % 3])).collect();
    for key in &keys {
        transaction.put(key, "1").unwrap();
    }
    transaction.commit().await.unwrap();
    client.drain().await;
    assert!(keys.iter().all(|key| cluster.committed(key).is_some()));
    assert_eq!(cluster.locked(), [""; 0]);
    let prewrites = cluster.take_trace().iter().filter(|line| line.starts_with("KvPrewrite")).count();
    assert_eq!(prewrites, 12);
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_caller_went_away_still_ends() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let mut transaction = client.begin().await.unwrap();
    transaction.put("apple", "1").unwrap();
    transaction.put("kiwi", "1").unwrap();
    let given_up = tokio::time::timeout(Duration::from_millis(1), transaction.commit()).await;
    assert!(given_up.is_err());
    client.drain().await;
    assert_eq!((cluster.committed("kiwi").as_deref(), cluster.locked()), (Some("1"), vec![]));
}

#[tokio::test(start_paused = true)]
async fn given_timestamps_are_used_and_checked() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let (start_ts, commit_ts) = (Timestamp(100), Timestamp(200));
    let mutations = vec![Mutation::put("kiwi", "v"), Mutation::delete("apple"), Mutation::put("kiwi", "last wins")];
    client.mutate("kiwi", mutations.clone(), start_ts, commit_ts, 3_000).await.unwrap();
    client.drain().await;
    assert_eq!(client.get_at("kiwi", Timestamp(199)).await.unwrap(), None);
    assert_eq!(client.get_at("kiwi", Timestamp(200)).await.unwrap().unwrap(), "last wins");
    let bad = |result: Result<(), Error>| match result {
        Err(Error::InvalidInput(input)) => input,
        other => panic!("{other:?}"),
    };
    let same = client.mutate("kiwi", mutations.clone(), commit_ts, commit_ts, 1).await;
    assert_eq!(bad(same), InvalidInput::Timestamps { start_ts: commit_ts, commit_ts });
    let stranger = client.mutate("quince", mutations, start_ts, commit_ts, 1).await;
    assert_eq!(bad(stranger), InvalidInput::PrimaryNotMutated { primary: "quince".into() });
    assert_eq!(bad(client.mutate("kiwi", vec![], start_ts, commit_ts, 1).await), InvalidInput::NoMutations);
    let commit_ts =
        client.two_phase_commit("apple", vec![Mutation::put("apple", "2")], client.timestamp().await.unwrap());
    let commit_ts = commit_ts.await.unwrap();
    assert_eq!(client.get_at("apple", commit_ts).await.unwrap().unwrap(), "2");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_refused_before_anything_is_sent() {
    let cluster = Cluster::new();
    let options = Options {
        key_bytes_max: 10,
        value_bytes_max: 100,
        transaction_keys_max: 3,
        transaction_bytes_max: 150,
        ..Options::default()
    };
    let client = cluster.client_with(options);
    let mut transaction = client.begin().await.unwrap();
    let input = |result: Result<(), Error>| match result {
        Err(Error::InvalidInput(input)) => input,
        other => panic!("{other:?}"),
    };
    assert_eq!(input(transaction.put("", "v")), InvalidInput::EmptyKey);
    let long = InvalidInput::KeyTooLong { bytes: 11, bytes_max: 10 };
    assert_eq!(input(transaction.delete("12345678901")), long);
    let large = InvalidInput::ValueTooLarge { key: "k".into(), bytes: 101, bytes_max: 100 };
    assert_eq!(input(transaction.put("k", vec![0; 101])), large);
    transaction.put("a", vec![0; 100]).unwrap();
    let full = InvalidInput::TransactionTooLarge { keys: 2, bytes: 202, keys_max: 3, bytes_max: 150 };
    assert_eq!(input(transaction.put("b", vec![0; 100])), full);
    transaction.put("a", "small").unwrap();
    transaction.put("b", vec![0; 100]).unwrap();
    transaction.delete("c").unwrap();
    assert!(matches!(input(transaction.delete("d")), InvalidInput::TransactionTooLarge { keys: 4, .. }));
    assert_eq!(client.get("").await, Err(InvalidInput::EmptyKey.into()));
    assert_eq!(cluster.take_trace(), [""; 0]);
    transaction.commit().await.unwrap();
    assert_eq!(cluster.committed("a").as_deref(), Some("small"));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_the_store_finds_too_large_is_the_callers_to_fix() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let large = nokv_proto::errorpb::RaftEntryTooLarge { region_id: 2, entry_size: 999 };
    let error = nokv_proto::errorpb::Error { raft_entry_too_large: Some(large), ..Default::default() };
    cluster.fail(Fault::once("KvPrewrite", Effect::RegionError(Box::new(error))).in_region(2));
    let mut transaction = client.begin().await.unwrap();
    transaction.put("apple", "1").unwrap();
    transaction.put("kiwi", "1").unwrap();
    let input = InvalidInput::WriteTooLarge { region: 2, entry_bytes: 999 };
    assert_eq!(transaction.commit().await, Err(Error::InvalidInput(input)));
    client.drain().await;
    assert_eq!(cluster.locked(), [""; 0]);
}
