//! Where the network leaves what arrives for this store: the mailbox of the raft loop that owns the region.
//! A full mailbox loses the message; raft repeats what matters.

use std::sync::Arc;

use nokv_proto::raft_serverpb::RaftMessage;
use nokv_transport::{ImageSink, Inbox, RegionId, StoreId};

use crate::image::ImageDoor;
use crate::mailboxes::Mailboxes;
use crate::message::StoreMessage;
use crate::store::is_word;

/// The network's way into a store.
#[derive(Clone, Debug)]
pub struct StoreInbox {
    mailboxes: Arc<Mailboxes>,
    images: Arc<dyn ImageDoor>,
}

impl StoreInbox {
    pub(crate) fn new(mailboxes: Arc<Mailboxes>, images: Arc<dyn ImageDoor>) -> Self {
        Self { mailboxes, images }
    }
}

impl Inbox for StoreInbox {
    fn raft_message(&self, message: RaftMessage) {
        if is_word(&message) {
            for mailbox in self.mailboxes.all() {
                let _ = mailbox.offer(StoreMessage::Raft(message.clone()));
            }
            return;
        }
        let mailbox = self.mailboxes.of(RegionId(message.region_id));
        let _ = mailbox.offer(StoreMessage::Raft(message));
    }

    fn unreachable(&self, store: StoreId) {
        for mailbox in self.mailboxes.all() {
            let _ = mailbox.offer(StoreMessage::Unreachable(store));
        }
    }

    fn image(&self, message: RaftMessage) -> Result<Box<dyn ImageSink>, String> {
        self.images.begin(message)
    }
}
