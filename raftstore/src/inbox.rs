//! Where the network leaves what arrives for this store: the mailbox of the raft loop that owns the region.
//! A full mailbox loses the message; raft repeats what matters.

use nokv_proto::raft_serverpb::RaftMessage;
use nokv_transport::{Inbox, RegionId, StoreId};

use crate::handle::mailbox_of;
use crate::message::{Mailbox, StoreMessage};

/// The network's way into a store.
#[derive(Clone, Debug)]
pub struct StoreInbox {
    mailboxes: Vec<Mailbox>,
}

impl StoreInbox {
    pub(crate) fn new(mailboxes: Vec<Mailbox>) -> Self {
        Self { mailboxes }
    }
}

impl Inbox for StoreInbox {
    fn raft_message(&self, message: RaftMessage) {
        let mailbox = mailbox_of(&self.mailboxes, RegionId(message.region_id));
        let _ = mailbox.offer(StoreMessage::Raft(message));
    }

    fn unreachable(&self, store: StoreId) {
        for mailbox in &self.mailboxes {
            let _ = mailbox.offer(StoreMessage::Unreachable(store));
        }
    }
}
