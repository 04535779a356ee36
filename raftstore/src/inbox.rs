//! Where the network leaves what arrives for this store: the mailbox of the raft loop that owns the region.
//! A full mailbox loses the message; raft repeats what matters.

use std::sync::Arc;

use nokv_proto::raft_serverpb::RaftMessage;
use nokv_transport::{Inbox, RegionId, StoreId};

use crate::mailboxes::Mailboxes;
use crate::message::StoreMessage;

/// The network's way into a store.
#[derive(Clone, Debug)]
pub struct StoreInbox {
    mailboxes: Arc<Mailboxes>,
}

impl StoreInbox {
    pub(crate) fn new(mailboxes: Arc<Mailboxes>) -> Self {
        Self { mailboxes }
    }
}

impl Inbox for StoreInbox {
    fn raft_message(&self, message: RaftMessage) {
        let mailbox = self.mailboxes.of(RegionId(message.region_id));
        let _ = mailbox.offer(StoreMessage::Raft(message));
    }

    fn unreachable(&self, store: StoreId) {
        for mailbox in self.mailboxes.all() {
            let _ = mailbox.offer(StoreMessage::Unreachable(store));
        }
    }
}
