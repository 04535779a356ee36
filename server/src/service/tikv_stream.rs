//! The work of one stream of batches: requests come in frames, run side by side, and their answers leave in frames as
//! they become ready, in any order.
//!
//! ```text
//!   frame in ──► waiting ──► begin: polled once, in place ──ready──► answers ──► frame out
//!                   ▲                     │ not ready                   ▲
//!                   └ bounds              └──────► under way ───────────┘
//! ```
//!
//! A read under a lease is ready at once: it costs no task, no wake-up and no allocation of its own. Nothing here waits
//! in order to fill a frame. A stream that has reached a bound reads no further frame, and so holds its client back.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::OptionFuture;
use futures_util::stream::{FuturesUnordered, Stream, StreamExt as _};
use nokv_proto::tikvpb::batch_commands_request::request::Cmd;
use nokv_proto::tikvpb::{BatchCommandsRequest, BatchCommandsResponse, Refusal};
use prost::Message as _;
use tonic::Status;

use super::tikv_dispatch::Answered;

/// Bounds of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamBounds {
    /// Requests in one frame; a stream with a larger one ends.
    pub(super) frame_requests_max: usize,
    /// Requests begun and not answered.
    pub(super) under_way_max: usize,
    /// Encoded bytes of answers that have not left; beyond it no request is begun.
    pub(super) unsent_bytes_max: usize,
    /// Encoded bytes of answers in one frame; a larger answer has a frame to itself.
    pub(super) frame_bytes_max: usize,
    /// Encoded bytes of one answer; a larger one is refused.
    pub(super) answer_bytes_max: usize,
    /// Requests begun before other tasks of the thread have their turn.
    pub(super) turn_requests_max: usize,
}

/// Answers of one stream that have not left.
#[derive(Debug, Default)]
struct Unsent {
    frames: VecDeque<(BatchCommandsResponse, usize)>,
    bytes: usize,
}

type Slot<F> = Pin<Box<OptionFuture<F>>>;

/// One stream's work. `I` yields its frames, `S` starts a request, whose future `F` resolves to its id and answer.
pub(super) struct StreamWork<I, S, F: Future<Output = (u64, Answered)>> {
    incoming: Option<I>,
    start: S,
    bounds: StreamBounds,
    waiting: std::vec::IntoIter<(u64, Option<Cmd>)>,
    under_way: FuturesUnordered<Slot<F>>,
    /// Room for the next request, left by one that was ready at once.
    spare: Option<Slot<F>>,
    unsent: Unsent,
    failed: Option<Status>,
}

