//! What callers and one stream to a store share: requests that are queued, and those that wait for an answer.
//! The stream takes whatever is queued into one frame, and never waits for more.
//!
//! ```text
//!   ask ──► queued ──gather──► pending ──answer──► ask returns
//!             │                   └── the stream is lost: may have run
//!             └── no stream can be had: has not run
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use futures_util::Stream;
use nokv_proto::tikvpb::batch_commands_request::Request;
use nokv_proto::tikvpb::batch_commands_request::request::Cmd;
use nokv_proto::tikvpb::batch_commands_response::response::Cmd as Reply;
use nokv_proto::tikvpb::{BatchCommandsRequest, BatchCommandsResponse};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};
use tonic::{Code, Status};

use crate::grpc::classify;
use crate::rpc::RpcError;

/// Bounds of one stream, from the client's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkBounds {
    /// Requests queued and unanswered; beyond it callers wait.
    pub(crate) requests_max: usize,
    /// Requests in one frame.
    pub(crate) frame_requests_max: usize,
    /// Encoded bytes of requests in one frame; a larger request has a frame to itself.
    pub(crate) frame_bytes_max: usize,
    /// Encoded bytes of one request.
    pub(crate) request_bytes_max: usize,
}

/// Why a request has no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The store knows no such streams. The request was not executed; ask by unary calls.
    Unserved,
    /// As for any other request.
    Failed(RpcError),
}

type Waiter = oneshot::Sender<Result<Reply, Lost>>;

/// Shared by callers and the stream's task.
#[derive(Debug)]
pub(crate) struct Link {
    bounds: LinkBounds,
    room: Semaphore,
    /// Whether a stream was taken by the store, so that streams are surely known to it.
    served: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By ascending id.
    queued: VecDeque<Queued>,
    pending: BTreeMap<u64, Waiter>,
    /// Ids are never used twice, not even on another stream.
    next_id: u64,
    /// Which stream may take requests; an older one may still be about to end.
    life: u64,
    /// What is to be woken when something is queued.
    waker: Option<Waker>,
    /// Set while no stream is to be had: what every request is told at once.
    refusal: Option<Lost>,
}

#[derive(Debug)]
struct Queued {
    id: u64,
    command: Cmd,
    bytes: usize,
    waiter: Waiter,
}

impl Link {
    pub(crate) fn new(bounds: LinkBounds) -> Self {
        let room = Semaphore::new(bounds.requests_max.clamp(1, Semaphore::MAX_PERMITS));
        Link { bounds, room, served: AtomicBool::new(false), state: Mutex::default() }
    }

