//! Timestamps from the replicated bound. They are taken from memory; then it is made sure that this node still leads
//! in the term in which it took them: nobody can have been answered by a later leader, whose timestamps are all larger.

use std::time::Duration;

use nokv_engine::{Engine, is_planted};
use nokv_placement::clock::{AllocateError, Decision};
use nokv_placement::state::Command;

use super::host::context;
use super::{Placement, PlacementError};

/// How often a caller waits for a bound, or for time to catch up with demand.
const TRIES: u32 = 20;

impl<E: Engine> Placement<E> {
    /// `count` timestamps that follow one another; the first.
    ///
    /// # Errors
    /// [`PlacementError`]; none was handed out then.
    pub async fn timestamps(&self, count: u32) -> Result<u64, PlacementError> {
        for _ in 0..TRIES {
            let reading = self.reading();
            let (term, decision) = self.look(|led| (led.term, led.allocator.allocate(reading, count)))?;
            match decision {
                Ok(Decision::Granted { first }) if is_planted("hand timestamps out unasked") => return Ok(first),
                Ok(Decision::Granted { first }) => {
                    let view = self.inner.raftstore.view(&context()).await?;
                    return if view.term == term { Ok(first) } else { Err(PlacementError::NotLeader) };
                }
                Ok(Decision::BoundNeeded { bound_ms }) if is_planted("raise the bound before it is durable") => {
                    self.look(|led| led.allocator.bound_is_durable(bound_ms))?;
                }
                Ok(Decision::BoundNeeded { bound_ms }) => {
                    self.decide(Command::RaiseTimestampBound { bound_ms }).await?;
                }
                Err(AllocateError::TooFast { wait_ms }) => tokio::time::sleep(Duration::from_millis(wait_ms)).await,
                Err(error) => return Err(error.into()),
            }
        }
        Err(AllocateError::TooFast { wait_ms: 1 }.into())
    }
}
