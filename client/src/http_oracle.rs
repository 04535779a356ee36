//! Timestamps from `nokv tso`: `GET /tso?batch=N` → `{"timestamp":first,"count":N}` over one connection that is kept.
//!
//! ```text
//! callers ──▶ queue ──▶ worker: takes all who wait ──▶ one request ──▶ hands out the range in order
//!                          ▲───────────────────────────────────────────────┘ (who came meanwhile is next)
//! ```

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper::header::HOST;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use nokv_percolator::Timestamp;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::error::{InvalidInput, Result};
use crate::oracle::{OracleError, TimestampOracle};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// Timestamps asked for at once.
const BATCH_MAX: u32 = 10_000;
/// Callers that may wait at once; beyond it the next is refused.
const WAITERS_MAX: usize = 10_000;
const ANSWER_BYTES_MAX: usize = 4 << 10;

/// A client of `nokv tso`. Callers that come while a request is under way share the next one.
#[derive(Debug)]
pub struct HttpOracle {
    target: Target,
    /// The queue of the worker, which is started when first needed: only then is there a runtime for sure.
    queue: Mutex<Option<mpsc::Sender<Waiter>>>,
}

#[derive(Clone, Debug)]
struct Target {
    authority: String,
    path: String,
    connect_timeout: Duration,
    request_timeout: Duration,
}

struct Waiter {
    count: u32,
    answer: oneshot::Sender<std::result::Result<Timestamp, OracleError>>,
}

#[derive(Deserialize)]
struct Answer {
    timestamp: u64,
    count: u32,
}

impl HttpOracle {
    /// Speaks to `url`, `http://host:port` (a path in front of `/tso` is kept). Nothing is dialled yet.
    ///
    /// # Errors
    /// [`InvalidInput::Address`] if the URL is none.
    pub fn new(url: &str) -> Result<Self> {
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
        let (connect_timeout, request_timeout) = (CONNECT_TIMEOUT, REQUEST_TIMEOUT);
        let target = Target { authority, path, connect_timeout, request_timeout };
        Ok(HttpOracle { target, queue: Mutex::new(None) })
    }

    /// How long connecting may take (default 1 s) and how long one request, for which the callers behind it wait too
    /// (default 2 s). To be set before the first timestamp is drawn.
    pub fn with_timeouts(mut self, connect: Duration, request: Duration) -> Self {
        self.target.connect_timeout = connect;
        self.target.request_timeout = request;
        self
    }

    fn queue(&self) -> mpsc::Sender<Waiter> {
        let mut queue = self.queue.lock();
        match queue.as_ref() {
            // A closed queue: the runtime of its worker is gone.
            Some(queue) if !queue.is_closed() => queue.clone(),
            _ => {
                let (sender, receiver) = mpsc::channel(WAITERS_MAX);
                tokio::spawn(Worker::new(self.target.clone()).run(receiver));
                queue.insert(sender).clone()
            }
        }
    }
}

impl TimestampOracle for HttpOracle {
    fn timestamps(&self, count: u32) -> BoxFuture<'_, std::result::Result<Timestamp, OracleError>> {
        Box::pin(async move {
            if count == 0 || count > BATCH_MAX {
                return Err(OracleError::Protocol(format!("{count} timestamps at once; 1 to {BATCH_MAX} can be had")));
            }
            let (answer, answered) = oneshot::channel();
            let full = |_| OracleError::Unavailable("too many callers are waiting".to_owned());
            self.queue().try_send(Waiter { count, answer }).map_err(full)?;
            answered.await.map_err(|_| OracleError::Unavailable("its runtime has ended".to_owned()))?
        })
    }
}

/// The one task that speaks to the oracle.
struct Worker {
    target: Target,
    connection: Option<SendRequest<Empty<Bytes>>>,
    /// The largest timestamp seen: the next must be above it.
    last: Timestamp,
}

impl Worker {
    fn new(target: Target) -> Self {
        Worker { target, connection: None, last: Timestamp::ZERO }
    }

