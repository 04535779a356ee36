//! What every peer of a store is made with: settings, the log, the gates that it is entered in.
//! Cheap to clone; the store keeps it, since peers come into being while it runs.

use std::sync::Arc;

use nokv_engine::RaftLog;

use crate::Config;
use crate::gate::Gates;
use crate::mailboxes::Mailboxes;

/// A store's part in each of its peers.
#[derive(Clone, Debug)]
pub struct PeerContext {
    /// Settings.
    pub config: Arc<Config>,
    /// Where logs are.
    pub log: Arc<dyn RaftLog>,
    /// The store's regions, as request threads see them.
    pub gates: Arc<Gates>,
    /// Where the raft loops leave each other messages.
    pub mailboxes: Arc<Mailboxes>,
    /// The raft loop that these peers belong to.
    pub slot: usize,
    /// Where peers say what happens to them.
    pub logger: slog::Logger,
}
