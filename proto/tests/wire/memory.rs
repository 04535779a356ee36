//! What decoding costs: payloads share the frame's memory, and messages stay small.
//! Both are reasons for choices in the build script that nothing else would notice.

use ::bytes::Bytes;
use nokv_proto::{kvrpcpb, raft_serverpb, tikvpb};
use prost::Message;

#[test]
fn payloads_are_not_copied_out_of_the_frame() {
    let payload = Bytes::from(vec![7; 4096]);
    let message = raft_serverpb::RaftMessage { message: payload.clone(), ..Default::default() };
    let frame = Bytes::from(tikvpb::BatchRaftMessage { msgs: vec![message], ..Default::default() }.encode_to_vec());
    let addresses = frame.as_ptr_range();
    let decoded = tikvpb::BatchRaftMessage::decode(frame.clone()).expect("well-formed");
    let taken = &decoded.msgs[0].message;
    assert_eq!(taken, &payload);
    assert!(addresses.contains(&taken.as_ptr()), "the payload was copied");

    let put = kvrpcpb::RawPutRequest { key: "k".into(), value: payload.clone(), ..Default::default() };
    let frame = Bytes::from(put.encode_to_vec());
    let decoded = kvrpcpb::RawPutRequest::decode(frame.clone()).expect("well-formed");
    assert_eq!(decoded.value, payload);
    assert!(frame.as_ptr_range().contains(&decoded.value.as_ptr()), "the value was copied");
}

#[test]
fn a_pair_and_an_answer_stay_small_because_errors_are_boxed() {
    // Two `Bytes`, a pointer, a number; with the error inline it was more than nine hundred bytes.
    let pair = 2 * size_of::<Bytes>() + size_of::<usize>() + size_of::<u64>();
    assert_eq!(size_of::<kvrpcpb::KvPair>(), pair);
    assert!(size_of::<kvrpcpb::GetResponse>() <= 2 * pair);
}
