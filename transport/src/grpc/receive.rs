//! The receiving side: what other stores stream is checked, message by message, and handed to this store's inbox.
//! A stream that says something wrong ends with an error that says what, so that its sender can log it and pause.

use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use nokv_proto::nokvpb::ImageChunk;
use nokv_proto::nokvpb::raft_transport_server::{RaftTransport, RaftTransportServer};
use nokv_proto::raft_serverpb::{Done, RaftMessage};
use nokv_proto::tikvpb::BatchRaftMessage;
use slog::{debug, warn};
use tonic::{Request, Response, Status, Streaming};

use super::connect::whole_story;
use super::network::GrpcNetwork;
use crate::{Inbox, StoreId};

/// The service `nokvpb.RaftTransport`, and the node-to-node part of `tinykvpb.TinyKv`. Clones are the same service.
#[derive(Clone, Debug)]
pub struct RaftTransportService {
    pub(super) network: Arc<GrpcNetwork>,
    pub(super) inbox: Arc<dyn Inbox>,
}

impl RaftTransportService {
    pub(super) fn new(network: Arc<GrpcNetwork>, inbox: Arc<dyn Inbox>) -> RaftTransportService {
        RaftTransportService { network, inbox }
    }

    /// The service with its limits, to be added to a `tonic` server.
    #[must_use]
    pub fn into_server(self) -> RaftTransportServer<RaftTransportService> {
        let frame_bytes_max = self.network.options.frame_bytes_max();
        RaftTransportServer::new(self).max_decoding_message_size(frame_bytes_max)
    }

    /// TinyKv's `Raft` stream: the same messages, one to a frame. Ends when the sender does, or when the node stops.
    ///
    /// # Errors
    /// A message is not for this store or not whole; the text says which. The rest of the stream is not read.
    pub async fn accept_raft_stream<S>(&self, stream: S) -> Result<Done, Status>
    where
        S: Stream<Item = Result<RaftMessage, Status>> + Unpin,
    {
        self.receive(stream.map(|item| item.map(|message| [message]))).await
    }

    /// TinyKv's `Snapshot` stream, which is not taken: the error to answer.
    #[must_use]
    pub fn refuse_image_stream(&self) -> Status {
        self.network.counters.images_refused.increment();
        Status::unimplemented("images (raft snapshots) are not taken by this call: TinyKV's files are not NoKV's")
    }

    async fn receive<S, M>(&self, mut stream: S) -> Result<Done, Status>
    where
        S: Stream<Item = Result<M, Status>> + Unpin,
        M: IntoIterator<Item = RaftMessage>,
    {
        let mut stopping = self.network.stopping.subscribe();
        let mut from = None;
        self.network.counters.streams_accepted.increment();
        loop {
            let item = tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => return Ok(Done {}),
                item = stream.next() => item,
            };
            let messages = match item {
                None => return Ok(Done {}),
                Some(Ok(messages)) => messages,
                Some(Err(status)) => return Err(self.ended(from, status)),
            };
            self.network.counters.received_batches.increment();
            if let Err(status) = self.accept(messages, &mut from) {
                warn!(self.network.logger, "refused a raft stream"; "from" => ?from, "why" => status.message());
                return Err(status);
            }
        }
    }

    fn accept(
        &self,
        messages: impl IntoIterator<Item = RaftMessage>,
        from: &mut Option<StoreId>,
    ) -> Result<(), Status> {
        let counters = &self.network.counters;
        let mut count = 0;
        for message in messages {
            let sender = self.check(&message)?;
            if from.is_none() {
                *from = Some(sender);
                debug!(self.network.logger, "a store streams to us"; "from" => sender.0);
                self.network.store_is_up(sender);
            }
            self.inbox.raft_message(message);
            count += 1;
        }
        counters.received_messages.add(count);
        Ok(())
    }

    /// Whether the envelope is whole and for this store; who sent it. What is inside is for the region to check.
    pub(super) fn check(&self, message: &RaftMessage) -> Result<StoreId, Status> {
        let counters = &self.network.counters;
        let (Some(from), Some(to)) = (&message.from_peer, &message.to_peer) else {
            counters.refused_malformed.increment();
            return Err(Status::invalid_argument("a raft message needs from_peer and to_peer"));
        };
        if message.region_id == 0 {
            counters.refused_malformed.increment();
            return Err(Status::invalid_argument("a raft message needs a region_id"));
        }
        let this = self.network.store;
        if to.store_id != this.0 {
            counters.refused_other_store.increment();
            let text = format!("this is store {this}, but a raft message is for store {}", to.store_id);
            return Err(Status::failed_precondition(text));
        }
        Ok(StoreId(from.store_id))
    }

    fn ended(&self, from: Option<StoreId>, status: Status) -> Status {
        match status.code() {
            tonic::Code::OutOfRange | tonic::Code::Internal | tonic::Code::ResourceExhausted => {
                self.network.counters.refused_malformed.increment();
                warn!(self.network.logger, "refused a raft stream"; "from" => ?from, "why" => status.message());
            }
            // The connection went away: the sender's end is where that is looked at.
            _ => debug!(self.network.logger, "a raft stream broke"; "from" => ?from, "why" => whole_story(&status)),
        }
        status
    }
}

#[tonic::async_trait]
impl RaftTransport for RaftTransportService {
    async fn stream(&self, request: Request<Streaming<BatchRaftMessage>>) -> Result<Response<Done>, Status> {
        let messages = request.into_inner().map(|item| item.map(|batch| batch.msgs));
        self.receive(messages).await.map(Response::new)
    }

    async fn image(&self, request: Request<Streaming<ImageChunk>>) -> Result<Response<Done>, Status> {
        self.receive_image(request.into_inner()).await.map(Response::new)
    }
}
