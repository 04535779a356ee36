//! What entries of a merge do. The source's freezes it; the target's takes it over, and waits until the source's
//! replica on this store is sealed. Other regions go on meanwhile: what is committed behind it in the target's log
//! waits in line.

use std::collections::VecDeque;
use std::sync::Arc;

use nokv_engine::{WriteBatch, is_planted};
use nokv_proto::metapb::{Region, RegionEpoch};
use nokv_transport::RegionId;
use raft::eraftpb::{Entry, EntryType};

use super::{Action, Applied, Applier, ApplyRound, Change, CommittedEntries, Replica};
use crate::entry::Payload;
use crate::merge::{Prepared, Source, Successor, union, why_not};
use crate::message::StoreMessage;
use crate::records::{Liveness, RegionRecord, delete_applied};
use crate::{RegionError, RegionExt, StoreError};

/// What waits for a source.
#[derive(Debug)]
pub(super) struct Parked {
    source: RegionId,
    /// In order; the first begins with the entry that takes the source over.
    tasks: VecDeque<CommittedEntries>,
    image_wanted: bool,
}

impl Applier {
    /// Takes up where a frozen replica stood when the store stopped.
    pub fn resume_merge(&mut self, region: RegionId, prepared: Prepared) {
        if let Some(replica) = self.replicas.get_mut(&region) {
            replica.merging = Some(prepared);
        }
    }

    pub(super) fn apply_or_queue(&mut self, task: CommittedEntries, round: &mut ApplyRound) -> Result<(), StoreError> {
        if let Some(parked) = self.replicas.get_mut(&task.region_id).and_then(|replica| replica.parked.as_mut()) {
            parked.tasks.push_back(task);
            return Ok(());
        }
        self.apply_entries(task, None, round)
    }

    /// A frozen replica makes none: an image would have to say so, and nobody can need one, since its log is not cut.
    pub(super) fn make_image(&mut self, region: RegionId, round: &mut ApplyRound) {
        match self.replicas.get_mut(&region) {
            Some(Replica { parked: Some(parked), .. }) => parked.image_wanted = true,
            Some(replica) if !replica.removed && replica.merging.is_none() => {
                round.action = Some(Action::MakeImage(region));
            }
            Some(_) => round.reports.push(StoreMessage::ImageMade { region, image: None }),
            None => {}
        }
    }

    /// The source is sealed: the target goes on.
    pub(super) fn unpark(
        &mut self,
        target: RegionId,
        source: RegionId,
        round: &mut ApplyRound,
    ) -> Result<(), StoreError> {
        let waits = |replica: &mut Replica| replica.parked.take_if(|parked| parked.source == source);
        let Some(mut parked) = self.replicas.get_mut(&target).and_then(waits) else { return Ok(()) };
        let mut sealed = Some(source);
        while let Some(task) = parked.tasks.pop_front() {
            self.apply_entries(task, sealed.take(), round)?;
            if let Some(again) = self.replicas.get_mut(&target).and_then(|replica| replica.parked.as_mut()) {
                again.tasks.append(&mut parked.tasks);
                again.image_wanted |= parked.image_wanted;
                return Ok(());
            }
        }
        if parked.image_wanted {
            self.make_image(target, round);
        }
        Ok(())
    }
}

impl Replica {
    /// The source that `entry` takes over, if it does and that one is not the `sealed` one.
    pub(super) fn awaits(&self, entry: &Entry, sealed: Option<RegionId>) -> Option<Source> {
        if entry.get_entry_type() != EntryType::EntryNormal || !crate::entry::changes_region(&entry.data) {
            return None;
        }
        match Payload::decode(&entry.data) {
            Some(Payload::CommitMerge { epoch, source })
                if self.may_take(epoch, &source.region).is_ok()
                    && sealed != Some(source.region.region_id())
                    && !is_planted("merge without waiting for the source") =>
            {
                Some(source)
            }
            _ => None,
        }
    }

    /// Stops before the first of the task's entries; what was applied before it is told.
    pub(super) fn park(&mut self, task: CommittedEntries, changes: Vec<Change>, round: &mut ApplyRound) {
        let region_id = task.region_id;
        let source = changes.iter().rev().find_map(|change| match change {
            Change::Awaits(source) => Some(source.region.region_id()),
            _ => None,
        });
        let source = source.expect("the caller has just added the source that it awaits");
        self.record.put(region_id, &mut round.batch);
        let (index, term) = (self.record.applied_index, self.record.applied_term);
        // Among the entries before may be writes.
        round.applied.push(Applied {
            region_id,
            index,
            term,
            bytes: 0,
            written_index: index,
            changes,
            written: std::mem::take(&mut self.written),
        });
        self.parked = Some(Parked { source, tasks: VecDeque::from([task]), image_wanted: false });
    }

    /// Why a frozen replica refuses whatever was proposed for it.
    pub(super) fn refuses(&self) -> Option<RegionError> {
        let merging = self.merging.as_ref()?;
        Some(RegionError::Merging { region: self.region.region_id(), into: RegionId(merging.target.id) })
    }

    pub(super) fn prepare_merge(
        &mut self,
        prepared: Prepared,
        batch: &mut WriteBatch,
        changes: &mut Vec<Change>,
    ) -> Option<RegionError> {
        if let Some(reason) = why_not(&self.region, &prepared.target) {
            let region = self.region.region_id();
            return Some(RegionError::MergeRefused { region, reason: reason.to_owned() });
        }
        let region = newer(&self.region);
        RegionRecord { liveness: Liveness::Merging(prepared.clone()), region: region.clone() }.put(batch);
        self.region = Arc::new(region.clone());
        self.merging = Some(prepared.clone());
        changes.push(Change::Prepared(prepared, region));
        None
    }

    pub(super) fn rollback_merge(&mut self, commit: u64, batch: &mut WriteBatch, changes: &mut Vec<Change>) {
        if self.merging.take_if(|merging| merging.commit == commit).is_none() {
            return;
        }
        let region = newer(&self.region);
        RegionRecord { liveness: Liveness::Normal, region: region.clone() }.put(batch);
        self.region = Arc::new(region.clone());
        changes.push(Change::RolledBack(region));
    }

    /// Takes over a sealed source: its record and its own change in this batch, with everything that belongs to them.
    pub(super) fn commit_merge(
        &mut self,
        epoch: RegionEpoch,
        source: Region,
        batch: &mut WriteBatch,
        changes: &mut Vec<Change>,
    ) -> Option<RegionError> {
        let region = match self.may_take(epoch, &source) {
            Ok(region) => region,
            Err(error) => return Some(error),
        };
        let successor = Successor { region: region.region_id(), version: region.epoch().version };
        RegionRecord { liveness: Liveness::Normal, region: region.clone() }.put(batch);
        RegionRecord { liveness: Liveness::Merged(successor), region: source.clone() }.put(batch);
        delete_applied(source.region_id(), batch);
        self.region = Arc::new(region.clone());
        changes.push(Change::Merged { source, region });
        None
    }

    fn may_take(&self, epoch: RegionEpoch, source: &Region) -> Result<Region, RegionError> {
        if let Some(refused) = self.refuses() {
            return Err(refused);
        }
        let fits = epoch == self.region.epoch() || is_planted("merge in any epoch of the target");
        let region = union(source, &self.region).filter(|_| fits);
        region.ok_or_else(|| self.epoch_not_match())
    }
}

fn newer(region: &Region) -> Region {
    let epoch = region.epoch();
    Region { region_epoch: Some(RegionEpoch { version: epoch.version + 1, ..epoch }), ..region.clone() }
}
