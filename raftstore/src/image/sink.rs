//! Takes an arriving image in: every chunk is checked (checksum, order, keys of the region) and goes into an import of
//! the engine. Only a whole one, durable on this disk, is handed to the raft loop.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use nokv_engine::{Engine, Importer, WriteOp, WriteOps};
use nokv_proto::metapb::Region;
use nokv_proto::raft_serverpb::RaftMessage;
use nokv_transport::{ImageSink, RegionId, StoreId};
use parking_lot::Mutex;
use protobuf::Message as _;
use raft::eraftpb::{Message, MessageType};

use super::chunk::{self, Chunk, Counting, Totals};
use super::{ArrivedImage, ImageHead, in_region};
use crate::RegionExt;
use crate::mailboxes::Mailboxes;
use crate::message::StoreMessage;

/// Where images come in: one for each store.
pub trait ImageDoor: fmt::Debug + Send + Sync {
    /// Begins to take an image in.
    ///
    /// # Errors
    /// Why not.
    fn begin(&self, message: RaftMessage) -> Result<Box<dyn ImageSink>, String>;
}

/// The door of a store on `E`.
#[derive(Debug)]
pub(crate) struct EngineDoor<E> {
    engine: E,
    store: StoreId,
    mailboxes: Arc<Mailboxes>,
    receiving: Arc<Mutex<BTreeSet<RegionId>>>,
    receiving_max: usize,
    counter: AtomicU64,
}

impl<E: Engine> EngineDoor<E> {
    pub(crate) fn new(engine: E, store: StoreId, mailboxes: Arc<Mailboxes>, receiving_max: usize) -> Self {
        Self { engine, store, mailboxes, receiving: Arc::default(), receiving_max, counter: AtomicU64::new(0) }
    }

    fn reserve(&self, region: RegionId) -> Result<Reserved, String> {
        let mut receiving = self.receiving.lock();
        if receiving.len() >= self.receiving_max {
            return Err(format!("this store takes in {} images already", receiving.len()));
        }
        if !receiving.insert(region) {
            return Err(format!("an image of region {region} is being taken in already"));
        }
        Ok(Reserved { region, receiving: self.receiving.clone() })
    }
}

impl<E: Engine> ImageDoor for EngineDoor<E> {
    fn begin(&self, message: RaftMessage) -> Result<Box<dyn ImageSink>, String> {
        let raft = Message::parse_from_carllerche_bytes(&message.message).map_err(|error| error.to_string())?;
        let head = Some(raft.get_snapshot())
            .filter(|_| raft.get_msg_type() == MessageType::MsgSnapshot)
            .and_then(ImageHead::of)
            .filter(|ImageHead { region, .. }| {
                region.id == message.region_id && region.peer_on(self.store) == message.to_peer.as_ref()
            })
            .ok_or("the message does not announce an image for a peer of this store")?;
        let ImageHead { region, safe_point } = head;
        let reserved = self.reserve(region.region_id())?;
        let index = raft.get_snapshot().get_metadata().index;
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        // Names of an earlier life of this process may be in use until they are taken in or discarded at its start.
        let import = format!("image-{}-{index}-{}-{number}", region.id, raft.term);
        let importer = self.engine.importer(&import).map_err(|error| error.to_string())?;
        Ok(Box::new(EngineSink {
            message,
            region,
            safe_point,
            import,
            importer: Some(importer),
            counting: Counting::default(),
            ended: None,
            mailboxes: self.mailboxes.clone(),
            _reserved: reserved,
        }))
    }
}

/// A place among the images that are taken in at once.
#[derive(Debug)]
struct Reserved {
    region: RegionId,
    receiving: Arc<Mutex<BTreeSet<RegionId>>>,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.receiving.lock().remove(&self.region);
    }
}

struct EngineSink {
    message: RaftMessage,
    region: Region,
    safe_point: u64,
    import: String,
    importer: Option<Box<dyn Importer>>,
    counting: Counting,
    ended: Option<Totals>,
    mailboxes: Arc<Mailboxes>,
    _reserved: Reserved,
}

impl EngineSink {
    fn put_all(&mut self, batch: &[u8]) -> Result<(), String> {
        let importer = self.importer.as_mut().ok_or("the image failed before")?;
        let mut records = 0;
        for op in WriteOps::new(batch) {
            match op.map_err(|error| error.to_string())? {
                WriteOp::Put { cf, key, value } if in_region(&self.region, key) => {
                    importer.add(cf, key, value).map_err(|error| error.to_string())?;
                }
                _ => return Err("a chunk holds what does not belong into the image".to_owned()),
            }
            records += 1;
        }
        self.counting.add(batch, records);
        Ok(())
    }
}

impl ImageSink for EngineSink {
    fn chunk(&mut self, chunk: Bytes) -> Result<(), String> {
        let taken = match chunk::decode(&chunk) {
            _ if self.ended.is_some() => Err("a chunk after the last one".to_owned()),
            None => Err("a chunk's checksum is wrong".to_owned()),
            Some(Chunk::Data(batch)) => self.put_all(&batch),
            Some(Chunk::End(totals)) => {
                self.ended = Some(totals);
                Ok(())
            }
        };
        if taken.is_err() {
            self.importer = None;
        }
        taken
    }

    fn finish(mut self: Box<Self>) -> Result<(), String> {
        let importer = self.importer.take().ok_or("the image failed before")?;
        if self.ended != Some(self.counting.totals()) {
            return Err("the image is not whole".to_owned());
        }
        importer.finish().map_err(|error| error.to_string())?;
        let Self { message, region, import, safe_point, mailboxes, .. } = *self;
        let arrived = ArrivedImage { message, region, import, safe_point };
        let mailbox = mailboxes.of(arrived.region.region_id());
        mailbox.push(StoreMessage::Image(Box::new(arrived))).map_err(|_| "this node is stopping".to_owned())
    }
}

impl fmt::Debug for EngineSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineSink").field("import", &self.import).finish_non_exhaustive()
    }
}
