//! What a raft loop is told, and by whom: other stores, request threads, its apply loop, the operator.
//! A mailbox holds them in order; from outside it takes a bounded number, from inside all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use futures_channel::oneshot;
use nokv_engine::WriteBatch;
use nokv_proto::metapb::{Peer, RegionEpoch};
use nokv_proto::raft_serverpb::RaftMessage;
use nokv_transport::{PeerId, RegionId, StoreId};

use crate::apply::Applied;
use crate::bell::Bell;
use crate::image::{ArrivedImage, Image};
use crate::merge::{Claim, CommitOrder, MergeRequest, Sealed, Successor};
use crate::{MonotonicTime, RegionError};

/// A message to a raft loop.
#[derive(Debug)]
pub enum StoreMessage {
    /// From a peer on another store.
    Raft(RaftMessage),
    /// Replicate this.
    Propose(Proposal, Waiter),
    /// Tell when a view taken from then on holds every write acknowledged before now.
    Read(ReadRequest),
    /// The region's lease runs out and reads go on: renew it.
    RenewLease(RegionId),
    /// A follower serves a read: it is to know at once what is committed.
    TellCommits(RegionId),
    /// Messages to this store were lost.
    Unreachable(StoreId),
    /// Entries were applied.
    Applied(Vec<Applied>),
    /// Split a region.
    Split(SplitRequest, Waiter),
    /// Raise the safe point, in the log of this region.
    RaiseSafePoint(RegionId, u64, Waiter),
    /// Change a region's members.
    ChangeMembers(MembersRequest, Waiter),
    /// Merge a region into its neighbour.
    Merge(MergeRequest, Waiter),
    /// To a target: take a prepared source, if you lead.
    CommitMerge(Box<CommitOrder>),
    /// To a source: its target wants its place here.
    Claim(Box<Claim>),
    /// To a target: the source that it claimed is out of the way.
    Sealed {
        /// The target.
        target: RegionId,
        /// The source.
        sealed: Box<Sealed>,
        /// Whether the target's log claimed it, and not an image.
        by_log: bool,
    },
    /// To a source: the image that claimed it is not needed after all.
    Unseal(RegionId),
    /// To a source: it is merged, and stands so in its record.
    Merged(RegionId, Successor),
    /// An image has arrived and is durable.
    Image(Box<ArrivedImage>),
    /// An image that raft asked for is made, or could not be.
    ImageMade {
        /// The region.
        region: RegionId,
        /// The image.
        image: Option<Image>,
    },
    /// Sending an image is over.
    ImageSent {
        /// The region.
        region: RegionId,
        /// The peer that it was sent to.
        peer: PeerId,
        /// Whether the peer's store has all of it.
        arrived: bool,
    },
    /// The data of a removed replica is gone.
    Cleared(RegionId),
    /// Give the leadership of a region to the peer on `to`, or to the best follower.
    TransferLeader {
        /// The region.
        region: RegionId,
        /// The store that is to lead it; `None` = the follower that is furthest.
        to: Option<StoreId>,
        /// Told whether the transfer began; that it was done shows in the region's status.
        done: oneshot::Sender<Result<(), RegionError>>,
    },
    /// Tell how far a region's peers are.
    Progress {
        /// The region, which this store leads.
        region: RegionId,
        /// Told what the leader knows of each peer.
        done: oneshot::Sender<Result<Vec<PeerProgress>, RegionError>>,
    },
    /// End the loop.
    Stop,
}

/// A write to be replicated, as decided under `term` and `epoch` of the view that it was made from.
pub struct Proposal {
    /// The region.
    pub region_id: RegionId,
    /// Term of the view. Refused if it has moved.
    pub term: u64,
    /// Epoch of the view. Refused if its version has moved, now or when applied.
    pub epoch: RegionEpoch,
    /// The effects.
    pub batch: WriteBatch,
    /// Dropped as soon as the write's fate is known and before the waiter is told: the latches.
    pub held: Box<dyn Send>,
}

impl std::fmt::Debug for Proposal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proposal")
            .field("region_id", &self.region_id)
            .field("term", &self.term)
            .field("epoch", &self.epoch)
            .field("bytes", &self.batch.encoded_bytes())
            .finish_non_exhaustive()
    }
}

/// A region is to become several.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitRequest {
    /// The region.
    pub region_id: RegionId,
    /// Its epoch; refused if it has moved.
    pub epoch: RegionEpoch,
    /// The new regions, from left to right; the region itself keeps what is left of the first.
    pub new: Vec<NewRegion>,
}

/// A region to come.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRegion {
    /// Its id, never used before.
    pub id: RegionId,
    /// Its first key, as region bounds are encoded.
    pub start_key: Bytes,
    /// The ids of its peers, never used before, in the order of the parent's members.
    pub peer_ids: Vec<PeerId>,
}

/// A region is to get other members.
#[derive(Clone, Debug, PartialEq)]
pub struct MembersRequest {
    /// The region.
    pub region_id: RegionId,
    /// Its epoch; refused if it has moved.
    pub epoch: RegionEpoch,
    /// One change is made at once; several are made together, by joint consensus.
    pub changes: Vec<MemberChange>,
    /// Do it even if that loses the quorum of those that are known to be up, or adds a voter that has nothing yet.
    pub forced: bool,
}

/// A change of one member.
#[derive(Clone, Debug, PartialEq)]
pub enum MemberChange {
    /// A new peer, with an id never used before, that gets everything and decides nothing.
    AddLearner {
        /// Its store, which has no peer of the region.
        store: StoreId,
        /// Its id.
        peer: PeerId,
    },
    /// A learner that has caught up becomes a voter. (With `forced`, also a peer that is no member yet.)
    AddVoter {
        /// Its store.
        store: StoreId,
        /// Its id.
        peer: PeerId,
    },
    /// A voter becomes a learner.
    Demote(PeerId),
    /// A member goes. Among several changes, only learners go.
    Remove(PeerId),
}

