//! What a node knows of the cluster while it leads placement, all of it read or begun under one term.
//! It is thrown away when the term ends, or when something that it decided could not be applied.

use nokv_placement::clock::{Allocator, ClockReading};
use nokv_placement::schedule::Scheduler;
use nokv_placement::state::State;

use super::peer_ids::PeerIdPool;

/// See the file's head.
#[derive(Debug)]
pub(super) struct Led {
    pub(super) term: u64,
    pub(super) state: State,
    pub(super) scheduler: Scheduler,
    pub(super) allocator: Allocator,
    pub(super) peer_ids: PeerIdPool,
    /// When the cluster is looked at next, in milliseconds.
    pub(super) next_tick_ms: u64,
}

impl Led {
    pub(super) fn begin(term: u64, state: State, now_ms: u64, reading: ClockReading) -> Self {
        let allocator = Allocator::starting_at(state.timestamp_bound_ms(), reading);
        let scheduler = Scheduler::new(now_ms, rand::random());
        Self { term, state, scheduler, allocator, peer_ids: PeerIdPool::default(), next_tick_ms: now_ms }
    }
}