impl<I, S, F> StreamWork<I, S, F>
where
    I: Stream<Item = Result<BatchCommandsRequest, Status>> + Unpin,
    S: FnMut(u64, Option<Cmd>) -> F,
    F: Future<Output = (u64, Answered)>,
{
    pub(super) fn new(incoming: I, start: S, bounds: StreamBounds) -> Self {
        Self {
            incoming: Some(incoming),
            start,
            bounds,
            waiting: Vec::new().into_iter(),
            under_way: FuturesUnordered::new(),
            spare: None,
            unsent: Unsent::default(),
            failed: None,
        }
    }

    /// No further frame is read; what was read is answered.
    pub(super) fn stop_reading(&mut self) {
        self.incoming = None;
    }

    /// Whether a frame can leave.
    pub(super) fn has_frame(&self) -> bool {
        !self.unsent.frames.is_empty() || self.failed.is_some()
    }

    /// The oldest answers, as many as one frame takes; behind the last, why the stream ends early, if it does.
    pub(super) fn take_frame(&mut self) -> Option<Result<BatchCommandsResponse, Status>> {
        let Some((frame, bytes)) = self.unsent.frames.pop_front() else {
            return self.failed.take().map(Err);
        };
        self.unsent.bytes -= bytes;
        Some(Ok(frame))
    }

    /// Whether a request that was read waits only for its turn.
    pub(super) fn can_begin(&self) -> bool {
        self.has_room() && !self.waiting.as_slice().is_empty()
    }

    /// Whether everything has been read, answered and taken.
    pub(super) fn is_over(&self) -> bool {
        self.incoming.is_none() && self.waiting.as_slice().is_empty() && self.under_way.is_empty() && !self.has_frame()
    }

    /// Does all that can be done now. The task is woken when there is more.
    pub(super) fn advance(&mut self, cx: &mut Context<'_>) {
        let mut turn = self.bounds.turn_requests_max;
        self.collect(cx);
        while self.failed.is_none() {
            while self.has_room()
                && let Some((id, request)) = self.waiting.next()
            {
                self.begin(id, request, cx);
                turn = turn.saturating_sub(1);
                if turn == 0 {
                    // The rest has to wait for others of this thread; answers so far do not have to wait for the rest.
                    cx.waker().wake_by_ref();
                    return self.collect(cx);
                }
            }
            if !self.waiting.as_slice().is_empty() || !self.read(cx) {
                break;
            }
        }
        self.collect(cx);
    }

    fn has_room(&self) -> bool {
        self.under_way.len() < self.bounds.under_way_max && self.unsent.bytes < self.bounds.unsent_bytes_max
    }

    /// Takes the next frame in; false if there is none now.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(incoming) = &mut self.incoming else { return false };
        match incoming.poll_next_unpin(cx) {
            Poll::Pending => false,
            Poll::Ready(None) => {
                self.incoming = None;
                false
            }
            Poll::Ready(Some(Ok(frame))) => {
                self.accept(frame);
                true
            }
            Poll::Ready(Some(Err(status))) => {
                self.fail(status);
                false
            }
        }
    }

    fn accept(&mut self, frame: BatchCommandsRequest) {
        let (requests, ids) = (frame.requests, frame.request_ids);
        if requests.len() != ids.len() {
            // Which answer would be whose cannot be known.
            let text = format!("a frame has {} requests and {} request_ids", requests.len(), ids.len());
            return self.fail(Status::invalid_argument(text));
        }
        if requests.len() > self.bounds.frame_requests_max {
            let (found, most) = (requests.len(), self.bounds.frame_requests_max);
            let text = format!("a frame has {found} requests, {most} at most are taken; send several");
            return self.fail(Status::resource_exhausted(text));
        }
        let requests = requests.into_iter().map(|request| request.cmd);
        self.waiting = ids.into_iter().zip(requests).collect::<Vec<_>>().into_iter();
    }

    /// Ends the stream: nobody is answered any more but those who are already.
    fn fail(&mut self, status: Status) {
        self.incoming = None;
        self.under_way.clear();
        self.failed = Some(status);
    }

    /// Begins a request; many are done by that.
    fn begin(&mut self, id: u64, request: Option<Cmd>, cx: &mut Context<'_>) {
        let mut slot = self.spare.take().unwrap_or_else(|| Box::pin(OptionFuture::default()));
        slot.set(Some((self.start)(id, request)).into());
        match slot.as_mut().poll(cx) {
            Poll::Ready(done) => {
                slot.set(OptionFuture::default());
                self.spare = Some(slot);
                if let Some((id, answered)) = done {
                    self.unsent.push(id, answered, &self.bounds);
                }
            }
            Poll::Pending => self.under_way.push(slot),
        }
    }

    /// Takes the answers of requests under way that have become ready, and has the others wake the task.
    fn collect(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(done)) = self.under_way.poll_next_unpin(cx) {
            if let Some((id, answered)) = done {
                self.unsent.push(id, answered, &self.bounds);
            }
        }
    }
}

impl<I, S, F: Future<Output = (u64, Answered)>> fmt::Debug for StreamWork<I, S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (under_way, unsent) = (self.under_way.len(), self.unsent.bytes);
        f.debug_struct("StreamWork")
            .field("under_way", &under_way)
            .field("unsent_bytes", &unsent)
            .finish_non_exhaustive()
    }
}

impl Unsent {
    fn push(&mut self, id: u64, mut answered: Answered, bounds: &StreamBounds) {
        let mut bytes = answered.response.encoded_len();
        if bytes > bounds.answer_bytes_max {
            answered = Answered::too_large(&answered.response, bytes, bounds.answer_bytes_max);
            bytes = answered.response.encoded_len();
        }
        let Answered { response, refusal } = answered;
        let refusal = refusal.map(|status| Refusal {
            request_id: id,
            code: i32::from(status.code()).unsigned_abs(),
            message: status.message().to_owned(),
        });
        // About what the id and the lengths around the answer take.
        bytes += 16 + refusal.as_ref().map_or(0, |refusal| refusal.encoded_len() + 8);
        self.bytes += bytes;
        let frame = match self.frames.back_mut() {
            Some((frame, used)) if *used + bytes <= bounds.frame_bytes_max => {
                *used += bytes;
                frame
            }
            _ => {
                self.frames.push_back((BatchCommandsResponse::default(), bytes));
                &mut self.frames.back_mut().expect("one was just pushed").0
            }
        };
        frame.request_ids.push(id);
        frame.responses.push(response);
        frame.refusals.extend(refusal);
    }
}
