//! Images at both ends of a peer. The leader orders one when raft wants it, keeps it on its shelf for a while and sends
//! it; a follower restores one when nothing is left to apply, so that no older record is written over the new ones.

use std::sync::Arc;

use nokv_engine::{LogOp, is_planted};
use protobuf::Message as _;
use raft::eraftpb::{Message, MessageType, Snapshot};
use raft::{ProgressState, SnapshotStatus};

use super::Peer;
use crate::apply::ApplyTask;
use crate::image::{ArrivedImage, Image, ImageOrder};
use crate::merge::Successor;
use crate::records::{ApplyRecord, Arrival, Liveness, RegionRecord, delete_applied, put_image_epoch};
use crate::round::Round;
use crate::{MonotonicTime, RegionExt, StoreError};

/// How far the log may outgrow its bound while an image is on its way: cut further, and that image is for nothing.
const PATIENCE_WITH_IMAGES: u64 = 4;

/// How long an image waits for replicas that it overlaps, which are merged, or to be split.
const IMAGE_WAITS_TICKS_MAX: usize = 50;

/// How long an image that nobody is being sent stays for the next who needs one: there is room for few.
const SHELF_TICKS: u32 = 20;

/// A leader's image.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    making: bool,
    ready: Option<(Image, MonotonicTime)>,
}

impl Peer {
    /// Whether raft wants an image that is not there. It asks again, so that the answer may be ignored.
    pub fn wants_image(&self) -> bool {
        self.raw.store().take_image_wanted() && self.leads() && !self.shelf.making && self.has_data()
    }

    /// Whether this peer holds a view, or is about to.
    pub fn holds_image(&self) -> bool {
        self.shelf.making || self.shelf.ready.is_some()
    }

    /// The task that makes an image.
    pub fn make_image(&mut self) -> ApplyTask {
        self.shelf = Shelf { making: true, ready: None };
        self.raw.mut_store().set_image(None);
        ApplyTask::MakeImage(self.region_id())
    }

    /// An image is made, or could not be.
    pub fn image_made(&mut self, image: Option<Image>, now: MonotonicTime) {
        self.shelf.making = false;
        if let Some(image) = image.filter(|_| self.leads()) {
            self.raw.mut_store().set_image(Some(image.snapshot.clone()));
            self.shelf.ready = Some((image, now));
        }
    }

    /// Sending an image to the peer `to` is over.
    pub fn image_sent(&mut self, to: u64, arrived: bool) {
        self.raw.report_snapshot(to, if arrived { SnapshotStatus::Finish } else { SnapshotStatus::Failure });
    }

    /// Gives the view back when it is of no use any more.
    pub(super) fn tick_shelf(&mut self, now: MonotonicTime) {
        let Some((image, made)) = &self.shelf.ready else { return };
        let sending = self.raw.raft.prs().iter().any(|(_, progress)| progress.state == ProgressState::Snapshot);
        let age_max = if sending { self.config.image_age_max } else { self.config.tick.saturating_mul(SHELF_TICKS) };
        let is_old = now.since(*made) > age_max;
        if is_old || !self.leads() || image.snapshot.get_metadata().index < self.raw.store().truncated_index() {
            self.shelf.ready = None;
            self.raw.mut_store().set_image(None);
        }
    }

    /// The last entry that may be cut without making images that are on their way useless.
    pub(super) fn spared_by_images(&self, entries: u64) -> u64 {
        if entries > self.config.log_entries_max.saturating_mul(PATIENCE_WITH_IMAGES) {
            return u64::MAX;
        }
        let sending = self.raw.raft.prs().iter().filter(|(_, progress)| progress.state == ProgressState::Snapshot);
        let ready = self.shelf.ready.as_ref().map(|(image, _)| image.snapshot.get_metadata().index);
        sending.map(|(_, progress)| progress.pending_snapshot).chain(ready).min().unwrap_or(u64::MAX)
    }

    /// raft sends an image: it goes a way of its own, and raft always hears how it ended.
    pub(super) fn order_image(&mut self, message: &Message, round: &mut Round) {
        let index = message.get_snapshot().get_metadata().index;
        let ready = self.shelf.ready.as_ref().filter(|(image, _)| image.snapshot.get_metadata().index == index);
        match (self.seal(message), ready) {
            (Some((to, envelope)), Some((image, _))) => {
                let source = image.content.open(self.config.image_chunk_bytes);
                round.images.push(ImageOrder { to, message: envelope, source });
            }
            _ => self.image_sent(message.to, false),
        }
    }

