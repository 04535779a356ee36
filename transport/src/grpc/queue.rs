//! The messages that wait for one store: bounded by count and bytes, filled by any thread, emptied by one stream.
//! A sleeping stream is woken by the first message only; what follows until it runs joins the same batch.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use nokv_proto::raft_serverpb::RaftMessage;
use parking_lot::Mutex;
use prost::Message;

use super::options::GrpcOptions;
use crate::SendRefused;

/// The queue to one store.
#[derive(Debug)]
pub(super) struct Queue {
    messages_max: usize,
    bytes_max: usize,
    message_bytes_max: usize,
    batch_bytes_max: usize,
    state: Mutex<State>,
}

/// Invariants: `bytes` is the sum of the messages' sizes; a closed queue is empty; `waker` is there only while the
/// stream (or the link that waits for a first message) has seen the queue empty.
#[derive(Debug)]
struct State {
    messages: VecDeque<Waiting>,
    bytes: usize,
    open: bool,
    /// The stream that may take messages; an earlier one is over, even if its connection does not know yet.
    stream: u64,
    batches_taken: u64,
    waker: Option<Waker>,
}

/// A message and its encoded size in a frame, which is computed once.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) message: RaftMessage,
    pub(super) frame_bytes: usize,
}

/// What goes out as one frame.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) messages: VecDeque<Waiting>,
    /// The exact size of the encoded frame.
    pub(super) bytes: usize,
}

/// How a queue stands, to tell a stream that is idle from one that is stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) batches_taken: u64,
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

impl Queue {
    pub(super) fn new(options: &GrpcOptions) -> Queue {
        Queue {
            messages_max: options.queue_messages_max.max(1),
            bytes_max: options.queue_bytes_max,
            message_bytes_max: options.message_bytes_max,
            batch_bytes_max: options.batch_bytes_max,
            state: Mutex::new(State {
                messages: VecDeque::new(),
                bytes: 0,
                open: true,
                stream: 0,
                batches_taken: 0,
                waker: None,
            }),
        }
    }

