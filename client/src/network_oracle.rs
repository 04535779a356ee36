//! Timestamps from whoever serves `pdpb.PD/Tso`, a stream of requests and answers that costs a fraction of a request
//! over HTTP; and from a server that has only HTTP, by HTTP. `nokv tso` has both on one port.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::unfold;
use nokv_percolator::Timestamp;
use nokv_proto::pdpb::pd_client::PdClient;
use nokv_proto::pdpb::{RequestHeader, TsoRequest, TsoResponse};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Streaming;
use tonic::transport::Endpoint;

use crate::error::Result;
use crate::grpc::innermost;
use crate::http_oracle::{HttpWay, OracleTarget};
use crate::oracle::{OracleError, TimestampOracle};
use crate::oracle_queue::{OracleQueue, Way};

/// A client of a timestamp server: over a stream where the server has one, else over HTTP. Callers that come while a
/// request is under way share the next one.
#[derive(Debug)]
pub struct NetworkOracle {
    queue: OracleQueue<EitherWay>,
}

impl NetworkOracle {
    /// Speaks to `url`, `http://host:port`. Nothing is dialled yet.
    ///
    /// # Errors
    /// [`crate::InvalidInput::Address`] if the URL is none.
    pub fn new(url: &str) -> Result<Self> {
        let target = OracleTarget::parse(url)?;
        let stream = StreamWay { target: target.clone(), open: None };
        let way = EitherWay { stream, http: HttpWay::new(target), served: Served::NotKnown };
        Ok(NetworkOracle { queue: OracleQueue::new(way) })
    }

    /// How long connecting may take (default 1 s) and how long one request, for which the callers behind it wait too
    /// (default 2 s). To be set before the first timestamp is drawn.
    pub fn with_timeouts(mut self, connect: Duration, request: Duration) -> Self {
        let way = self.queue.way_mut();
        let target = OracleTarget { connect_timeout: connect, request_timeout: request, ..way.stream.target.clone() };
        way.http = HttpWay::new(target.clone());
        way.stream.target = target;
        self
    }
}

impl TimestampOracle for NetworkOracle {
    fn timestamps(&self, count: u32) -> BoxFuture<'_, std::result::Result<Timestamp, OracleError>> {
        Box::pin(self.queue.timestamps(count))
    }
}

/// What the server was found to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    NotKnown,
    Stream,
    Http,
}

#[derive(Clone, Debug)]
struct EitherWay {
    stream: StreamWay,
    http: HttpWay,
    served: Served,
}

impl Way for EitherWay {
    async fn reserve(&mut self, count: u32) -> std::result::Result<Timestamp, OracleError> {
        let (served, answer) = match self.served {
            Served::Stream => (Served::Stream, self.stream.reserve(count).await),
            Served::Http => (Served::Http, self.http.reserve(count).await),
            Served::NotKnown => match self.stream.reserve(count).await {
                Err(OracleError::Unavailable(_)) => (Served::Http, self.http.reserve(count).await),
                answer => (Served::Stream, answer),
            },
        };
        // After a failure it may be another server, that serves otherwise.
        self.served = if answer.is_ok() { served } else { Served::NotKnown };
        answer
    }
}

/// Requests over one stream. A clone opens its own.
#[derive(Debug)]
struct StreamWay {
    target: OracleTarget,
    open: Option<OpenStream>,
}

#[derive(Debug)]
struct OpenStream {
    requests: mpsc::Sender<TsoRequest>,
    answers: Streaming<TsoResponse>,
}

impl Clone for StreamWay {
    fn clone(&self) -> Self {
        StreamWay { target: self.target.clone(), open: None }
    }
}

impl Way for StreamWay {
    /// A kept stream that turns out to be dead is replaced once.
    async fn reserve(&mut self, count: u32) -> std::result::Result<Timestamp, OracleError> {
        let kept = self.open.take();
        if let Some(mut kept) = kept
            && let Ok(answer) = self.ask(&mut kept, count).await
        {
            self.open = Some(kept);
            return first_of(&answer, count);
        }
        let mut fresh = self.connect().await?;
        let answer = self.ask(&mut fresh, count).await?;
        self.open = Some(fresh);
        first_of(&answer, count)
    }
}

impl StreamWay {
    async fn connect(&self) -> std::result::Result<OpenStream, OracleError> {
        let target = &self.target;
        let endpoint = Endpoint::from_shared(format!("http://{}", target.authority));
        let endpoint = endpoint.map_err(|error| target.unavailable(innermost(&error)))?;
        let endpoint = endpoint.connect_timeout(target.connect_timeout).tcp_nodelay(true);
        let opening = async {
            let channel = endpoint.connect().await.map_err(|error| target.unavailable(innermost(&error)))?;
            // One request is under way at a time.
            let (requests, queued) = mpsc::channel(1);
            let queued = unfold(queued, async |mut queued| queued.recv().await.map(|request| (request, queued)));
            let answers = PdClient::new(channel).tso(queued).await;
            let answers = answers.map_err(|status| target.unavailable(innermost(&status)))?.into_inner();
            Ok(OpenStream { requests, answers })
        };
        let patience = target.connect_timeout + target.request_timeout;
        timeout(patience, opening).await.map_err(|_| target.unavailable("connecting took too long"))?
    }

    async fn ask(&self, open: &mut OpenStream, count: u32) -> std::result::Result<TsoResponse, OracleError> {
        let header = Some(RequestHeader { cluster_id: 1, ..Default::default() });
        let request = TsoRequest { header, count, ..Default::default() };
        let asking = async {
            open.requests.send(request).await.map_err(|_| self.target.unavailable("the stream has ended"))?;
            match open.answers.message().await {
                Ok(Some(answer)) => Ok(answer),
                Ok(None) => Err(self.target.unavailable("it has closed the stream")),
                Err(status) => Err(self.target.unavailable(innermost(&status))),
            }
        };
        let late = |_| self.target.unavailable("it gave no answer in time");
        timeout(self.target.request_timeout, asking).await.map_err(late)?
    }
}

/// The first timestamp of an answer, which names the last.
fn first_of(answer: &TsoResponse, count: u32) -> std::result::Result<Timestamp, OracleError> {
    if let Some(error) = answer.header.as_ref().and_then(|header| header.error.as_ref()) {
        return Err(OracleError::Unavailable(error.message.clone()));
    }
    if answer.count != count {
        return Err(OracleError::Protocol(format!("asked for {count} timestamps, got {}", answer.count)));
    }
    let broken = || OracleError::Protocol(format!("it gave no timestamp that can be: {answer:?}"));
    let last = answer.timestamp.as_ref().ok_or_else(broken)?;
    let (physical, logical) = (u64::try_from(last.physical), u64::try_from(last.logical));
    let (Ok(physical), Ok(logical)) = (physical, logical) else { return Err(broken()) };
    let first = (physical << Timestamp::LOGICAL_BITS).saturating_add(logical).checked_sub(u64::from(count) - 1);
    first.map(Timestamp).ok_or_else(broken)
}
