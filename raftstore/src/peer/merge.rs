//! A peer's part in a merge, as the source: what it is prepared for, who waits for the outcome, who wants its place.
//! The steps stand in `prepare_merge`, `commit_merge`, `rollback_merge` and `seal`.

use std::collections::BTreeMap;

use nokv_proto::metapb::{Region, RegionEpoch};
use nokv_transport::RegionId;

use super::Peer;
use crate::merge::{Fate, Prepared, Sealed, Successor};
use crate::message::Waiter;
use crate::{RegionError, RegionExt};

/// What a peer knows of merges.
#[derive(Debug, Default)]
pub(super) struct Merging {
    /// As source: frozen by an applied entry.
    pub(super) prepared: Option<Prepared>,
    /// Who asked for the merge, and the entry that prepares it.
    pub(super) waiter: Option<(u64, Waiter)>,
    /// Who of the members says that the target is past it, and whether surely.
    pub(super) past: BTreeMap<u64, bool>,
    /// The entry that takes it back was proposed, in this term, at this index.
    pub(super) rollback_at: Option<(u64, u64)>,
    /// As target: the entry that takes a source over was proposed, in this term, at this index.
    pub(super) commit_at: Option<(u64, u64)>,
    /// Who wants the peer's place.
    pub(super) claim: Option<Claimed>,
    /// The region was merged, as another store says.
    pub(super) fate: Option<Fate>,
    /// As target: replicas that give way to the image that is waiting.
    pub(super) sealed: Vec<Sealed>,
}

/// A claim that the peer follows.
#[derive(Debug)]
pub(super) struct Claimed {
    /// Who claims.
    pub(super) target: RegionId,
    /// What must be applied first.
    pub(super) commit: u64,
    /// By the target's log, and not by an image.
    pub(super) by_log: bool,
    /// Whether the target was told that it is sealed.
    pub(super) told: bool,
}

impl Peer {
    /// Takes up where a frozen replica stood when the store stopped.
    pub fn resume_merge(&mut self, prepared: Prepared) {
        self.gate.set_merging_into(Some(RegionId(prepared.target.id)));
        self.merging.prepared = Some(prepared);
    }

    /// The region into which this one is being merged: until that is decided, it serves nobody.
    pub fn merging_into(&self) -> Option<RegionId> {
        self.merging.prepared.as_ref().map(|prepared| RegionId(prepared.target.id))
    }

    /// Whether this peer's region is on its way into another, or gives way to one.
    pub fn is_merging(&self) -> bool {
        self.merging.prepared.is_some() || self.merging.claim.is_some() || !self.merging.sealed.is_empty()
    }

    /// The target of a prepared source that still takes part, and the epoch in which alone it may be taken.
    pub fn target(&self) -> Option<(RegionId, RegionEpoch)> {
        let prepared = self.merging.prepared.as_ref().filter(|_| self.dying.is_none())?;
        Some((RegionId(prepared.target.id), prepared.target.epoch()))
    }

    pub(super) fn check_not_merging(&self) -> Result<(), RegionError> {
        match self.merging_into() {
            None => Ok(()),
            Some(into) => Err(RegionError::Merging { region: self.region_id(), into }),
        }
    }

    /// The region is frozen, by an applied entry. The gate was closed when that was known to be committed.
    pub fn prepared(&mut self, prepared: Prepared, region: Region) {
        slog::info!(self.logger, "frozen to be merged"; "into" => prepared.target.id, "entry" => prepared.commit);
        self.resume_merge(prepared);
        self.set_region(region);
    }

    /// The region serves again.
    pub fn rolled_back(&mut self, region: Region) {
        slog::info!(self.logger, "the merge was rolled back");
        self.thaw();
        self.set_region(region);
        if let Some((_, waiter)) = self.merging.waiter.take() {
            let reason = "the target changed meanwhile, and the merge was rolled back; ask again with its new epoch";
            waiter.tell(Err(RegionError::MergeRefused { region: self.region_id(), reason: reason.to_owned() }));
        }
    }

    /// It is frozen no more, by its log or by an image.
    pub(super) fn thaw(&mut self) {
        self.merging.prepared = None;
        self.merging.past.clear();
        self.merging.rollback_at = None;
        self.gate.set_merging_into(None);
    }

    /// Entries are applied: whoever asked for a merge that did not begin is told.
    pub(super) fn settle_merge_waiter(&mut self) {
        let ours = self.merging.prepared.as_ref().map(|prepared| prepared.commit);
        let applied = self.applied_index;
        let over = self.merging.waiter.take_if(|(index, _)| *index <= applied && Some(*index) != ours);
        if let Some((_, waiter)) = over {
            waiter.tell(Err(RegionError::EpochNotMatch { current: vec![self.region.as_ref().clone()] }));
        }
    }

    /// Another peer may lead: whether a merge that is not applied here begins is its to say.
    pub(super) fn abandon_merge(&mut self) {
        let applied = self.applied_index;
        if let Some((_, waiter)) = self.merging.waiter.take_if(|(index, _)| *index > applied) {
            waiter.tell(Err(RegionError::StaleCommand));
        }
    }

    /// The record says that the region is merged: the peer may go.
    pub fn merged(&mut self, successor: Successor) {
        slog::info!(self.logger, "merged"; "into" => successor.region.0, "version" => successor.version);
        self.end_merged(successor);
        if let Some((_, waiter)) = self.merging.waiter.take() {
            waiter.tell(Ok(()));
        }
    }

    /// As target of an image: the replicas that give way to it.
    pub fn sealed_sources(&self) -> Vec<RegionId> {
        self.merging.sealed.iter().map(|sealed| sealed.region.region_id()).collect()
    }

    /// As target of an image: a replica gives way to it.
    pub fn add_sealed(&mut self, sealed: Sealed) {
        self.merging.sealed.retain(|known| known.region.id != sealed.region.id);
        self.merging.sealed.push(sealed);
    }

    /// As target: the image is restored, or not needed. The replicas that gave way to it.
    pub fn take_sealed(&mut self) -> Vec<Sealed> {
        std::mem::take(&mut self.merging.sealed)
    }
}
