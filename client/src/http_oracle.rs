//! Timestamps from `nokv tso` over HTTP: `GET /tso?batch=N` → `{"timestamp":first,"count":N}`, over one connection that
//! is kept. What any timestamp server of NoKV's understands; [`crate::NetworkOracle`] costs less where it can.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper::header::HOST;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use nokv_percolator::Timestamp;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::error::{InvalidInput, Result};
use crate::oracle::{OracleError, TimestampOracle};
use crate::oracle_queue::{OracleQueue, Way};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
const ANSWER_BYTES_MAX: usize = 4 << 10;

/// A client of `nokv tso` over HTTP. Callers that come while a request is under way share the next one.
#[derive(Debug)]
pub struct HttpOracle {
    queue: OracleQueue<HttpWay>,
}

/// Where the oracle is, and how long it is waited for.
#[derive(Clone, Debug)]
pub(crate) struct OracleTarget {
    /// HOST:PORT.
    pub(crate) authority: String,
    /// What stands in front of `/tso`, and that.
    pub(crate) path: String,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
}

#[derive(Deserialize)]
struct Answer {
    timestamp: u64,
    count: u32,
}

impl OracleTarget {
    /// # Errors
    /// [`InvalidInput::Address`] if the URL is none.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let bad = |reason: &str| InvalidInput::Address { address: url.to_owned(), reason: reason.to_owned() };
        let uri: Uri = url.parse().map_err(|error: hyper::http::uri::InvalidUri| bad(&error.to_string()))?;
        if uri.scheme_str() != Some("http") {
            return Err(bad("it must begin with http://").into());
        }
        let authority = uri.authority().ok_or_else(|| bad("it names no host"))?;
        let authority = match authority.port() {
            Some(_) => authority.to_string(),
            None => format!("{authority}:80"),
        };
        let path = format!("{}/tso", uri.path().trim_end_matches('/').trim_end_matches("/tso"));
        Ok(OracleTarget { authority, path, connect_timeout: CONNECT_TIMEOUT, request_timeout: REQUEST_TIMEOUT })
    }

    pub(crate) fn unavailable(&self, error: impl std::fmt::Display) -> OracleError {
        OracleError::Unavailable(format!("{}: {error}", self.authority))
    }
}

impl HttpOracle {
    /// Speaks to `url`, `http://host:port` (a path in front of `/tso` is kept). Nothing is dialled yet.
    ///
    /// # Errors
    /// [`InvalidInput::Address`] if the URL is none.
    pub fn new(url: &str) -> Result<Self> {
        Ok(HttpOracle { queue: OracleQueue::new(HttpWay::new(OracleTarget::parse(url)?)) })
    }

    /// How long connecting may take (default 1 s) and how long one request, for which the callers behind it wait too
    /// (default 2 s). To be set before the first timestamp is drawn.
    pub fn with_timeouts(mut self, connect: Duration, request: Duration) -> Self {
        let target = &mut self.queue.way_mut().target;
        target.connect_timeout = connect;
        target.request_timeout = request;
        self
    }
}

impl TimestampOracle for HttpOracle {
    fn timestamps(&self, count: u32) -> BoxFuture<'_, std::result::Result<Timestamp, OracleError>> {
        Box::pin(self.queue.timestamps(count))
    }
}

/// Requests over one connection. A clone has a connection of its own.
#[derive(Debug)]
pub(crate) struct HttpWay {
    target: OracleTarget,
    connection: Option<SendRequest<Empty<Bytes>>>,
}

impl Clone for HttpWay {
    fn clone(&self) -> Self {
        HttpWay::new(self.target.clone())
    }
}

impl Way for HttpWay {
    /// A kept connection that turns out to be dead is replaced once.
    async fn reserve(&mut self, count: u32) -> std::result::Result<Timestamp, OracleError> {
        let kept = self.connection.take().filter(|connection| !connection.is_closed());
        if let Some(mut kept) = kept
            && let Ok(answer) = timeout(self.target.request_timeout, self.ask(&mut kept, count)).await
            && !matches!(answer, Err(OracleError::Unavailable(_)))
        {
            self.connection = Some(kept);
            return check(&answer?, count);
        }
        let mut fresh = self.connect().await?;
        let answer = timeout(self.target.request_timeout, self.ask(&mut fresh, count))
            .await
            .map_err(|_| self.target.unavailable("it gave no answer in time"))??;
        self.connection = Some(fresh);
        check(&answer, count)
    }
}

impl HttpWay {
    pub(crate) fn new(target: OracleTarget) -> Self {
        HttpWay { target, connection: None }
    }

    async fn connect(&self) -> std::result::Result<SendRequest<Empty<Bytes>>, OracleError> {
        let target = &self.target;
        let stream = timeout(target.connect_timeout, TcpStream::connect(&target.authority)).await;
        let stream = stream.map_err(|_| target.unavailable("connecting took too long"))?;
        let stream = stream.map_err(|error| target.unavailable(error))?;
        // Without it a request waits for the acknowledgement of the one before.
        stream.set_nodelay(true).map_err(|error| target.unavailable(error))?;
        let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| target.unavailable(error))?;
        // It ends with the sender, or when the peer goes; the sender notices either.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    async fn ask(
        &self,
        connection: &mut SendRequest<Empty<Bytes>>,
        count: u32,
    ) -> std::result::Result<Answer, OracleError> {
        let OracleTarget { authority, path, .. } = &self.target;
        let unavailable = |error: hyper::Error| self.target.unavailable(error);
        let request = Request::get(format!("{path}?batch={count}")).header(HOST, authority).body(Empty::new());
        let request = request.map_err(|error| OracleError::Protocol(error.to_string()))?;
        connection.ready().await.map_err(unavailable)?;
        let response = connection.send_request(request).await.map_err(unavailable)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| self.target.unavailable(error))?.to_bytes();
        if !status.is_success() {
            return Err(self.target.unavailable(format!("{status}: {}", body.escape_ascii())));
        }
        serde_json::from_slice(&body)
            .map_err(|error| OracleError::Protocol(format!("{authority}: {error} in {}", body.escape_ascii())))
    }
}

fn check(answer: &Answer, count: u32) -> std::result::Result<Timestamp, OracleError> {
    if answer.count != count {
        return Err(OracleError::Protocol(format!("asked for {count} timestamps, got {}", answer.count)));
    }
    Ok(Timestamp(answer.timestamp))
}
