//! Fates of writes, handed to the runtime that answers their clients all at once: one wake-up instead of one for each,
//! and answers that leave together instead of one system call for each.

use nokv_raftstore::{Fates, Teller};
use tokio::runtime::Handle;

/// Tells fates on the runtime. If that has ended, nobody listens any more.
#[derive(Clone, Debug)]
pub(super) struct TellOnRuntime(Handle);

impl TellOnRuntime {
    /// On the runtime of the caller.
    pub(super) fn here() -> Self {
        Self(Handle::current())
    }
}

impl Teller for TellOnRuntime {
    fn tell(&self, fates: Fates) {
        self.0.spawn(async move { fates.tell() });
    }
}
