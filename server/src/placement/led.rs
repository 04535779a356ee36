//! What a node knows of the cluster while it leads placement, all of it read or begun under one term.
//! It is thrown away when the term ends, or when something that it decided could not be applied.

use nokv_engine::{Engine, is_planted};
use nokv_placement::clock::Allocator;
use nokv_placement::schedule::Scheduler;
use nokv_placement::state::State;

use super::Placement;
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
    pub(super) fn begin<E: Engine>(term: u64, state: State, placement: &Placement<E>) -> Self {
        let now_ms = placement.now_ms();
        let bound_ms = if is_planted("begin at the new leader's clock") { 0 } else { state.timestamp_bound_ms() };
        let allocator = Allocator::starting_at(bound_ms, placement.reading());
        let scheduler = Scheduler::new(now_ms, (placement.inner.machine.draw)());
        Self { term, state, scheduler, allocator, peer_ids: PeerIdPool::default(), next_tick_ms: now_ms }
    }
}
