//! Our client over streams against the real service: the whole of it, also past refusals and a stream's end.
//! Answers must come to whoever asked, whatever else is on the stream.

use std::sync::Arc;
use std::time::Duration;

use nokv_client::{Client, Located, Options, Rpc, RpcError, ScanRange, StaticDirectory, StreamRpc, Topology};
use nokv_proto::kvrpcpb::RawGetRequest;
use nokv_proto::tinykvpb::{CheckTxnStatusRequest, PrewriteRequest};

use crate::rig::{Counter, Rig, STORE, context, key, ms, put, region};

fn client(rig: &Rig) -> Client {
    let regions = [region(1, "", "m"), region(2, "m", "")].map(|region| Located { leader: None, region });
    let topology = Topology::new([(STORE, rig.address.to_string())], regions).unwrap();
    let oracle = Counter::from_ms(1_000);
    // Nothing here depends on how fast it is, so nothing may fail for being slow.
    let patient = Duration::from_secs(120);
    let options = Options { deadline: patient, request_timeout: patient, ..Options::default() };
    let directory = Arc::new(StaticDirectory::new(topology));
    Client::new(Arc::new(StreamRpc::default()), Arc::new(oracle), directory, options)
}

#[tokio::test]
async fn a_clients_whole_life() {
    let rig = Rig::start().await;
    let client = client(&rig);
    let mut transaction = client.begin().await.unwrap();
    for name in ["apple", "kiwi", "quince"] {
        transaction.put(name, name).unwrap();
    }
    transaction.lock_key("b").unwrap();
    transaction.commit().await.unwrap();
    client.drain().await;
    assert_eq!(client.background_failures(), 0);
    let names: Vec<_> = client.scan(ScanRange::all(), 10).await.unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(names, ["apple", "kiwi", "quince"]);
    client.delete("kiwi").await.unwrap();
    assert_eq!(client.batch_get(["apple", "kiwi"]).await.unwrap().len(), 1);

    // Left by a writer that is gone: whoever meets it asks its primary, and resolves.
    let lock = PrewriteRequest {
        context: Some(context(1)),
        mutations: vec![put("blue", "left")],
        primary_lock: key("blue"),
        start_version: ms(1),
        lock_ttl: 1,
    };
    rig.client.clone().kv_prewrite(lock).await.unwrap();
    assert_eq!(client.get("blue").await.unwrap(), None);

    let puts: Vec<_> = (0..200).map(|number| format!("{number:03}")).collect();
    futures_util::future::try_join_all(puts.iter().map(|name| client.raw_put(name, name.clone()))).await.unwrap();
    assert_eq!(client.raw_scan(ScanRange::all(), 1_000).await.unwrap().len(), 200);
    client.raw_delete("007").await.unwrap();
    assert_eq!(client.raw_get("007").await.unwrap(), None);
    drop(client);
    rig.stop().await;
}

#[tokio::test]
async fn refusals_are_those_of_calls() {
    let rig = Rig::start().await;
    let (rpc, at) = (StreamRpc::default(), rig.address.to_string());
    let error = rpc.raw_get(&at, RawGetRequest::default()).await.unwrap_err();
    assert!(matches!(&error, RpcError::Refused(text) if text.contains("no context")), "{error:?}");
    let status = CheckTxnStatusRequest { context: Some(context(1)), ..Default::default() };
    let error = rpc.kv_check_txn_status(&at, status).await.unwrap_err();
    assert!(matches!(&error, RpcError::Refused(text) if text.contains("primary_key")), "{error:?}");
    drop(rpc);
    rig.stop().await;
}

/// A scan whose answer would be too large is asked for in smaller parts, as over calls.
#[tokio::test]
async fn a_scan_that_is_too_large_is_asked_for_in_parts() {
    let rig = Rig::start().await;
    let client = client(&rig);
    let value = vec![7; 3 << 20];
    for name in ["a", "b", "c", "d", "e", "f"] {
        client.raw_put(name, value.clone()).await.unwrap();
    }
    let pairs = client.raw_scan(ScanRange::all(), 100).await.unwrap();
    assert!(pairs.len() == 6 && pairs.iter().all(|(_, found)| found == &value));
    drop(client);
    rig.stop().await;
}

#[tokio::test]
async fn a_store_that_stops_is_found_again_where_it_comes_back() {
    let rig = Rig::start().await;
    let (rpc, at) = (StreamRpc::default(), rig.address.to_string());
    let get = || RawGetRequest { context: Some(context(1)), key: key("a"), ..Default::default() };
    assert!(rpc.raw_get(&at, get()).await.unwrap().not_found);
    rig.stop().await;
    let error = rpc.raw_get(&at, get()).await.unwrap_err();
    assert!(matches!(error, RpcError::Unreachable(_) | RpcError::Disconnected(_)), "{error:?}");
    let again = Rig::start().await;
    let at = again.address.to_string();
    assert!(rpc.raw_get(&at, get()).await.unwrap().not_found);
    drop(rpc);
    again.stop().await;
}
