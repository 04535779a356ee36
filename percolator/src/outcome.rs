//! What a command that writes hands back: effects as data. Whoever ran it replicates the batch, and sends the reply
//! only once that is applied.

use nokv_engine::WriteBatch;

/// A command's decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome<R> {
    /// What to write, atomically; empty if there is nothing to write: then the reply can be sent at once.
    pub batch: WriteBatch,
    /// What to answer.
    pub reply: R,
}

impl<R> Outcome<R> {
    /// Nothing to write.
    pub fn unchanged(reply: R) -> Self {
        Self { batch: WriteBatch::new(), reply }
    }
}
