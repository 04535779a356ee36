//! Sizes: what is too large is refused with a text that names the bound, and the connection goes on.
//! What is allowed is tried as well, up to its bound: a limit that is too low would be a defect too.

use bytes::Bytes;
use nokv_proto::kvrpcpb::{RawGetRequest, RawPutRequest};
use nokv_proto::tinykvpb::PrewriteRequest;
use nokv_server::service::MESSAGE_BYTES_MAX;
use tonic::Code;

use crate::rig::{Rig, context, key, put};

const MIB: usize = 1 << 20;

fn raw_put(bytes: usize) -> RawPutRequest {
    let value = Bytes::from(vec![7; bytes]);
    RawPutRequest { context: Some(context(1)), key: key("a"), value, ..Default::default() }
}

#[tokio::test]
async fn a_value_beyond_a_message_is_refused_by_its_length() {
    let mut rig = Rig::start().await;
    for bytes in [64 * MIB, MESSAGE_BYTES_MAX + 1] {
        let status = rig.client.raw_put(raw_put(bytes)).await.unwrap_err();
        assert!(matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted), "{status:?}");
        assert!(status.message().contains(&MESSAGE_BYTES_MAX.to_string()), "{status:?}");
    }
    assert_eq!(rig.client.raw_put(raw_put(1)).await.unwrap().into_inner(), Default::default());
    rig.stop().await;
}

#[tokio::test]
async fn a_write_beyond_a_log_entry_is_a_region_error() {
    let mut rig = Rig::start().await;
    let response = rig.client.raw_put(raw_put(9 * MIB)).await.unwrap().into_inner();
    let error = response.region_error.unwrap();
    let too_large = error.raft_entry_too_large.unwrap();
    assert_eq!(too_large.region_id, 1);
    assert!(too_large.entry_size > 9 * MIB as u64);
    assert!(error.message.contains("split it"), "{}", error.message);

    let mut large = put("b", "");
    large.value = Bytes::from(vec![7; 9 * MIB]);
    let request = PrewriteRequest {
        context: Some(context(1)),
        mutations: vec![large],
        primary_lock: key("b"),
        start_version: 10,
        lock_ttl: 1,
    };
    let response = rig.client.kv_prewrite(request).await.unwrap().into_inner();
    assert!(response.region_error.unwrap().raft_entry_too_large.is_some());
    assert_eq!(rig.read(1, "b", 30).await, "-");
    rig.stop().await;
}

#[tokio::test]
async fn a_value_of_several_mebibytes_is_fine() {
    let mut rig = Rig::start().await;
    assert_eq!(rig.client.raw_put(raw_put(7 * MIB)).await.unwrap().into_inner(), Default::default());
    let request = RawGetRequest { context: Some(context(1)), key: key("a"), ..Default::default() };
    let mut client = rig.client.clone().max_decoding_message_size(MESSAGE_BYTES_MAX);
    assert_eq!(client.raw_get(request).await.unwrap().into_inner().value.len(), 7 * MIB);
    drop(client);
    rig.stop().await;
}

#[tokio::test]
async fn a_key_has_a_longest_length() {
    let mut rig = Rig::start().await;
    let long = "k".repeat(64 << 10);
    rig.write(1, 10, 20, &[(&long, "v")]).await;
    assert_eq!(rig.read(1, &long, 30).await, "v");
    let request = RawPutRequest { context: Some(context(1)), key: key(&(long + "k")), ..Default::default() };
    let status = rig.client.raw_put(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("65536"), "{status:?}");
    rig.stop().await;
}
