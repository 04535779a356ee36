//! Region errors: what each says, and that a response with one has nothing else.
//! By them a client finds its way, so they must hold all that it needs for the next attempt.

use nokv_proto::errorpb;
use nokv_proto::kvrpcpb::{Context, GetRequest, RawPutRequest, ScanRequest};
use nokv_proto::metapb::{Peer, RegionEpoch};
use nokv_proto::tinykvpb::PrewriteRequest;

use crate::rig::{Rig, bound, context, key, put, region};

impl Rig {
    async fn get_refused(&mut self, context: Context, name: &str) -> errorpb::Error {
        let request = GetRequest { context: Some(context), key: key(name), version: 30, ..Default::default() };
        let mut response = self.client.kv_get(request).await.unwrap().into_inner();
        let error = response.region_error.take().unwrap();
        assert_eq!(response, Default::default(), "a region error or an answer, never both");
        assert!(!error.message.is_empty());
        *error
    }
}

#[tokio::test]
async fn each_says_what_the_client_needs() {
    let mut rig = Rig::start().await;
    let elsewhere = Context { peer: Some(Peer { id: 9, store_id: 5, ..Default::default() }), ..context(1) };
    let error = rig.get_refused(elsewhere, "a").await.store_not_match.unwrap();
    assert_eq!((error.request_store_id, error.actual_store_id), (5, 1));

    let error = rig.get_refused(Context { region_id: 77, ..context(1) }, "a").await.region_not_found.unwrap();
    assert_eq!(error.region_id, 77);

    let epoch = Some(RegionEpoch { conf_ver: 1, version: 9 });
    let error = rig.get_refused(Context { region_epoch: epoch, ..context(1) }, "a").await.epoch_not_match.unwrap();
    assert_eq!(error.current_regions, [region(1, "", "m")]);

    let error = rig.get_refused(context(1), "z").await.key_not_in_region.unwrap();
    assert_eq!((error.region_id, &error.key[..]), (1, &b"z"[..]));
    assert_eq!((error.start_key, error.end_key), (bound(""), bound("m")), "bounds are encoded");

    assert!(rig.get_refused(Context { term: 999, ..context(1) }, "a").await.stale_command.is_some());
    rig.stop().await;
}

#[tokio::test]
async fn an_absent_epoch_or_peer_claims_nothing() {
    let mut rig = Rig::start().await;
    let bare = Context { region_id: 1, ..Default::default() };
    let request = GetRequest { context: Some(bare), key: key("a"), version: 30, ..Default::default() };
    assert!(rig.client.kv_get(request).await.unwrap().into_inner().not_found);
    rig.stop().await;
}

#[tokio::test]
async fn the_split_key_belongs_to_the_second_region() {
    let mut rig = Rig::start().await;
    assert!(rig.get_refused(context(1), "m").await.key_not_in_region.is_some());
    assert_eq!(rig.read(2, "m", 30).await, "-");
    assert_eq!(rig.read(1, "lzzzzzzzzzz", 30).await, "-");
    let scan = ScanRequest { context: Some(context(2)), start_key: key("l"), limit: 1, ..Default::default() };
    let error = rig.client.kv_scan(scan).await.unwrap().into_inner().region_error.unwrap();
    assert!(error.key_not_in_region.is_some(), "a scan sets out in its region");
    rig.stop().await;
}

#[tokio::test]
async fn a_write_with_one_key_outside_writes_nothing() {
    let mut rig = Rig::start().await;
    let request = PrewriteRequest {
        context: Some(context(1)),
        mutations: vec![put("a", "1"), put("z", "2")],
        primary_lock: key("a"),
        start_version: 10,
        lock_ttl: 1,
    };
    let response = rig.client.kv_prewrite(request).await.unwrap().into_inner();
    let error = response.region_error.unwrap().key_not_in_region.unwrap();
    assert_eq!((&error.key[..], response.errors.len()), (&b"z"[..], 0));
    assert_eq!(rig.read(1, "a", 30).await, "-");
    rig.stop().await;
}

#[tokio::test]
async fn raw_keys_are_compared_with_the_bounds_as_they_are() {
    let mut rig = Rig::start().await;
    // The bound is the encoded m, which is longer than the plain one and so behind it.
    let put =
        |region, name: &str| RawPutRequest { context: Some(context(region)), key: key(name), ..Default::default() };
    let error = rig.client.raw_put(put(2, "m")).await.unwrap().into_inner().region_error.unwrap();
    assert_eq!(&error.key_not_in_region.unwrap().key[..], b"m");
    assert_eq!(rig.client.raw_put(put(1, "m")).await.unwrap().into_inner().region_error, None);
    assert_eq!(rig.client.raw_put(put(2, "n")).await.unwrap().into_inner().region_error, None);
    rig.stop().await;
}