    async fn run(mut self, mut queue: mpsc::Receiver<Waiter>) {
        let mut held = None;
        loop {
            let first = match held.take() {
                Some(waiter) => waiter,
                None => match queue.recv().await {
                    Some(waiter) => waiter,
                    None => return,
                },
            };
            let mut count = first.count;
            let mut waiters = vec![first];
            while let Ok(waiter) = queue.try_recv() {
                if waiter.answer.is_closed() {
                    continue;
                }
                if count + waiter.count > BATCH_MAX {
                    held = Some(waiter);
                    break;
                }
                count += waiter.count;
                waiters.push(waiter);
            }
            let answer = self.reserve(count).await;
            Self::hand_out(waiters, answer);
        }
    }

    fn hand_out(waiters: Vec<Waiter>, answer: std::result::Result<Timestamp, OracleError>) {
        let mut next = answer;
        for waiter in waiters {
            let mine = next.clone();
            next = next.map(|first| Timestamp(first.0 + u64::from(waiter.count)));
            // Who no longer waits has given up; its timestamps are lost, which is what timestamps are for.
            let _ = waiter.answer.send(mine);
        }
    }

    /// Reserves `count` timestamps; a kept connection that turns out to be dead is replaced once.
    async fn reserve(&mut self, count: u32) -> std::result::Result<Timestamp, OracleError> {
        let kept = self.connection.take().filter(|connection| !connection.is_closed());
        if let Some(mut kept) = kept
            && let Ok(answer) = timeout(self.target.request_timeout, self.ask(&mut kept, count)).await
            && !matches!(answer, Err(OracleError::Unavailable(_)))
        {
            self.connection = Some(kept);
            return self.check(answer?, count);
        }
        let mut fresh = self.connect().await?;
        let answer = timeout(self.target.request_timeout, self.ask(&mut fresh, count))
            .await
            .map_err(|_| OracleError::Unavailable(format!("{} gave no answer in time", self.target.authority)))??;
        self.connection = Some(fresh);
        self.check(answer, count)
    }

    async fn connect(&self) -> std::result::Result<SendRequest<Empty<Bytes>>, OracleError> {
        let authority = &self.target.authority;
        let unavailable = |error: String| OracleError::Unavailable(format!("{authority}: {error}"));
        let stream = timeout(self.target.connect_timeout, TcpStream::connect(authority)).await;
        let stream = stream.map_err(|_| unavailable("connecting took too long".to_owned()))?;
        let stream = stream.map_err(|error| unavailable(error.to_string()))?;
        // Without it a request waits for the acknowledgement of the one before.
        stream.set_nodelay(true).map_err(|error| unavailable(error.to_string()))?;
        let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| unavailable(error.to_string()))?;
        // It ends with the sender, or when the peer goes; the sender notices either.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    async fn ask(
        &self,
        connection: &mut SendRequest<Empty<Bytes>>,
        count: u32,
    ) -> std::result::Result<Answer, OracleError> {
        let Target { authority, path, .. } = &self.target;
        let unavailable = |error: String| OracleError::Unavailable(format!("{authority}: {error}"));
        let request = Request::get(format!("{path}?batch={count}")).header(HOST, authority).body(Empty::new());
        let request = request.map_err(|error| OracleError::Protocol(error.to_string()))?;
        connection.ready().await.map_err(|error| unavailable(error.to_string()))?;
        let response = connection.send_request(request).await.map_err(|error| unavailable(error.to_string()))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| unavailable(error.to_string()))?.to_bytes();
        if !status.is_success() {
            return Err(unavailable(format!("{status}: {}", body.escape_ascii())));
        }
        serde_json::from_slice(&body)
            .map_err(|error| OracleError::Protocol(format!("{authority}: {error} in {}", body.escape_ascii())))
    }

    fn check(&mut self, answer: Answer, count: u32) -> std::result::Result<Timestamp, OracleError> {
        let first = Timestamp(answer.timestamp);
        if answer.count != count {
            return Err(OracleError::Protocol(format!("asked for {count} timestamps, got {}", answer.count)));
        }
        if first <= self.last || answer.timestamp.checked_add(u64::from(count)).is_none() {
            return Err(OracleError::Protocol(format!("it went back, from {} to {first}", self.last)));
        }
        self.last = Timestamp(answer.timestamp + u64::from(count) - 1);
        Ok(first)
    }
}
