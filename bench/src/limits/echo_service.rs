//! The smallest service that speaks our messages: a get that answers with a fixed value, and a stream of frames of such
//! gets. Written by hand instead of generated, for no real service here has only these two.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::{BoxFuture, Ready, ready};
use futures_util::stream::{BoxStream, StreamExt as _};
use nokv_proto::kvrpcpb::{RawGetRequest, RawGetResponse};
use nokv_proto::tikvpb::{BatchCommandsRequest, BatchCommandsResponse, batch_commands_response};
use tonic::body::Body;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, StreamingService, UnaryService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

/// The path of the unary call.
pub const UNARY: PathAndQuery = PathAndQuery::from_static("/nokv.bench.Echo/Unary");
/// The path of the stream.
pub const STREAM: PathAndQuery = PathAndQuery::from_static("/nokv.bench.Echo/Stream");

/// Answers every get with this value.
#[derive(Clone, Debug)]
pub struct Echo {
    /// The value.
    pub value: Bytes,
}

impl NamedService for Echo {
    const NAME: &'static str = "nokv.bench.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let echo = self.clone();
        Box::pin(async move {
            match request.uri().path() {
                path if path == UNARY.path() => Ok(Grpc::new(ProstCodec::default()).unary(echo, request).await),
                path if path == STREAM.path() => Ok(Grpc::new(ProstCodec::default()).streaming(echo, request).await),
                _ => Ok(Status::unimplemented("only Unary and Stream").into_http()),
            }
        })
    }
}

impl UnaryService<RawGetRequest> for Echo {
    type Response = RawGetResponse;
    type Future = Ready<Result<Response<RawGetResponse>, Status>>;

    fn call(&mut self, _: Request<RawGetRequest>) -> Self::Future {
        ready(Ok(Response::new(RawGetResponse { value: self.value.clone(), ..Default::default() })))
    }
}

impl StreamingService<BatchCommandsRequest> for Echo {
    type Response = BatchCommandsResponse;
    type ResponseStream = Pin<Box<dyn futures_util::Stream<Item = Result<BatchCommandsResponse, Status>> + Send>>;
    type Future = Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<BatchCommandsRequest>>) -> Self::Future {
        let value = self.value.clone();
        let answers: BoxStream<'static, _> =
            request.into_inner().map(move |frame| frame.map(|frame| answer(frame, &value))).boxed();
        ready(Ok(Response::new(answers)))
    }
}

fn answer(frame: BatchCommandsRequest, value: &Bytes) -> BatchCommandsResponse {
    let one = || batch_commands_response::Response {
        cmd: Some(batch_commands_response::response::Cmd::RawGet(RawGetResponse {
            value: value.clone(),
            ..Default::default()
        })),
    };
    BatchCommandsResponse {
        responses: frame.requests.iter().map(|_| one()).collect(),
        request_ids: frame.request_ids,
        ..Default::default()
    }
}
