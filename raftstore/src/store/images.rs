//! Images that have arrived, and those that leaders want made: what concerns
//! more than one region is decided here.

use nokv_transport::{PeerId, RegionId};

use super::Store;
use crate::apply::ApplyTask;
use crate::image::ArrivedImage;
use crate::merge::Successor;
use crate::peer::Peer;
use crate::round::Round;
use crate::{MonotonicTime, RegionExt, StoreError};

impl Store {
    /// An image is on this disk: its peer keeps it until it can be restored.
    pub(super) fn image_arrived(&mut self, image: ArrivedImage, now: MonotonicTime) -> Result<(), StoreError> {
        let region = image.region.region_id();
        let unused = match image.message.to_peer {
            Some(to) if !self.peers.contains_key(&region) => {
                let (start, end) = (&image.region.start_key, &image.region.end_key);
                if !self.is_buried(region, PeerId(to.id)) && self.context.gates.admit(region, start, end) {
                    self.create(region, to, now)?.keep_image(image)
                } else {
                    Some(image)
                }
            }
            _ => self.wake(region).and_then(|peer| peer.keep_image(image)),
        };
        self.discard(unused);
        Ok(())
    }

    /// Everything before an image is applied: its peer restores it, unless another region here owns a part of its
    /// range. That one is asked to give way, if it is merged; the image waits for that a while.
    pub(super) fn restore(&mut self, image: ArrivedImage) -> Result<Option<Successor>, StoreError> {
        let region = image.region.region_id();
        let Some(peer) = self.peers.get_mut(&region) else { return Ok(None) };
        let (had_data, sealed) = (peer.has_data(), peer.sealed_sources());
        let successor = Successor { region, version: image.region.epoch().version };
        let gates = self.context.gates.clone();
        if successor.version < gates.version_at_least(region)
            || !gates.admit_over(region, &image.region.start_key, &image.region.end_key, &sealed)
        {
            if let Some(image) = self.claim_for_image(image, &sealed) {
                slog::info!(self.context.logger, "an image overlaps another region; dropped"; "region" => region.0);
                self.discard(Some(image));
                self.release_sealed(region, None);
            }
            return Ok(None);
        }
        let unused = peer.step_image(image)?;
        if unused.is_some() && had_data {
            self.context.gates.end_coming(region);
        }
        let restores = unused.is_none();
        if !restores {
            self.release_sealed(region, None);
        }
        self.discard(unused);
        Ok(restores.then_some(successor))
    }

    /// An image's data is in the engine: request threads may see the region.
    pub(super) fn image_taken_in(&mut self, region: RegionId) {
        if let Some(peer) = self.wake(region) {
            let gate = peer.gate().clone();
            self.context.gates.insert(region, gate);
            self.context.gates.end_coming(region);
        }
    }

    /// Has an image made for a leader, if not too many regions hold views already. raft asks again.
    pub(super) fn order_image(&mut self, region: RegionId, round: &mut Round) {
        let held = self.peers.values().filter(|peer| peer.holds_image() && peer.region_id() != region).count();
        if held >= self.context.config.images_ready_max {
            return;
        }
        if let Some(peer) = self.peers.get_mut(&region) {
            round.apply.push(Peer::make_image(peer));
        }
    }

    fn discard(&mut self, image: Option<ArrivedImage>) {
        self.tasks.extend(image.map(|image| ApplyTask::Discard(image.import)));
    }
}