    /// Keeps an image that has arrived until it can be restored. Returns the one that is not needed: another, or this.
    pub fn keep_image(&mut self, image: ArrivedImage) -> Option<ArrivedImage> {
        self.image_waits_ticks = 0;
        let is_ours = image.message.to_peer.is_some_and(|to| to.id == self.me.id) && self.dying.is_none();
        if is_ours { self.arrived.replace(image) } else { Some(image) }
    }

    /// An image that others have to make room for waits on. Returns it once it has waited too long.
    pub fn hold_image(&mut self, image: ArrivedImage) -> Option<ArrivedImage> {
        if self.image_waits_ticks > IMAGE_WAITS_TICKS_MAX {
            self.image_waits_ticks = 0;
            return Some(image);
        }
        self.arrived = Some(image);
        None
    }

    /// The image that has arrived, once everything that was committed before it is applied.
    pub fn take_due_image(&mut self) -> Option<ArrivedImage> {
        let is_applied = self.handed_index == self.applied_index;
        let is_drained = is_applied && self.dying.is_none();
        if is_drained { self.arrived.take() } else { None }
    }

    /// Gives an image to raft, which restores it with the next ready. Returns it if raft has no use for it.
    ///
    /// # Errors
    /// If raft cannot go on.
    pub fn step_image(&mut self, image: ArrivedImage) -> Result<Option<ArrivedImage>, StoreError> {
        let fits = |message: &Message| {
            message.get_msg_type() == MessageType::MsgSnapshot
                && message.to == self.me.id
                && image.message.from_peer.is_some_and(|from| from.id == message.from)
        };
        let message = Message::parse_from_carllerche_bytes(&image.message.message).ok();
        let Some(message) = message.filter(fits) else { return Ok(Some(image)) };
        self.meet(&image.message);
        self.step_raft(message)?;
        if self.raw.raft.raft_log.unstable_snapshot().is_none() {
            return Ok(Some(image));
        }
        self.restoring = Some(image);
        Ok(None)
    }

    /// raft has restored an image: the records, the log and the hard state say so in the round's one synced write, and
    /// the data follows behind it.
    pub(super) fn restore(&mut self, snapshot: &Snapshot, round: &mut Round) {
        let image = self.restoring.take().expect("raft is given images by `step_image` only, which keeps them here");
        let metadata = snapshot.get_metadata();
        let mut clear = vec![(image.region.start_key.clone(), image.region.end_key.clone())];
        if self.has_data() {
            clear.push((self.region.start_key.clone(), self.region.end_key.clone()));
        }
        let successor = Successor { region: image.region.region_id(), version: image.region.epoch().version };
        for sealed in &self.merging.sealed {
            clear.push((sealed.region.start_key.clone(), sealed.region.end_key.clone()));
            let (group, first, last) = (sealed.region.id, sealed.log_first, sealed.log_last);
            round.log.ops.push(LogOp::Remove { group, first, last });
            let record = RegionRecord { liveness: Liveness::Merged(successor), region: sealed.region.clone() };
            record.put(&mut round.log.data);
            delete_applied(nokv_transport::RegionId(group), &mut round.log.data);
        }
        self.thaw();
        self.gate.size().forget();
        self.gate.begin_anew(image.region.epoch());
        put_image_epoch(image.region.region_id(), image.region.epoch(), &mut round.log.data);
        let apply = ApplyRecord::at(metadata.index, metadata.term);
        let arrival = Arrival { import: image.import, clear, apply };
        let liveness = Liveness::Applying(arrival.clone());
        if !is_planted("restore an image without its record") {
            RegionRecord { liveness, region: image.region.clone() }.put(&mut round.log.data);
        }
        self.safe_point.raise_in(image.safe_point, image.region.region_id(), &mut round.log.data);
        self.raw.mut_store().reset(snapshot, &mut round.log);
        let hard_state = self.raw.raft.hard_state();
        self.written_term_and_vote = (hard_state.term, hard_state.vote);
        self.raw.mut_store().set_hard_state(&hard_state, &mut round.log);
        round.sync = true;
        self.handed_index = metadata.index;
        self.restored_to = Some(metadata.index);
        self.set_region(image.region);
        round.apply.push(ApplyTask::Image(Arc::clone(&self.region), arrival));
    }

    /// The import of an image that this peer has not restored, if any: nobody needs it when the peer goes.
    pub fn take_unused_import(&mut self) -> Option<String> {
        self.arrived.take().or_else(|| self.restoring.take()).map(|image| image.import)
    }

    /// Whether this peer has a region's range at all: without, it waits for its first image.
    pub fn has_data(&self) -> bool {
        !self.region.peers.is_empty() && self.region.epoch().version != 0
    }
}
