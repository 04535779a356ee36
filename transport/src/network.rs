//! The seam: what replication may ask of a network, and what a network hands to replication.
//! Both sides answer at once; waiting, retrying and forgetting are the network's own business.

use std::fmt::Debug;

use nokv_proto::raft_serverpb::RaftMessage;

use crate::{ImageSink, OutgoingImage, StoreId};

/// Sends raft messages to other stores. Every call returns at once: a dead or slow store costs its own messages only.
pub trait Network: Debug + Send + Sync + 'static {
    /// Queues `message` for the store `to`. Raft messages may be lost, repeated and reordered; raft copes.
    ///
    /// # Errors
    /// The message is dropped and the error says why; the sender tells raft that the peer is unreachable.
    fn send(&self, to: StoreId, message: RaftMessage) -> Result<(), SendRefused>;

    /// Begins to send `message` (which announces an image) and its chunks to the store `to`, on a stream of their own
    /// and never faster than the receiver takes them. The report is always told, at the latest after the network's own
    /// deadline.
    fn send_image(&self, to: StoreId, message: RaftMessage, image: OutgoingImage);
}

/// Receives what arrives from other stores. Called from network threads; every call returns at once.
pub trait Inbox: Debug + Send + Sync + 'static {
    /// A raft message for a peer of this store. It is dropped in silence when this store's mailbox is full.
    fn raft_message(&self, message: RaftMessage);

    /// Messages to `store` were lost (connection refused or broken); told at most once per connection attempt.
    fn unreachable(&self, store: StoreId);

    /// An image begins to arrive, announced by `message`; its chunks go to the sink. May wait for the disk.
    ///
    /// # Errors
    /// It is not taken, now or at all; the text says why and goes back to the sender.
    fn image(&self, message: RaftMessage) -> Result<Box<dyn ImageSink>, String>;
}

/// Why a message was not queued. Whatever the reason, the message is gone and raft will send what is still needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendRefused {
    /// The address book has no such store. Sending again helps once the book has it.
    #[error("no address is known for the store")]
    UnknownStore,
    /// The store's queue is full: it is down, or slower than we are. Later messages may pass.
    #[error("the queue to the store is full")]
    QueueFull,
    /// The last connection attempt failed and the next is not due yet. [`Inbox::unreachable`] was told of the attempt.
    #[error("the store is not connected, and the next attempt is not due yet")]
    Disconnected,
    /// The message is over the size that a receiver takes: it can never pass, so the sender must make smaller ones.
    #[error("the message is larger than receivers accept")]
    TooLarge,
}
