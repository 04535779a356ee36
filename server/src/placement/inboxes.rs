//! One network serves two raftstores: what is for placement's region goes to the one, all else to the other.
//! They share connections, queues and their bounds; nothing but the region's id tells them apart.

use nokv_proto::raft_serverpb::RaftMessage;
use nokv_raftstore::StoreInbox;
use nokv_transport::{ImageSink, Inbox, StoreId};

use super::PLACEMENT_REGION;

/// See the file's head.
#[derive(Clone, Debug)]
pub struct BothInboxes {
    /// Of the regions that hold data.
    pub data: StoreInbox,
    /// Of placement's region; without it, what is for it is dropped: it must never become a region of the data.
    pub placement: Option<StoreInbox>,
}

impl BothInboxes {
    fn of(&self, message: &RaftMessage) -> Option<&StoreInbox> {
        if message.region_id == PLACEMENT_REGION.0 { self.placement.as_ref() } else { Some(&self.data) }
    }
}

impl Inbox for BothInboxes {
    fn raft_message(&self, message: RaftMessage) {
        if let Some(inbox) = self.of(&message) {
            inbox.raft_message(message);
        }
    }

    fn unreachable(&self, store: StoreId) {
        self.data.unreachable(store);
        if let Some(placement) = &self.placement {
            placement.unreachable(store);
        }
    }

    fn image(&self, message: RaftMessage) -> Result<Box<dyn ImageSink>, String> {
        let inbox = self.of(&message).ok_or("placement is not hosted on this node")?;
        inbox.image(message)
    }
}
