//! Timestamps from whoever serves `pdpb.PD/Tso`, a stream of requests and answers that costs a fraction of a request
//! over HTTP; and from a server that has only HTTP, by HTTP. `nokv tso` has both on one port.

use std::time::Duration;

use futures_util::future::BoxFuture;
use nokv_percolator::Timestamp;
use nokv_proto::pdpb::TsoResponse;
use tokio::time::timeout;
use tonic::transport::Endpoint;

use crate::error::Result;
use crate::grpc::innermost;
use crate::http_oracle::{HttpWay, OracleTarget};
use crate::oracle::{OracleError, TimestampOracle};
use crate::oracle_queue::{OracleQueue, Way};
use crate::tso_stream::{TsoStream, first_of};

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
    open: Option<TsoStream>,
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
    async fn connect(&self) -> std::result::Result<TsoStream, OracleError> {
        let target = &self.target;
        let endpoint = Endpoint::from_shared(format!("http://{}", target.authority));
        let endpoint = endpoint.map_err(|error| target.unavailable(innermost(&error)))?;
        let endpoint = endpoint.connect_timeout(target.connect_timeout).tcp_nodelay(true);
        let opening = async {
            let channel = endpoint.connect().await.map_err(|error| target.unavailable(innermost(&error)))?;
            TsoStream::open(channel).await.map_err(|status| target.unavailable(innermost(&status)))
        };
        let patience = target.connect_timeout + target.request_timeout;
        timeout(patience, opening).await.map_err(|_| target.unavailable("connecting took too long"))?
    }

    async fn ask(&self, open: &mut TsoStream, count: u32) -> std::result::Result<TsoResponse, OracleError> {
        // Whichever cluster it is: the URL is all that is known of it.
        let asked = timeout(self.target.request_timeout, open.ask(0, count)).await;
        let asked = asked.map_err(|_| self.target.unavailable("it gave no answer in time"))?;
        asked.map_err(|status| self.target.unavailable(innermost(&status)))
    }
}
