//! Timestamps over gRPC: `pdpb.PD/Tso`, a stream of requests and, in their order, of answers. It is the one call of
//! that service which a timestamp server has; what a client asks beyond it is answered as unknown.

use std::future::{Ready, ready};
use std::pin::Pin;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::stream::{Stream, unfold};
use nokv_percolator::Timestamp;
use nokv_proto::pdpb::{ResponseHeader, Timestamp as WireTimestamp, TsoRequest, TsoResponse};
use tokio::sync::watch;
use tonic::server::{Grpc, StreamingService};
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

use super::AllocateError;
use super::oracle::{Oracle, OracleError};

/// Where the call is.
pub(super) const PATH: &str = "/pdpb.PD/Tso";

/// Clients insist on a cluster id that is not 0, and a timestamp server belongs to no cluster: who names one gets it
/// back, everybody else this.
const CLUSTER_ID: u64 = 1;

/// What serves streams.
#[derive(Clone)]
pub(super) struct TsoStreams {
    pub(super) oracle: Oracle,
    /// True once the server is to stop: streams would never end by themselves.
    pub(super) stopping: watch::Receiver<bool>,
}

/// Serves one stream.
pub(super) async fn serve(State(streams): State<TsoStreams>, request: Request) -> Response {
    let codec: ProstCodec<TsoResponse, TsoRequest> = ProstCodec::default();
    Grpc::new(codec).streaming(streams, request).await.map(Body::new)
}

type Answers = Pin<Box<dyn Stream<Item = Result<TsoResponse, Status>> + Send>>;

impl StreamingService<TsoRequest> for TsoStreams {
    type Response = TsoResponse;
    type ResponseStream = Answers;
    type Future = Ready<Result<tonic::Response<Answers>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<TsoRequest>>) -> Self::Future {
        let state = (request.into_inner(), self.clone());
        let answers = unfold(state, |(mut requests, mut streams)| async move {
            let answer = streams.next(&mut requests).await?;
            Some((answer, (requests, streams)))
        });
        ready(Ok(tonic::Response::new(Box::pin(answers))))
    }
}

impl TsoStreams {
    /// The answer to the next request; `None` = the stream is over.
    async fn next(&mut self, requests: &mut Streaming<TsoRequest>) -> Option<Result<TsoResponse, Status>> {
        let request = tokio::select! {
            biased;
            // An error means that the server is gone, which is a reason to stop as well.
            _ = self.stopping.wait_for(|stop| *stop) => return None,
            request = requests.message() => request,
        };
        match request {
            Ok(Some(request)) => Some(self.answer(&request).await),
            Ok(None) => None,
            Err(status) => Some(Err(status)),
        }
    }

    async fn answer(&self, request: &TsoRequest) -> Result<TsoResponse, Status> {
        let first = self.oracle.timestamps(request.count).await.map_err(|error| match error {
            OracleError::Allocate(AllocateError::BatchSize { .. }) => Status::invalid_argument(error.to_string()),
            error => Status::unavailable(error.to_string()),
        })?;
        // The allocator grants at least one, and a batch lies in one millisecond.
        let last = Timestamp(first.0 + u64::from(request.count) - 1);
        let cluster_id = request.header.as_ref().map_or(0, |header| header.cluster_id);
        let cluster_id = if cluster_id == 0 { CLUSTER_ID } else { cluster_id };
        Ok(TsoResponse {
            header: Some(ResponseHeader { cluster_id, error: None }),
            count: request.count,
            timestamp: Some(WireTimestamp {
                physical: last.physical_ms().cast_signed(),
                logical: last.logical().cast_signed(),
                suffix_bits: 0,
            }),
        })
    }
}
