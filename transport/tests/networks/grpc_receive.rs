//! The receiving side of the gRPC network: what it takes, what it refuses, and with which words.
//! The streams come from the generated client, which shares nothing with our sender.

use futures_util::stream;
use nokv_proto::nokvpb::raft_transport_client::RaftTransportClient;
use nokv_proto::raft_serverpb::{Done, RaftMessage};
use nokv_proto::tikvpb::BatchRaftMessage;
use nokv_transport::StoreId;
use nokv_transport::grpc::GrpcOptions;
use prost::Message;
use tonic::{Code, Status};

use crate::contract::{ONE, Rig, THREE, TWO};
use crate::grpc_rig::GrpcRig;
use crate::recorder::{message, sized_message};

/// Streams `batches` to `store`; what it answers.
fn stream_to(rig: &GrpcRig, store: StoreId, batches: Vec<Vec<RaftMessage>>) -> Result<Done, Status> {
    let address = format!("http://{}", rig.address(store));
    rig.node(store).runtime().block_on(async {
        let mut client = RaftTransportClient::connect(address).await.unwrap();
        let batches = batches.into_iter().map(|msgs| BatchRaftMessage { msgs, ..BatchRaftMessage::default() });
        client.stream(stream::iter(batches)).await.map(tonic::Response::into_inner)
    })
}

fn rig() -> GrpcRig {
    let mut rig = GrpcRig::new();
    rig.start(TWO);
    rig
}

#[test]
fn a_whole_stream_is_taken_and_answered() {
    let rig = rig();
    let batches = vec![vec![message(ONE, TWO, 1), message(THREE, TWO, 2)], vec![], vec![message(ONE, TWO, 3)]];
    assert_eq!(stream_to(&rig, TWO, batches).unwrap(), Done {});
    assert_eq!(rig.inbox(TWO).numbers(), [1, 2, 3]);
}

#[test]
fn a_message_for_another_store_ends_the_stream_with_a_clear_text() {
    let rig = rig();
    let batches = vec![vec![message(ONE, TWO, 1), message(ONE, THREE, 2), message(ONE, TWO, 3)]];
    let status = stream_to(&rig, TWO, batches).unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.message(), "this is store 2, but a raft message is for store 3");
    assert_eq!(rig.inbox(TWO).numbers(), [1]);
    assert_eq!(rig.counter(TWO, "transport_refused_streams_total", Some("other_store")), 1);
}

#[test]
fn a_wrong_entry_in_the_address_book_is_reported_to_the_sender() {
    let mut rig = rig();
    rig.start(ONE);
    rig.book.set(THREE, &rig.address(TWO).to_string()).unwrap();
    rig.network(ONE).send(THREE, message(ONE, THREE, 1)).unwrap();
    let at_one = rig.inbox(ONE);
    rig.wait_until(|| at_one.unreachable_reports(THREE) == 1);
    assert_eq!(rig.inbox(TWO).numbers(), [0; 0]);
}

#[test]
fn an_envelope_that_is_not_whole_is_refused() {
    let whole = message(ONE, TWO, 1);
    let cases = [
        (RaftMessage { to_peer: None, ..whole.clone() }, "a raft message needs from_peer and to_peer"),
        (RaftMessage { from_peer: None, ..whole.clone() }, "a raft message needs from_peer and to_peer"),
        (RaftMessage { region_id: 0, ..whole }, "a raft message needs a region_id"),
    ];
    let rig = rig();
    for (broken, text) in cases {
        let status = stream_to(&rig, TWO, vec![vec![broken]]).unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, text));
    }
    assert_eq!(rig.inbox(TWO).numbers(), [0; 0]);
}

#[test]
fn a_frame_over_the_limit_is_refused_and_one_at_the_limit_is_taken() {
    let options = GrpcOptions { message_bytes_max: 1000, batch_bytes_max: 2000, ..GrpcOptions::default() };
    let mut rig = GrpcRig::with(options);
    rig.start(TWO);
    let frame = |payload_bytes| vec![vec![sized_message(ONE, TWO, 1, payload_bytes)]];
    let around = BatchRaftMessage { msgs: frame(1500).concat(), ..BatchRaftMessage::default() }.encoded_len() - 1500;
    let at_the_limit = options.frame_bytes_max() - around;
    assert_eq!(stream_to(&rig, TWO, frame(at_the_limit)).unwrap(), Done {});
    let status = stream_to(&rig, TWO, frame(at_the_limit + 1)).unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
    assert_eq!(rig.inbox(TWO).numbers(), [1]);
}

#[test]
fn tinykvs_raft_stream_is_taken_under_the_same_rules() {
    let rig = rig();
    let node = rig.node(TWO);
    let good = [message(ONE, TWO, 1), message(ONE, TWO, 2)].map(Ok);
    assert_eq!(node.runtime().block_on(node.service.accept_raft_stream(stream::iter(good))).unwrap(), Done {});
    let bad = [message(ONE, TWO, 3), message(ONE, THREE, 4), message(ONE, TWO, 5)].map(Ok);
    let status = node.runtime().block_on(node.service.accept_raft_stream(stream::iter(bad))).unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(rig.inbox(TWO).numbers(), [1, 2, 3]);
}

#[test]
fn tinykvs_image_stream_is_refused_in_words() {
    let rig = rig();
    let status = rig.node(TWO).service.refuse_image_stream();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("raft snapshots"), "{}", status.message());
    assert_eq!(rig.counter(TWO, "transport_refused_streams_total", Some("image")), 1);
}