    /// Whether the store has taken a stream before.
    pub(crate) fn is_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }

    /// Sends a request and waits for its reply. Dropping the future gives it up: if it has not left, it never will.
    pub(crate) async fn ask(&self, command: Cmd) -> Result<Reply, Lost> {
        let request = Request { cmd: Some(command) };
        let bytes = prost_len(&request);
        if bytes > self.bounds.request_bytes_max {
            let text = format!("the request has {bytes} bytes, {} at most are sent", self.bounds.request_bytes_max);
            return Err(Lost::Failed(RpcError::TooLarge(text)));
        }
        let Some(command) = request.cmd else { return Err(stopped()) };
        let Ok(_room) = self.room.acquire().await else { return Err(stopped()) };
        let (waiter, reply) = oneshot::channel();
        let mut ticket = Ticket { link: self, id: self.queue(command, bytes, waiter)?, answered: false };
        let reply = reply.await;
        ticket.answered = true;
        reply.unwrap_or_else(|_| Err(stopped()))
    }

    fn queue(&self, command: Cmd, bytes: usize, waiter: Waiter) -> Result<u64, Lost> {
        let mut state = self.state.lock();
        if let Some(refusal) = &state.refusal {
            return Err(refusal.clone());
        }
        let id = state.next_id;
        state.next_id += 1;
        state.queued.push_back(Queued { id, command, bytes, waiter });
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(id)
    }

    /// Waits until there is something to send.
    pub(crate) async fn wanted(&self) {
        poll_fn(|cx| {
            let mut state = self.state.lock();
            if !state.queued.is_empty() {
                return Poll::Ready(());
            }
            state.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// A new stream's frames. Those of the one before end.
    pub(crate) fn begin(self: &Arc<Self>) -> Outgoing {
        let mut state = self.state.lock();
        state.life += 1;
        Outgoing { link: self.clone(), life: state.life }
    }

    /// The store has taken the stream.
    pub(crate) fn taken(&self) {
        self.served.store(true, Ordering::Relaxed);
    }

    /// Puts whatever is queued into a frame.
    fn gather(&self, life: u64, cx: &Context<'_>) -> Poll<Option<BatchCommandsRequest>> {
        let mut state = self.state.lock();
        if state.life != life {
            return Poll::Ready(None);
        }
        let mut frame = BatchCommandsRequest::default();
        let mut bytes = 0;
        while let Some(next) = state.queued.front() {
            let (count, with_it) = (frame.requests.len(), bytes + next.bytes);
            if count > 0 && (count >= self.bounds.frame_requests_max || with_it > self.bounds.frame_bytes_max) {
                break;
            }
            bytes = with_it;
            let Some(Queued { id, command, waiter, .. }) = state.queued.pop_front() else { break };
            state.pending.insert(id, waiter);
            frame.request_ids.push(id);
            frame.requests.push(Request { cmd: Some(command) });
        }
        if frame.requests.is_empty() {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Some(frame))
    }

    /// Hands a frame's replies to those who wait. An id that nobody waits for is a request that was given up.
    ///
    /// # Errors
    /// If it cannot be told which reply is whose.
    pub(crate) fn answer(&self, frame: BatchCommandsResponse) -> Result<(), String> {
        let BatchCommandsResponse { responses, request_ids, refusals, .. } = frame;
        if responses.len() != request_ids.len() {
            return Err(format!("a frame has {} responses and {} ids", responses.len(), request_ids.len()));
        }
        let mut refusals: BTreeMap<u64, Lost> = refusals
            .into_iter()
            .map(|it| (it.request_id, Status::new(Code::from(it.code.cast_signed()), it.message)))
            .map(|(id, status)| (id, Lost::Failed(classify(&status))))
            .collect();
        let mut waiters = Vec::with_capacity(request_ids.len());
        {
            let mut state = self.state.lock();
            waiters.extend(request_ids.iter().map(|id| state.pending.remove(id)));
        }
        for ((waiter, response), id) in waiters.into_iter().zip(responses).zip(request_ids) {
            let Some(waiter) = waiter else { continue };
            let reply = match (refusals.remove(&id), response.cmd) {
                (Some(refusal), _) => Err(refusal),
                (None, Some(reply)) => Ok(reply),
                (None, None) => Err(Lost::Failed(RpcError::Unimplemented("the store has no answer to it".to_owned()))),
            };
            // Whoever gave up meanwhile does not want it.
            let _ = waiter.send(reply);
        }
        Ok(())
    }

    /// The stream is gone. What it had taken may have been executed; what is queued waits for the next one.
    pub(crate) fn lose(&self, reason: &str) {
        let (lost, waker) = {
            let mut state = self.state.lock();
            state.life += 1;
            (std::mem::take(&mut state.pending), state.waker.take())
        };
        // Its own half ends as well, or its connection would be kept for it.
        waker.into_iter().for_each(Waker::wake);
        fail(lost.into_values(), &Lost::Failed(RpcError::Disconnected(reason.to_owned())));
    }

    /// No stream is to be had: nothing of all this was executed, and what comes is told so at once.
    pub(crate) fn refuse(&self, why: &Lost) {
        if *why == Lost::Unserved {
            self.served.store(false, Ordering::Relaxed);
        }
        let (pending, queued, waker) = {
            let mut state = self.state.lock();
            state.life += 1;
            state.refusal = Some(why.clone());
            (std::mem::take(&mut state.pending), std::mem::take(&mut state.queued), state.waker.take())
        };
        waker.into_iter().for_each(Waker::wake);
        fail(pending.into_values().chain(queued.into_iter().map(|queued| queued.waiter)), why);
    }

    /// Requests are taken again.
    pub(crate) fn admit(&self) {
        self.state.lock().refusal = None;
    }

    /// Whether the store was found to know no streams, lately.
    pub(crate) fn is_unserved(&self) -> bool {
        !self.is_served() && self.state.lock().refusal == Some(Lost::Unserved)
    }
}

fn prost_len(request: &Request) -> usize {
    prost::Message::encoded_len(request)
}

fn fail(waiters: impl Iterator<Item = Waiter>, lost: &Lost) {
    for waiter in waiters {
        let _ = waiter.send(Err(lost.clone()));
    }
}

/// The stream's task is gone: its client was dropped, or its runtime ends.
pub(crate) const STOPPED: &str = "the client has ended its streams";

fn stopped() -> Lost {
    Lost::Failed(RpcError::Disconnected(STOPPED.to_owned()))
}

/// A request under way; dropped, it takes the request with it.
struct Ticket<'a> {
    link: &'a Link,
    id: u64,
    answered: bool,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let mut state = self.link.state.lock();
        state.pending.remove(&self.id);
        if let Ok(at) = state.queued.binary_search_by_key(&self.id, |queued| queued.id) {
            state.queued.remove(at);
        }
    }
}

/// The frames of one stream, as long as it is the newest.
#[derive(Debug)]
pub(crate) struct Outgoing {
    link: Arc<Link>,
    life: u64,
}

impl Stream for Outgoing {
    type Item = BatchCommandsRequest;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.link.gather(self.life, cx)
    }
}
