//! A turn of garbage collection in a region: a bounded look, a bounded batch, replicated like any other write, so that
//! replicas stay equal byte by byte. Whoever calls decides when the next turn is due.
//!
//! No latches: no command decides by what lies below the safe point (see [`Collect`]), and what lies above stays.

use nokv_engine::Engine;
use nokv_percolator::{Collect, CollectPosition, Outcome, Timestamp};
use nokv_raftstore::{Proposal, RegionExt as _, RequestContext};
use nokv_transport::RegionId;

use super::{ExecuteError, Executor};

/// Where the collection of a region stands, and how much a turn may do.
#[derive(Clone, Debug)]
pub struct CollectTurn {
    /// The region.
    pub region: RegionId,
    /// The version of its epoch at the beginning: if its range changes, the collection begins anew.
    pub version: u64,
    /// The safe point; the store's, when the collection began.
    pub safe_point: Timestamp,
    /// Where it stands.
    pub position: CollectPosition,
    /// Whether the region's log has heard of the safe point.
    pub is_announced: bool,
    /// Records that a turn looks at.
    pub records_max: usize,
    /// Bytes of a turn's batch, about.
    pub batch_bytes_max: usize,
}

/// What a turn did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// The region has been seen to its end.
    pub is_done: bool,
    /// Records looked at.
    pub seen: u64,
    /// Records removed.
    pub removed: u64,
    /// Bytes of the batch that removed them.
    pub batch_bytes: u64,
    /// As long as nothing that this turn saw is written, nothing of it goes at a safe point up to this one.
    pub quiet_up_to: Timestamp,
}

impl<E: Engine> Executor<E> {
    /// Does one turn, and moves the position on.
    ///
    /// # Errors
    /// See [`ExecuteError`]; the position has not moved, and the turn can be done again.
    pub async fn collect(&self, turn: &mut CollectTurn) -> Result<Collected, ExecuteError> {
        let context = RequestContext { region_id: turn.region, ..RequestContext::default() };
        let (outcome, proposal) = {
            let view = self.view(&context, []).await?;
            if view.epoch().version != turn.version {
                let current = vec![view.region.as_ref().clone()];
                return Err(nokv_raftstore::RegionError::EpochNotMatch { current }.into());
            }
            let command = Collect {
                range: view.region.range(),
                safe_point: turn.safe_point,
                position: turn.position.clone(),
                records_max: turn.records_max,
                batch_bytes_max: turn.batch_bytes_max,
            };
            let Outcome { batch, reply } = self.checked(command.execute(&view.view))?;
            let bytes = batch.encoded_bytes();
            let held = Box::new(self.charge(bytes)?);
            let proposal = Proposal { region_id: turn.region, term: view.term, epoch: view.epoch(), batch, held };
            ((reply, bytes), proposal)
        };
        let (reply, bytes) = outcome;
        if bytes > 0 {
            if !turn.is_announced {
                // First of all, in the log of this very region: a replica that applies what follows has applied this.
                self.raise_safe_point(&context, turn.safe_point).await?;
                turn.is_announced = true;
            }
            self.replicate(proposal).await?;
        }
        let is_done = reply.next.is_none();
        turn.position = reply.next.unwrap_or_default();
        Ok(Collected {
            is_done,
            seen: reply.seen,
            removed: reply.removed,
            batch_bytes: bytes as u64,
            quiet_up_to: reply.quiet_up_to,
        })
    }
}