    /// Queues `message`, or refuses it. Never waits but for the lock, which nobody holds for long.
    pub(super) fn push(&self, message: RaftMessage) -> Result<(), SendRefused> {
        let message_bytes = message.encoded_len();
        if message_bytes > self.message_bytes_max {
            return Err(SendRefused::TooLarge);
        }
        // One byte of tag and the length before each message.
        let frame_bytes = 1 + prost::length_delimiter_len(message_bytes) + message_bytes;
        let waker = {
            let mut state = self.state.lock();
            if !state.open {
                return Err(SendRefused::Disconnected);
            }
            let full = state.messages.len() >= self.messages_max || state.bytes + frame_bytes > self.bytes_max;
            if full && !state.messages.is_empty() {
                return Err(SendRefused::QueueFull);
            }
            state.bytes += frame_bytes;
            state.messages.push_back(Waiting { message, frame_bytes });
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Ends the stream before, if there is one, and waits until there is a message. (A stream whose connection has not
    /// noticed its end yet would else take the message, or the wake-up, into nowhere.)
    pub(super) async fn wait_for_message(&self) {
        self.begin_stream();
        poll_fn(|cx| {
            let mut state = self.state.lock();
            if state.messages.is_empty() { state.sleep(cx) } else { Poll::Ready(()) }
        })
        .await;
    }

    /// Ends the stream before, if there is one, and gives the number of the one that may take messages from now on.
    pub(super) fn begin_stream(&self) -> u64 {
        let mut state = self.state.lock();
        state.stream += 1;
        let (stream, waker) = (state.stream, state.waker.take());
        drop(state);
        drop(waker);
        stream
    }

    /// The next batch for the stream `stream`: all that waits, up to the size of a frame; none: the stream is over.
    pub(super) fn poll_batch(&self, stream: u64, cx: &mut Context<'_>) -> Poll<Option<Batch>> {
        let mut state = self.state.lock();
        if state.stream != stream {
            return Poll::Ready(None);
        }
        if state.messages.is_empty() {
            return state.sleep(cx).map(|()| None);
        }
        state.batches_taken += 1;
        Poll::Ready(Some(state.take(self.batch_bytes_max)))
    }

    /// Drops what waits (how many messages that was) and refuses all until the queue is opened. The stream is over.
    pub(super) fn close(&self) -> usize {
        let mut state = self.state.lock();
        state.open = false;
        state.stream += 1;
        state.bytes = 0;
        let dropped = std::mem::take(&mut state.messages);
        let waker = state.waker.take();
        // Messages and a task are freed outside of the lock, so that no sender waits for it.
        drop(state);
        drop(waker);
        dropped.len()
    }

    pub(super) fn open(&self) {
        self.state.lock().open = true;
    }

    pub(super) fn progress(&self) -> Progress {
        let state = self.state.lock();
        Progress { batches_taken: state.batches_taken, messages: state.messages.len(), bytes: state.bytes }
    }
}

impl State {
    fn sleep(&mut self, cx: &Context<'_>) -> Poll<()> {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    fn take(&mut self, batch_bytes_max: usize) -> Batch {
        if self.bytes <= batch_bytes_max {
            return Batch { messages: std::mem::take(&mut self.messages), bytes: std::mem::take(&mut self.bytes) };
        }
        let (mut count, mut bytes) = (0, 0);
        for waiting in &self.messages {
            if count > 0 && bytes + waiting.frame_bytes > batch_bytes_max {
                break;
            }
            count += 1;
            bytes += waiting.frame_bytes;
        }
        self.bytes -= bytes;
        Batch { messages: self.messages.drain(..count).collect(), bytes }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn queue(messages_max: usize, queue_bytes_max: usize, batch_bytes_max: usize) -> Queue {
        Queue::new(&GrpcOptions {
            queue_messages_max: messages_max,
            queue_bytes_max,
            batch_bytes_max,
            message_bytes_max: 1000,
            ..GrpcOptions::default()
        })
    }

    /// 103 bytes encoded (tag, length, the region's two), 105 in a frame.
    fn message() -> RaftMessage {
        RaftMessage { region_id: 1, message: vec![0; 99].into(), ..RaftMessage::default() }
    }

    fn poll(queue: &Queue, stream: u64) -> Poll<Option<Batch>> {
        queue.poll_batch(stream, &mut Context::from_waker(Waker::noop()))
    }

    fn next(queue: &Queue, stream: u64) -> (usize, usize) {
        match poll(queue, stream) {
            Poll::Ready(Some(batch)) => (batch.messages.len(), batch.bytes),
            other => panic!("expected a batch, got {other:?}"),
        }
    }

    #[test]
    fn a_full_queue_refuses_by_count_and_by_bytes() {
        let by_count = queue(2, 10_000, 10_000);
        let by_bytes = queue(1000, 210, 10_000);
        for full in [by_count, by_bytes] {
            assert_eq!(full.push(message()), Ok(()));
            assert_eq!(full.push(message()), Ok(()));
            for _ in 0..10 {
                assert_eq!(full.push(message()), Err(SendRefused::QueueFull));
            }
            assert_eq!(full.progress(), Progress { batches_taken: 0, messages: 2, bytes: 210 });
            let stream = full.begin_stream();
            assert_eq!(next(&full, stream), (2, 210));
            assert_eq!(full.push(message()), Ok(()));
        }
    }

    #[test]
    fn an_empty_queue_takes_any_message_that_may_be_sent_at_all() {
        let queue = queue(10, 50, 50);
        assert_eq!(queue.push(message()), Ok(()), "larger than the queue's bound, but alone");
        assert_eq!(queue.push(message()), Err(SendRefused::QueueFull));
        let stream = queue.begin_stream();
        assert_eq!(next(&queue, stream), (1, 105), "larger than a batch, but alone");
        let huge = RaftMessage { message: vec![0; 1000].into(), ..RaftMessage::default() };
        assert_eq!(queue.push(huge), Err(SendRefused::TooLarge));
    }

    #[test]
    fn batches_are_cut_by_size_and_lose_nothing() {
        let queue = queue(100, 100_000, 420);
        for _ in 0..10 {
            queue.push(message()).unwrap();
        }
        let stream = queue.begin_stream();
        let batches: Vec<_> = (0..3).map(|_| next(&queue, stream)).collect();
        assert_eq!(batches, [(4, 420), (4, 420), (2, 210)]);
        assert!(poll(&queue, stream).is_pending());
        assert_eq!(queue.progress(), Progress { batches_taken: 3, messages: 0, bytes: 0 });
    }

    #[test]
    fn many_messages_wake_a_sleeping_stream_once() {
        let queue = queue(100, 100_000, 100_000);
        let stream = queue.begin_stream();
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        for round in 1..=3 {
            assert!(queue.poll_batch(stream, &mut Context::from_waker(&waker)).is_pending());
            for _ in 0..10 {
                queue.push(message()).unwrap();
            }
            assert_eq!(wakes.0.load(Ordering::SeqCst), round);
            assert_eq!(next(&queue, stream).0, 10);
        }
    }

    #[test]
    fn a_stream_that_lingers_takes_no_wake_up_from_who_waits_for_a_message() {
        let queue = queue(100, 100_000, 100_000);
        let lingering = queue.begin_stream();
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let mut waiting = pin!(queue.wait_for_message());
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(matches!(poll(&queue, lingering), Poll::Ready(None)));
        queue.push(message()).unwrap();
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
        assert_eq!(queue.progress().messages, 1);
    }

    #[test]
    fn an_earlier_stream_gets_nothing_and_a_closed_queue_takes_nothing() {
        let queue = queue(100, 100_000, 100_000);
        let (old, new) = (queue.begin_stream(), queue.begin_stream());
        queue.push(message()).unwrap();
        assert!(matches!(poll(&queue, old), Poll::Ready(None)));
        assert_eq!(next(&queue, new).0, 1);
        queue.push(message()).unwrap();
        assert_eq!(queue.close(), 1);
        assert!(matches!(poll(&queue, new), Poll::Ready(None)));
        assert_eq!(queue.push(message()), Err(SendRefused::Disconnected));
        queue.open();
        assert_eq!(queue.push(message()), Ok(()));
    }
}
