//! Images: a region's data as of one applied index, for a peer that lags behind the log's beginning.
//!
//! ```text
//!   raft wants one ─► apply loop: a view after what is applied so far ─► raft: MsgSnapshot
//!        ─► source: chunk by chunk from that view ═══ network ═══► sink: checked, into an import of the engine
//!        ─► raft loop: restores, ONE synced write (`Liveness::Applying`) ─► apply loop: takes the import in ─► normal
//! ```

pub mod chunk;
mod head;
mod sink;
mod source;

use std::fmt::Debug;

use nokv_engine::{Engine, ReadView};
use nokv_proto::metapb::Region;
use nokv_proto::raft_serverpb::RaftMessage;
use nokv_transport::{ImageReport, ImageSource, Network, OutgoingImage, PeerId, RegionId, StoreId};
use raft::eraftpb::Snapshot;

use crate::log_storage::conf_state;
use crate::message::{Mailbox, StoreMessage};
use crate::records::{ApplyRecord, RegionRecord};
use crate::{RegionExt, SafePoint, StoreError};

pub use head::ImageHead;
pub(crate) use sink::EngineDoor;
pub use sink::ImageDoor;
use source::ViewContent;

/// What an image holds, to be read any number of times.
pub trait ImageContent: Debug + Send + Sync {
    /// A reading from the beginning, in chunks of about `chunk_bytes`.
    fn open(&self, chunk_bytes: usize) -> Box<dyn ImageSource>;
}

/// An image that is ready to be sent.
#[derive(Clone, Debug)]
pub struct Image {
    /// raft's description: index, term, members, and the [`ImageHead`] as its data.
    pub snapshot: Snapshot,
    /// The data.
    pub content: std::sync::Arc<dyn ImageContent>,
}

impl Image {
    /// An image of `region` as `engine` holds it now.
    ///
    /// # Errors
    /// If a record is missing or the engine fails.
    pub fn make<E: Engine>(engine: &E, region: RegionId) -> Result<Self, StoreError> {
        let view = engine.view();
        let apply = ApplyRecord::load(&view, region)?;
        let record = RegionRecord::load(&view, region)?;
        let mut snapshot = Snapshot::default();
        let metadata = snapshot.mut_metadata();
        (metadata.index, metadata.term) = (apply.applied_index, apply.applied_term);
        metadata.set_conf_state(conf_state(&record.region));
        // The view has what the region's log said of the safe point before anything went below it.
        let safe_point = SafePoint::load(&view)?.get();
        snapshot.data = ImageHead { region: record.region.clone(), safe_point }.encode();
        Ok(Self { snapshot, content: std::sync::Arc::new(ViewContent::new(view, record.region)) })
    }
}

/// An image that raft wants sent.
#[derive(Debug)]
pub struct ImageOrder {
    /// The store to send it to.
    pub to: StoreId,
    /// The message that announces it.
    pub message: RaftMessage,
    /// Its data.
    pub source: Box<dyn ImageSource>,
}

impl ImageOrder {
    /// Hands it to the network; how it ended comes to `mailbox`.
    pub fn send(self, network: &dyn Network, mailbox: &Mailbox) {
        let region = RegionId(self.message.region_id);
        let peer = PeerId(self.message.to_peer.map_or(0, |peer| peer.id));
        let mailbox = mailbox.clone();
        let report = ImageReport::new(move |outcome: Result<(), String>| {
            // A loop that has ended needs no report.
            let _ = mailbox.push(StoreMessage::ImageSent { region, peer, arrived: outcome.is_ok() });
        });
        network.send_image(self.to, self.message, OutgoingImage { source: self.source, report });
    }
}

/// An image that has arrived: a finished import of the engine, and the message that announced it.
#[derive(Debug)]
pub struct ArrivedImage {
    /// With raft's `MsgSnapshot` inside.
    pub message: RaftMessage,
    /// The region as of the image.
    pub region: Region,
    /// The import's name.
    pub import: String,
    /// Below it, the data may be missing.
    pub safe_point: u64,
}

/// All of a view's range of a region, as a check that nobody reads beyond it.
pub(crate) fn in_region(region: &Region, key: &[u8]) -> bool {
    region.range().contains(key)
}

impl<V: ReadView> Debug for ViewContent<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ViewContent").field("region", &self.region().id).finish_non_exhaustive()
    }
}
