//! Batches on the wire: `tikvpb.BatchRaftMessage`, written straight from the queue's messages.
//! The size is known beforehand, so the frame's buffer is reserved once and each message is encoded once, in place.

use bytes::BufMut;
use nokv_proto::raft_serverpb::Done;
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::queue::Batch;

/// The tag of `BatchRaftMessage.msgs`: field 1, length-delimited.
const MESSAGE_TAG: u8 = 1 << 3 | 2;

/// Encodes what the sending side of `nokvpb.RaftTransport/Stream` says and decodes what it hears.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BatchCodec;

impl Codec for BatchCodec {
    type Encode = Batch;
    type Decode = Done;
    type Encoder = BatchCodec;
    type Decoder = BatchCodec;

    fn encoder(&mut self) -> BatchCodec {
        BatchCodec
    }

    fn decoder(&mut self) -> BatchCodec {
        BatchCodec
    }
}

impl Encoder for BatchCodec {
    type Item = Batch;
    type Error = Status;

    fn encode(&mut self, batch: Batch, frame: &mut EncodeBuf<'_>) -> Result<(), Status> {
        frame.reserve(batch.bytes);
        write(&batch, frame)
    }
}

impl Decoder for BatchCodec {
    type Item = Done;
    type Error = Status;

    fn decode(&mut self, frame: &mut DecodeBuf<'_>) -> Result<Option<Done>, Status> {
        Done::decode(frame).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

fn write(batch: &Batch, frame: &mut impl BufMut) -> Result<(), Status> {
    for waiting in &batch.messages {
        frame.put_u8(MESSAGE_TAG);
        waiting.message.encode_length_delimited(frame).map_err(|error| Status::internal(error.to_string()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use nokv_proto::metapb::Peer;
    use nokv_proto::raft_serverpb::RaftMessage;
    use nokv_proto::tikvpb::BatchRaftMessage;

    use super::super::options::GrpcOptions;
    use super::super::queue::Queue;
    use super::*;

    #[test]
    fn a_batch_is_what_the_generated_code_would_write_and_as_long_as_it_said() {
        let queue = Queue::new(&GrpcOptions::default());
        let messages: Vec<_> = [0, 1, 100, 127, 128, 20_000]
            .into_iter()
            .map(|length| RaftMessage {
                region_id: 7,
                to_peer: Some(Peer { id: 3, store_id: 2, ..Peer::default() }),
                message: vec![b'x'; length].into(),
                ..RaftMessage::default()
            })
            .collect();
        for message in &messages {
            queue.push(message.clone()).unwrap();
        }
        let stream = queue.begin_stream();
        let mut next = pin!(poll_fn(|cx| queue.poll_batch(stream, cx)));
        let Poll::Ready(Some(batch)) = next.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("six messages wait, but there is no batch");
        };
        let mut written = Vec::new();
        write(&batch, &mut written).unwrap();
        let expected = BatchRaftMessage { msgs: messages, ..BatchRaftMessage::default() };
        assert_eq!(written, expected.encode_to_vec());
        assert_eq!(batch.bytes, written.len());
    }
}
