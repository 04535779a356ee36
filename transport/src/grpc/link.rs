//! The link to one store: its queue, its counters, and the task that keeps a stream open while there is work for it.
//! A link dials when it has a message; it pauses after a failure, and drops what is sent meanwhile.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use futures_util::Stream;
use nokv_proto::raft_serverpb::RaftMessage;
use tokio::sync::Notify;

use super::counters::LinkCounters;
use super::options::GrpcOptions;
use super::queue::{Batch, Queue};
use crate::{SendRefused, StoreId};

/// What senders, the link's task and its stream share.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) store: StoreId,
    pub(super) queue: Queue,
    pub(super) counters: LinkCounters,
    /// Told when the store is known to be up, to end a pause.
    pub(super) store_is_up: Notify,
    state: AtomicU8,
}

/// How a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LinkState {
    /// There is no connection, and nothing to send since.
    Idle,
    /// An attempt is under way; messages wait for it.
    Connecting,
    /// The stream is up (or not yet known to be broken).
    Connected,
    /// The last attempt failed; messages are dropped until the next.
    Pausing,
    /// The store left the address book; the link is over.
    Retired,
}

impl LinkState {
    const ALL: [LinkState; 5] =
        [LinkState::Idle, LinkState::Connecting, LinkState::Connected, LinkState::Pausing, LinkState::Retired];
}

impl Link {
    pub(super) fn new(store: StoreId, options: &GrpcOptions) -> Link {
        Link {
            store,
            queue: Queue::new(options),
            counters: LinkCounters::default(),
            store_is_up: Notify::new(),
            state: AtomicU8::new(LinkState::Idle as u8),
        }
    }

    pub(super) fn send(&self, message: RaftMessage) -> Result<(), SendRefused> {
        let sent = self.queue.push(message);
        match sent {
            Ok(()) => {}
            Err(SendRefused::QueueFull) => self.counters.dropped_queue_full.increment(),
            Err(SendRefused::TooLarge) => self.counters.dropped_too_large.increment(),
            Err(SendRefused::Disconnected | SendRefused::UnknownStore) => {
                self.counters.dropped_disconnected.increment();
            }
        }
        sent
    }

    /// The stream of what is sent from now on, and of what waits. The stream before it, if any, ends.
    pub(super) fn outbound(self: &Arc<Link>) -> Outbound {
        Outbound { link: Arc::clone(self), stream: self.queue.begin_stream() }
    }

    pub(super) fn state(&self) -> LinkState {
        let state = self.state.load(Ordering::Acquire);
        LinkState::ALL.get(usize::from(state)).copied().unwrap_or(LinkState::Retired)
    }

    pub(super) fn set_state(&self, state: LinkState) {
        self.state.store(state as u8, Ordering::Release);
    }
}

/// The sending side of one stream. It is asked for a batch only when the connection has room, so that all that waits
/// waits in the queue, where it is bounded.
#[derive(Debug)]
pub(super) struct Outbound {
    link: Arc<Link>,
    stream: u64,
}

impl Stream for Outbound {
    type Item = Batch;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Batch>> {
        let polled = self.link.queue.poll_batch(self.stream, cx);
        if let Poll::Ready(Some(batch)) = &polled {
            let counters = &self.link.counters;
            counters.sent_batches.increment();
            counters.sent_messages.add(batch.messages.len());
            counters.sent_bytes.add(batch.bytes);
        }
        polled
    }
}
