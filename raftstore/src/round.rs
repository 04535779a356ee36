//! One round of a raft loop, as data: what all its regions want written, sent and applied.
//! The order of its fields is the order in which the loop must act on them.

use nokv_engine::LogBatch;
use nokv_proto::raft_serverpb::RaftMessage;
use nokv_transport::{RegionId, StoreId};
use raft::Ready;

use crate::apply::ApplyTask;
use crate::image::ImageOrder;

/// The effects of one round. Reused: [`Round::clear`] keeps its memory.
#[derive(Default)]
pub struct Round {
    /// May leave at once: a leader's appends and heart-beats, which promise nothing of its own disk.
    pub first_messages: Vec<(StoreId, RaftMessage)>,
    /// Committed, and on this disk already: may be applied at once, while what is below is written.
    pub apply_first: Vec<ApplyTask>,
    /// To be written, for all regions at once.
    pub log: LogBatch,
    /// Whether that write must be on disk before anything below happens.
    pub sync: bool,
    /// May leave only after the write: votes, acknowledgements.
    pub last_messages: Vec<(StoreId, RaftMessage)>,
    /// Images to be sent, each on a way of its own. Collected before and after the write; every one must be sent, since
    /// raft waits for its report.
    pub images: Vec<ImageOrder>,
    /// To be applied once the write is done.
    pub apply: Vec<ApplyTask>,
    /// What raft must be told once the write is done.
    pub(crate) readies: Vec<(RegionId, Ready)>,
}

impl Round {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.first_messages.is_empty()
            && self.images.is_empty()
            && self.log.is_empty()
            && self.last_messages.is_empty()
            && self.apply_first.is_empty()
            && self.apply.is_empty()
            && self.readies.is_empty()
    }

    /// Empties it for the next round.
    pub fn clear(&mut self) {
        self.first_messages.clear();
        self.images.clear();
        self.log.clear();
        self.sync = false;
        self.last_messages.clear();
        self.apply_first.clear();
        self.apply.clear();
        self.readies.clear();
    }
}

impl std::fmt::Debug for Round {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Round")
            .field("first_messages", &self.first_messages.len())
            .field("apply_first", &self.apply_first.len())
            .field("log_ops", &self.log.ops.len())
            .field("sync", &self.sync)
            .field("last_messages", &self.last_messages.len())
            .field("apply", &self.apply.len())
            .finish_non_exhaustive()
    }
}
