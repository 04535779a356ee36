//! Regions, changed while they live: by the command line of the built binary against nodes of this process, and by
//! kvproto's own call. What cannot be done is refused with a reason, and nothing happens.

use std::process::{Command, Stdio};

use nokv_proto::kvrpcpb::SplitRegionRequest;
use nokv_proto::tikvpb::tikv_client::TikvClient;
use nokv_transport::RegionId;
use serde_json::Value;

use crate::cluster::{Cluster, STORES};
use crate::rig::{Rig, bytes_of, context, key};

/// Runs the binary on the cluster; exit code, standard output, standard error.
async fn nokv(cluster: &Cluster, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nokv"));
    command.args(words).args(["--timeout", "120", "--config"]).arg(cluster.config()).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// As [`nokv`], which must succeed and answer JSON.
async fn done(cluster: &Cluster, words: &[&str]) -> Value {
    let (code, out, err) = nokv(cluster, &[words, &["--json"]].concat()).await;
    assert_eq!(code, 0, "{words:?}: {err}");
    serde_json::from_str(&out).unwrap()
}

/// As [`nokv`], which must be refused with these words.
async fn refused(cluster: &Cluster, words: &[&str], told: &str) {
    let (code, out, err) = nokv(cluster, words).await;
    assert_eq!((code, out.as_str()), (1, ""), "{words:?}: {err}");
    assert!(err.contains(told), "{words:?}: {err}");
}

fn stores_of(region: &Value) -> Vec<(u64, String)> {
    let peers = region["peers"].as_array().unwrap().iter();
    peers.map(|peer| (peer["store_id"].as_u64().unwrap(), peer["member"].as_str().unwrap().to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_is_split_moved_to_an_empty_store_and_led_there() {
    let mut cluster = Cluster::start().await;
    cluster.put(1, "a", "1").await;
    cluster.put(1, "j", "1").await;
    let left = done(&cluster, &["region", "split", "1", "g"]).await;
    assert_eq!((&left["end_key"], &left["epoch"]["version"]), (&"g".into(), &2.into()));
    let listed = done(&cluster, &["region", "list"]).await;
    let listed = listed.as_array().unwrap();
    let starts: Vec<_> = listed.iter().map(|region| region["start_key"].as_str().unwrap()).collect();
    assert_eq!(starts, ["-", "g", "m"]);
    let new = listed[1]["id"].as_u64().unwrap();
    assert!(new >= 1 << 32, "drawn: {new}");
    let new_text = new.to_string();

    let merged = done(&cluster, &["region", "merge", "2", &new_text]).await;
    assert_eq!((&merged["start_key"], &merged["end_key"]), (&"g".into(), &"-".into()));

    // A store that the regions of the topology do not name begins empty, and is given a peer.
    cluster.start_node(4).await;
    assert!(cluster.node(4).raftstore().regions().is_empty());
    let added = done(&cluster, &["region", "add-peer", &new_text, "4"]).await;
    assert_eq!(stores_of(&added).last(), Some(&(4, "voter".to_owned())));
    let leader = added["leader_store_id"].as_u64().unwrap();
    let gone = STORES.into_iter().find(|store| *store != leader).unwrap();
    let removed = done(&cluster, &["region", "remove-peer", &new_text, &gone.to_string()]).await;
    assert_eq!(removed["peers"].as_array().unwrap().len(), 3);
    // Done already: nothing happens.
    done(&cluster, &["region", "add-peer", &new_text, "4"]).await;
    let led = done(&cluster, &["region", "transfer-leader", &new_text, "4"]).await;
    assert_eq!(led["leader_store_id"], 4);
    // The peer that leads hands over by itself before it goes.
    let removed = done(&cluster, &["region", "remove-peer", &new_text, "4"]).await;
    let stores: Vec<u64> = stores_of(&removed).iter().map(|(store, _)| *store).collect();
    assert_eq!((stores.len(), stores.contains(&4)), (2, false), "what is answered is the region as it is now");
    cluster.alike(new, &stores).await;
    cluster.alike(1, &STORES).await;
    while cluster.node(4).raftstore().region(RegionId(new)).is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_done_to_a_region_is_refused_with_a_reason() {
    let mut cluster = Cluster::start().await;
    let leader = cluster.put(1, "a", "1").await;
    for (words, told) in [
        (&["region", "show", "9"][..], "no store has a region 9"),
        (&["region", "split", "9", "g"], "no store has a region 9"),
        (&["region", "split", "1", "z"], "z is not in region 1, which holds - up to m"),
        (&["region", "split", "1", "m"], "m is not in region 1"),
        (&["region", "split", "2", "m"], "region 2 begins at m already"),
        (&["region", "split", "1", "g", "--ids", "2,7,8,9"], "region id 2 is taken"),
        (&["region", "merge", "1", "1"], "not into itself"),
        (&["region", "merge", "1", "9"], "no store has a region 9"),
        (&["region", "add-peer", "1", "9"], "store 9 is not in the topology file; it has 1, 2, 3"),
        (&["region", "remove-peer", "1", "9"], "region 1 has no peer on store 9"),
        (&["region", "transfer-leader", "1", "9"], "region 1 has no peer on store 9"),
    ] {
        refused(&cluster, words, told).await;
    }
    let (code, _, err) = nokv(&cluster, &["region", "split", "1", "g", "--ids", "7,8"]).await;
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("each of the 1 keys takes 4"), "{err}");

    // Two of three are a quorum, one of the two that would remain is not.
    let others: Vec<u64> = STORES.into_iter().filter(|store| *store != leader).collect();
    cluster.stop_node(others[0]).await;
    let (remains, goes) = (others[0].to_string(), others[1].to_string());
    refused(&cluster, &["region", "remove-peer", "1", &goes], "region 1 would lose its quorum").await;
    done(&cluster, &["region", "remove-peer", "1", &remains]).await;
    cluster.put(1, "a", "2").await;
    cluster.stop().await;
}

/// What a wiped store once promised is forgotten by it, not by the others: it must not come back as if nothing were.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_lost_its_directory_begins_empty_and_is_refilled() {
    let mut cluster = Cluster::start().await;
    cluster.put(1, "a", "1").await;
    cluster.put(2, "n", "1").await;
    cluster.stop_node(3).await;
    std::fs::remove_dir_all(cluster.folder.path().join("3")).unwrap();
    cluster.put(1, "b", "2").await;
    cluster.start_node(3).await;
    assert!(cluster.node(3).raftstore().regions().is_empty(), "the topology's peers lived in the earlier directory");
    let refilled = done(&cluster, &["region", "refill", "3"]).await;
    assert_eq!(refilled["refilled_region_ids"], serde_json::json!([1, 2]));
    let shown = done(&cluster, &["region", "show", "1"]).await;
    let own = shown["peers"].as_array().unwrap().iter().find(|peer| peer["store_id"] == 3).unwrap();
    assert!(own["peer_id"].as_u64().unwrap() >= 1 << 32 && own["member"] == "voter", "{own}");
    cluster.alike(1, &STORES).await;
    cluster.alike(2, &STORES).await;
    let again = done(&cluster, &["region", "refill", "3"]).await;
    assert_eq!(again["refilled_region_ids"], serde_json::json!([]));
    // The new directory is known by now, and starts like any other.
    cluster.stop_node(3).await;
    cluster.start_node(3).await;
    assert_eq!(cluster.node(3).raftstore().regions().len(), 2);
    cluster.stop().await;
}

#[tokio::test]
async fn kvprotos_call_splits_at_user_keys() {
    let rig = Rig::start().await;
    let mut client = TikvClient::connect(format!("http://{}", rig.address)).await.unwrap();
    let request = |keys: &[&str]| SplitRegionRequest {
        context: Some(context(1)),
        split_keys: bytes_of(keys),
        ..Default::default()
    };
    let outside = client.split_region(request(&["z"])).await.unwrap().into_inner().region_error.unwrap();
    assert_eq!(outside.key_not_in_region.unwrap().key, key("z"));
    let regions = client.split_region(request(&["h", "c", "h"])).await.unwrap().into_inner().regions;
    let ends: Vec<_> = regions.iter().map(|region| region.end_key.clone()).collect();
    assert_eq!(ends, ["c", "h", "m"].map(crate::rig::bound));
    // The old epoch is answered with all that came of the region.
    let stale = client.split_region(request(&["b"])).await.unwrap().into_inner().region_error.unwrap();
    let current: Vec<u64> = stale.epoch_not_match.unwrap().current_regions.iter().map(|region| region.id).collect();
    assert_eq!(current, regions.iter().map(|region| region.id).collect::<Vec<_>>());
    let empty = client.split_region(request(&[""])).await.unwrap_err();
    assert_eq!(empty.code(), tonic::Code::InvalidArgument);
    let raw = SplitRegionRequest { is_raw_kv: true, ..request(&["d"]) };
    assert_eq!(client.split_region(raw).await.unwrap_err().code(), tonic::Code::InvalidArgument);
    drop(client);
    rig.stop().await;
}
