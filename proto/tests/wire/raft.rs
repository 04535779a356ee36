//! What crosses between nodes: Raft's message as opaque bytes, frames of many, and images.
//! Nodes of different versions must understand each other while a cluster is upgraded.

use ::bytes::Bytes;
use nokv_proto::{metapb, raft_serverpb, tikvpb};
use prost::Message;

use crate::bytes::{assert_wire, block, number};

/// A few fields of Raft's own message, declared apart from the crate.
#[derive(Clone, PartialEq, prost::Message)]
struct Inner {
    #[prost(uint64, tag = "2")]
    to: u64,
    #[prost(uint64, tag = "4")]
    term: u64,
    #[prost(bytes = "vec", tag = "12")]
    context: Vec<u8>,
}

/// The envelope as kvproto declares it: with the message embedded.
#[derive(Clone, PartialEq, prost::Message)]
struct Embedding {
    #[prost(uint64, tag = "1")]
    region_id: u64,
    #[prost(message, optional, tag = "4")]
    message: Option<Inner>,
    #[prost(bool, tag = "6")]
    is_tombstone: bool,
}

#[test]
fn opaque_bytes_are_an_embedded_message_on_the_wire() {
    let inner = Inner { to: 2, term: 1 << 40, context: vec![0, 255, 7] };
    let embedding = Embedding { region_id: 9, message: Some(inner.clone()), is_tombstone: true };
    let envelope = raft_serverpb::RaftMessage {
        region_id: 9,
        message: inner.encode_to_vec().into(),
        is_tombstone: true,
        ..Default::default()
    };
    assert_eq!(envelope.encode_to_vec(), embedding.encode_to_vec());
    let read = Embedding::decode(envelope.encode_to_vec().as_slice()).expect("well-formed");
    assert_eq!(read, embedding);
    let back = raft_serverpb::RaftMessage::decode(embedding.encode_to_vec().as_slice()).expect("well-formed");
    assert_eq!(Inner::decode(back.message).expect("well-formed"), inner);
}

#[test]
fn an_envelope_names_region_peers_and_epoch() {
    let peer = |id, store_id| Some(metapb::Peer { id, store_id, ..Default::default() });
    let envelope = raft_serverpb::RaftMessage {
        region_id: 1,
        from_peer: peer(2, 3),
        to_peer: peer(4, 5),
        message: "m".into(),
        region_epoch: Some(metapb::RegionEpoch { conf_ver: 6, version: 7 }),
        start_key: "a".into(),
        end_key: "b".into(),
        merge_target: Some(Box::new(metapb::Region { id: 8, ..Default::default() })),
        extra_msg: Some(Box::new(raft_serverpb::ExtraMessage { index: 9, ..Default::default() })),
        ..Default::default()
    };
    let fields = [
        number(1, 1),
        block(2, [number(1, 2), number(2, 3)].concat()),
        block(3, [number(1, 4), number(2, 5)].concat()),
        block(4, "m"),
        block(5, [number(1, 6), number(2, 7)].concat()),
        block(7, "a"),
        block(8, "b"),
        block(9, number(1, 8)),
        block(10, number(2, 9)),
    ];
    assert_wire(&envelope, &fields);
}

#[test]
fn a_frame_carries_many_envelopes() {
    let envelope = |region_id| raft_serverpb::RaftMessage { region_id, ..Default::default() };
    let frame = tikvpb::BatchRaftMessage { msgs: vec![envelope(1), envelope(2)], last_observed_time: 3 };
    assert_wire(&frame, &[block(1, number(1, 1)), block(1, number(1, 2)), number(13, 3)]);
}

#[test]
fn an_image_comes_as_a_message_and_then_data() {
    let head = raft_serverpb::RaftMessage { region_id: 1, ..Default::default() };
    let first = raft_serverpb::SnapshotChunk { message: Some(head), data: Bytes::new() };
    assert_wire(&first, &[block(1, number(1, 1))]);
    assert_wire(&raft_serverpb::SnapshotChunk { message: None, data: "d".into() }, &[block(2, "d")]);
    assert_wire(&raft_serverpb::Done {}, &[]);
}

#[test]
fn what_a_store_keeps_about_a_region() {
    let state = raft_serverpb::RegionLocalState {
        state: raft_serverpb::PeerState::Tombstone as i32,
        region: Some(metapb::Region { id: 1, ..Default::default() }),
        ..Default::default()
    };
    assert_wire(&state, &[number(1, 2), block(2, number(1, 1))]);
    let store = raft_serverpb::StoreIdent { cluster_id: 1, store_id: 2, api_version: 0 };
    assert_wire(&store, &[number(1, 1), number(2, 2)]);
}
