//! Bytes in and out: keys, records, write batches, log entries, and the messages that carry them between nodes.
//! Sizes are those of the comparison with etcd: keys of 16 bytes, values of 256, 32 to a batch.

use bytes::Bytes;
use criterion::Criterion;
use nokv_engine::{Cf, WriteBatch};
use nokv_percolator::{Key, Timestamp};
use nokv_proto::metapb::{Peer, RegionEpoch};
use nokv_proto::raft_serverpb::RaftMessage;
use nokv_proto::tikvpb::BatchRaftMessage;
use nokv_raftstore::entry::{Payload, begin_write};
use prost::Message as _;
use protobuf::Message as _;
use raft::eraftpb::{Entry, Message, MessageType};

use crate::measure;

const USER_KEY: &[u8] = b"a000000000012345";
const BATCH: usize = 32;

pub fn run(criterion: &mut Criterion) {
    keys(criterion);
    let batch = write_batch();
    measure(criterion, "write batch: 32 puts", write_batch);
    measure(criterion, "write batch: read 32 puts", || {
        WriteBatch::decode(batch.as_slice()).map(|batch| batch.ops().count()).unwrap()
    });
    let epoch = RegionEpoch { conf_ver: 1, version: 1 };
    let entry_data = || {
        let mut data = Vec::with_capacity(batch.encoded_bytes() + 64);
        begin_write(&mut data, epoch);
        data.extend_from_slice(batch.as_slice());
        data
    };
    measure(criterion, "log entry: begin and fill", entry_data);
    let data = entry_data();
    measure(criterion, "log entry: read", || matches!(Payload::decode(&data), Some(Payload::Write { .. })));
    messages(criterion, &Bytes::from(data));
}

fn keys(criterion: &mut Criterion) {
    let key = Key::encode(USER_KEY);
    let versioned = key.append_ts(Timestamp(42));
    measure(criterion, "key: encode", || Key::encode(USER_KEY));
    measure(criterion, "key: decode", || key.decode().unwrap());
    measure(criterion, "key: append timestamp", || key.append_ts(Timestamp(42)));
    measure(criterion, "key: split timestamp", || Key::split_ts(&versioned).unwrap().1);
}

fn write_batch() -> WriteBatch {
    let mut batch = WriteBatch::new();
    for _ in 0..BATCH {
        batch.put(Cf::Raw, USER_KEY, &[0x5a; 256]);
    }
    batch
}

/// Raft's message is encoded by its own library and crosses in an envelope of ours.
fn messages(criterion: &mut Criterion, data: &Bytes) {
    let entry = Entry { index: 7, term: 3, data: data.clone(), ..Entry::default() };
    let mut append = Message { to: 2, from: 1, term: 3, index: 6, log_term: 3, ..Message::default() };
    append.set_msg_type(MessageType::MsgAppend);
    append.entries.push(entry);
    measure(criterion, "raft message: encode", || append.write_to_bytes().unwrap());
    let encoded = Bytes::from(append.write_to_bytes().unwrap());
    measure(criterion, "raft message: decode", || {
        let mut message = Message::default();
        message.merge_from(&mut protobuf::CodedInputStream::from_carllerche_bytes(&encoded)).unwrap();
        message
    });
    let envelope = RaftMessage {
        region_id: 1,
        from_peer: Some(Peer { id: 1, store_id: 1, ..Peer::default() }),
        to_peer: Some(Peer { id: 2, store_id: 2, ..Peer::default() }),
        message: encoded,
        region_epoch: Some(RegionEpoch { conf_ver: 1, version: 1 }),
        ..RaftMessage::default()
    };
    let frame = BatchRaftMessage { msgs: vec![envelope; BATCH], ..BatchRaftMessage::default() };
    measure(criterion, "envelope: encode a frame of 32", || frame.encode_to_vec());
    let encoded = Bytes::from(frame.encode_to_vec());
    measure(criterion, "envelope: decode a frame of 32", || BatchRaftMessage::decode(encoded.clone()).unwrap());
}
