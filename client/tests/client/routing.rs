//! Finding the region, its leader, and a store that answers.
//! Leaders move, regions split and stores die under way; the caller sees only an answer, or an error at its deadline.

use std::time::Duration;

use nokv_client::{Error, Options};
use nokv_proto::errorpb;
use tokio::time::Instant;

use crate::cluster::{Cluster, peer};
use crate::faults::{Effect, Fault};

#[tokio::test(start_paused = true)]
async fn each_key_goes_to_its_regions_leader() {
    let cluster = Cluster::new();
    let client = cluster.client();
    for key in ["apple", "kiwi", "quince"] {
        client.put(key, key).await.unwrap();
        assert_eq!(client.get(key).await.unwrap().unwrap(), key);
    }
    assert_eq!(
        cluster.take_trace(),
        [
            "KvPrewrite region 1 store 1 [apple]: ok",
            "KvCommit region 1 store 1 [apple]: ok",
            "KvGet region 1 store 1 [apple]: ok",
            "KvPrewrite region 2 store 2 [kiwi]: ok",
            "KvCommit region 2 store 2 [kiwi]: ok",
            "KvGet region 2 store 2 [kiwi]: ok",
            "KvPrewrite region 3 store 3 [quince]: ok",
            "KvCommit region 3 store 3 [quince]: ok",
            "KvGet region 3 store 3 [quince]: ok",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_named_leader_is_asked_at_once_and_remembered() {
    let cluster = Cluster::new();
    let client = cluster.client();
    cluster.lead(1, Some(3));
    let began = Instant::now();
    assert_eq!(client.get("apple").await.unwrap(), None);
    assert!(began.elapsed() < Duration::from_millis(10), "{:?}", began.elapsed());
    client.get("banana").await.unwrap();
    assert_eq!(
        cluster.take_trace(),
        [
            "KvGet region 1 store 1 [apple]: not leader",
            "KvGet region 1 store 3 [apple]: ok",
            "KvGet region 1 store 3 [banana]: ok",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_dead_leader_is_left_for_the_peer_that_took_over() {
    let cluster = Cluster::new();
    let client = cluster.client();
    client.put("apple", "1").await.unwrap();
    cluster.state.lock().down.insert(1);
    cluster.lead(1, None);
    let election = cluster.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        election.lead(1, Some(2));
    });
    let began = Instant::now();
    assert_eq!(client.get("apple").await.unwrap().unwrap(), "1");
    assert!(began.elapsed() < Duration::from_millis(1_800), "{:?}", began.elapsed());
    cluster.take_trace();
    client.get("apple").await.unwrap();
    assert_eq!(cluster.take_trace(), ["KvGet region 1 store 2 [apple]: ok"]);
}

#[tokio::test(start_paused = true)]
async fn followers_that_still_name_a_dead_leader_do_not_hold_the_client() {
    let cluster = Cluster::new();
    let client = cluster.client();
    cluster.state.lock().down.insert(1);
    let election = cluster.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        election.lead(1, Some(3));
    });
    let began = Instant::now();
    client.get("apple").await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(1_300), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_silent_costs_one_time_out() {
    let cluster = Cluster::new();
    let client = cluster.client();
    cluster.fail(Fault::once("KvGet", Effect::Swallow));
    cluster.fail(Fault::before("KvGet", |state| state.regions.get_mut(&1).unwrap().leader = Some(2)));
    let began = Instant::now();
    client.get("apple").await.unwrap();
    let timeout = Options::default().request_timeout;
    assert!(began.elapsed() >= timeout && began.elapsed() < timeout + Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_kept_when_nobody_leads() {
    let cluster = Cluster::new();
    let client = cluster.client_with(Options { deadline: Duration::from_secs(4), ..Options::default() });
    cluster.lead(2, None);
    let began = Instant::now();
    let error = client.get("kiwi").await.unwrap_err();
    let Error::Unavailable { operation: "get", waited, last } = &error else { panic!("{error}") };
    assert_eq!((waited.as_secs(), began.elapsed().as_secs()), (4, 4));
    assert!(last.contains("not leader"), "{last}");
    let asked = cluster.take_trace();
    assert!((15..60).contains(&asked.len()), "{} requests in four seconds", asked.len());
    client.get("apple").await.expect("the other regions are served");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_kept_when_stores_are_silent_or_dead() {
    let cluster = Cluster::new();
    let client = cluster.client();
    cluster.fail(Fault::always("KvGet", Effect::Swallow));
    let began = Instant::now();
    assert!(matches!(client.get("kiwi").await, Err(Error::Unavailable { .. })));
    assert_eq!(began.elapsed(), Options::default().deadline);
    cluster.state.lock().down.extend([1, 2, 3]);
    let began = Instant::now();
    let error = client.put("kiwi", "1").await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable { last, .. } if last.contains("connection refused")), "{error}");
    assert_eq!(began.elapsed(), Options::default().deadline);
}

#[tokio::test(start_paused = true)]
async fn a_split_is_learned_from_the_store() {
    let cluster = Cluster::new();
    let client = cluster.client();
    client.get("apple").await.unwrap();
    cluster.split("c", 4);
    cluster.take_trace();
    client.put("dill", "1").await.unwrap();
    assert_eq!(client.get("apple").await.unwrap(), None);
    assert_eq!(
        cluster.take_trace(),
        [
            "KvPrewrite region 1 store 1 [dill]: epoch not match",
            // The new region is most likely led where its parent was; this one is not.
            "KvPrewrite region 4 store 1 [dill]: not leader",
            "KvPrewrite region 4 store 2 [dill]: ok",
            "KvCommit region 4 store 2 [dill]: ok",
            "KvGet region 1 store 1 [apple]: ok",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn region_errors_of_every_kind_are_overcome() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let error = |message: &str| errorpb::Error { message: message.to_owned(), ..Default::default() };
    let errors = [
        errorpb::Error { stale_command: Some(errorpb::StaleCommand {}), ..error("stale") },
        errorpb::Error { region_not_found: Some(errorpb::RegionNotFound { region_id: 1 }), ..error("gone") },
        errorpb::Error { key_not_in_region: Some(errorpb::KeyNotInRegion::default()), ..error("outside") },
        errorpb::Error { store_not_match: Some(errorpb::StoreNotMatch::default()), ..error("other store") },
        errorpb::Error { epoch_not_match: Some(errorpb::EpochNotMatch::default()), ..error("epoch, no regions") },
        errorpb::Error { read_index_not_ready: Some(errorpb::ReadIndexNotReady::default()), ..error("not ready") },
        errorpb::Error { disk_full: Some(errorpb::DiskFull::default()), ..error("disk full") },
        error("nothing said"),
    ];
    for error in errors {
        let what = error.message.clone();
        cluster.fail(Fault::once("KvPrewrite", Effect::RegionError(Box::new(error))));
        client.put("apple", what.clone()).await.unwrap();
        assert_eq!(cluster.committed("apple").unwrap(), what);
        assert_eq!(cluster.locked(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_store_is_given_the_time_it_asks_for() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let busy = errorpb::ServerIsBusy { reason: "queue".to_owned(), backoff_ms: 700, ..Default::default() };
    let error = errorpb::Error { server_is_busy: Some(busy), ..Default::default() };
    cluster.fail(Fault::once("KvGet", Effect::RegionError(Box::new(error))));
    let began = Instant::now();
    client.get("apple").await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(700) && began.elapsed() < Duration::from_millis(800));
}

#[tokio::test(start_paused = true)]
async fn a_leader_on_a_store_that_joined_later_is_followed() {
    let cluster = Cluster::new();
    let client = cluster.client();
    {
        let mut state = cluster.state.lock();
        let known = state.regions.get_mut(&1).unwrap();
        known.region.peers = [2, 3, 4].map(|store| peer(1, store)).to_vec();
        known.region.region_epoch.as_mut().unwrap().conf_ver = 3;
        known.leader = Some(4);
    }
    client.put("apple", "1").await.unwrap();
    assert_eq!(
        cluster.take_trace(),
        [
            "KvPrewrite region 1 store 1 [apple]: not leader",
            "KvPrewrite region 1 store 4 [apple]: epoch not match",
            "KvPrewrite region 1 store 4 [apple]: ok",
            "KvCommit region 1 store 4 [apple]: ok",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_oracle_may_be_away_for_a_while_but_not_for_ever() {
    let cluster = Cluster::new();
    let client = cluster.client();
    cluster.state.lock().oracle_down = true;
    let repair = cluster.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        repair.state.lock().oracle_down = false;
    });
    client.begin().await.unwrap();
    cluster.state.lock().oracle_down = true;
    let error = client.begin().await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable { last, .. } if last.contains("oracle is down")), "{error}");
}