/// How far one peer of a region is, as its leader knows.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerProgress {
    /// The peer.
    pub peer: Peer,
    /// The last entry that it is known to have.
    pub matched_index: u64,
    /// How it is fed.
    pub feeding: Feeding,
    /// It was heard of lately.
    pub active: bool,
}

/// How a leader feeds a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feeding {
    /// It finds out what the peer has.
    Probing,
    /// From the log, as fast as it can.
    FromLog,
    /// The peer waits for an image.
    ByImage,
}

/// Who waits for a proposal's fate.
pub struct Waiter {
    held: Box<dyn Send>,
    done: oneshot::Sender<Result<(), RegionError>>,
}

impl Waiter {
    /// A waiter, and what it waits on. `held` is dropped just before it is told.
    pub fn new(held: Box<dyn Send>) -> (Self, oneshot::Receiver<Result<(), RegionError>>) {
        let (done, receiver) = oneshot::channel();
        (Self { held, done }, receiver)
    }

    /// Tells the fate. That nobody listens any more is fine.
    pub fn tell(self, fate: Result<(), RegionError>) {
        drop(self.held);
        let _ = self.done.send(fate);
    }
}

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiter").finish_non_exhaustive()
    }
}

/// A read that needs the quorum's word.
#[derive(Debug)]
pub struct ReadRequest {
    /// The region.
    pub region_id: RegionId,
    /// When it arrived; it is not answered with success after its deadline.
    pub deadline: MonotonicTime,
    /// Told the term in which a view may now be taken.
    pub done: oneshot::Sender<Result<u64, RegionError>>,
}

/// The sending end of a raft loop's mailbox.
#[derive(Clone, Debug)]
pub struct Mailbox {
    sender: Sender<StoreMessage>,
    bell: Arc<Bell>,
    waiting: Arc<AtomicUsize>,
    waiting_max: usize,
}

/// The receiving end.
#[derive(Debug)]
pub struct MailboxReceiver {
    receiver: Receiver<StoreMessage>,
    bell: Arc<Bell>,
    waiting: Arc<AtomicUsize>,
}

/// A mailbox that takes `waiting_max` messages from outside before it refuses.
pub fn mailbox(waiting_max: usize) -> (Mailbox, MailboxReceiver) {
    let (sender, receiver) = crossbeam_channel::unbounded();
    let (bell, waiting) = (Arc::new(Bell::default()), Arc::new(AtomicUsize::new(0)));
    let mailbox = Mailbox { sender, bell: bell.clone(), waiting: waiting.clone(), waiting_max };
    (mailbox, MailboxReceiver { receiver, bell, waiting })
}

impl Mailbox {
    /// Leaves a message, unless the mailbox is full or its loop has ended.
    pub fn offer(&self, message: StoreMessage) -> Result<(), Refused> {
        self.offer_unless(message, || false)
    }

    /// As [`Mailbox::offer`], but the loop is not woken for it if, once it has been left, `can_wait` says so.
    pub fn offer_unless(&self, message: StoreMessage, can_wait: impl FnOnce() -> bool) -> Result<(), Refused> {
        if self.waiting.load(Ordering::Relaxed) >= self.waiting_max {
            return Err(Refused::Full);
        }
        self.leave(message)?;
        // What `can_wait` sees was so after the message was there.
        fence(Ordering::SeqCst);
        if !can_wait() {
            self.bell.ring();
        }
        Ok(())
    }

    /// Leaves a message that must not be refused for want of room: what the loop itself has under way bounds these.
    pub fn push(&self, message: StoreMessage) -> Result<(), Refused> {
        self.leave(message)?;
        self.bell.ring();
        Ok(())
    }

    fn leave(&self, message: StoreMessage) -> Result<(), Refused> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.sender.send(message).map_err(|_| Refused::Ended)
    }
}

/// Why a mailbox did not take a message, which is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Too many wait.
    Full,
    /// The loop has ended.
    Ended,
}

impl From<Refused> for RegionError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full => {
                let reason = "too many requests wait for the raft loop".to_owned();
                RegionError::ServerIsBusy { reason, backoff_ms: 50 }
            }
            Refused::Ended => RegionError::stopping(),
        }
    }
}

impl MailboxReceiver {
    /// The next message, if one is there.
    pub fn try_next(&self) -> Option<StoreMessage> {
        let message = self.receiver.try_recv().ok()?;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        Some(message)
    }

    /// The next message, waiting at most `timeout` for it, perhaps less. For one thread.
    pub fn next_within(&self, timeout: std::time::Duration) -> Option<StoreMessage> {
        let message = self.try_next();
        if message.is_some() || timeout.is_zero() {
            return message;
        }
        self.bell.sleep(timeout, || self.try_next())
    }

    /// Messages that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_woken_for_what_can_wait() {
        let (mailbox, receiver) = mailbox(10);
        let look = || {
            // Asleep from here on, as far as others can tell.
            mailbox.offer_unless(StoreMessage::Stop, || true).unwrap();
            assert!(receiver.bell.is_asleep());
            mailbox.offer_unless(StoreMessage::Stop, || false).unwrap();
            assert!(!receiver.bell.is_asleep());
            receiver.try_next()
        };
        assert!(receiver.bell.sleep(std::time::Duration::from_secs(600), look).is_some());
    }
}
