//! Committed entries take effect: decoded, checked against the region's epoch, and put with the new applied index into
//! one batch. It decides and returns data; the apply loop writes, then tells the waiters, then reports to the raft
//! loop.
//!
//! Law: data and applied index share one batch, so that a replay after a crash applies each entry exactly once.

mod change;
mod run;

pub use run::run_apply_loop;

use std::collections::BTreeMap;
use std::sync::Arc;

use nokv_engine::{Cf, WriteBatch, is_planted, raft_keys};
use nokv_proto::metapb::Region;
use nokv_transport::RegionId;
use raft::eraftpb::{Entry, EntryType};

use crate::entry::Payload;
use crate::message::Waiter;
use crate::records::ApplyRecord;
use crate::{RegionError, RegionExt, StoreError};
use change::apply_split;

pub use change::Change;

/// A proposed entry and who waits for it.
#[derive(Debug)]
pub struct InFlight {
    /// Where the entry was put.
    pub index: u64,
    /// The term in which it was proposed.
    pub term: u64,
    /// Whose batches it carries.
    pub waiters: Vec<Waiter>,
}

/// What a raft loop tells its apply loop.
#[derive(Debug)]
pub enum ApplyTask {
    /// A replica came into being, and stands so on disk.
    Insert(Arc<Region>, ApplyRecord),
    /// Entries of a replica are committed.
    Entries(CommittedEntries),
}

/// Committed entries of one region, in order.
#[derive(Debug)]
pub struct CommittedEntries {
    /// The region.
    pub region_id: RegionId,
    /// The entries; the first follows the last one of the task before.
    pub entries: Vec<Entry>,
    /// Who waits for them on this store.
    pub in_flight: Vec<InFlight>,
    /// Memory of the entries.
    pub bytes: usize,
}

/// How far a region's replica has applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The region.
    pub region_id: RegionId,
    /// Last entry applied.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// Memory of the entries, now free.
    pub bytes: usize,
    /// What entries among them did to the replica itself, in order.
    pub changes: Vec<Change>,
}

/// What a run of tasks does: write `batch`, tell the `fates`, report `applied`, in this order.
#[derive(Debug, Default)]
pub struct ApplyRound {
    /// The effects and the new applied indexes of all regions.
    pub batch: WriteBatch,
    /// Whom to tell what, once the batch is written.
    pub fates: Vec<(Waiter, Result<(), RegionError>)>,
    /// For the raft loop, once the batch is written.
    pub applied: Vec<Applied>,
}

/// The replicas of one apply loop.
#[derive(Debug, Default)]
pub struct Applier {
    replicas: BTreeMap<RegionId, Replica>,
}

#[derive(Debug)]
struct Replica {
    region: Arc<Region>,
    record: ApplyRecord,
}

impl Applier {
    /// Adds a replica as it stands on disk.
    pub fn insert(&mut self, region: Arc<Region>, record: ApplyRecord) {
        self.replicas.insert(region.region_id(), Replica { region, record });
    }

    /// Adds what `task` does to `round`.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] if an entry cannot be read: the replica must not skip it.
    pub fn apply(&mut self, task: ApplyTask, round: &mut ApplyRound) -> Result<(), StoreError> {
        match task {
            ApplyTask::Insert(region, record) => {
                self.insert(region, record);
                Ok(())
            }
            ApplyTask::Entries(entries) => self.apply_entries(entries, round),
        }
    }

    fn apply_entries(&mut self, task: CommittedEntries, round: &mut ApplyRound) -> Result<(), StoreError> {
        let region_id = task.region_id;
        let replica = self
            .replicas
            .get_mut(&region_id)
            .ok_or(StoreError::Unreadable { region: region_id, what: "its apply state" })?;
        let before = replica.record;
        let mut in_flight = task.in_flight.into_iter().peekable();
        let mut changes = Vec::new();
        for entry in &task.entries {
            let refused = replica.apply(entry, &mut round.batch, &mut changes)?;
            while let Some(proposed) = in_flight.next_if(|proposed| proposed.index <= entry.index) {
                let ours = proposed.index == entry.index && proposed.term == entry.term;
                let fate = match (&refused, ours) {
                    (_, false) => Err(RegionError::StaleCommand),
                    (Some(error), true) => Err(error.clone()),
                    (None, true) => Ok(()),
                };
                round.fates.extend(proposed.waiters.into_iter().map(|waiter| (waiter, fate.clone())));
            }
        }
        debug_assert!(in_flight.next().is_none(), "waiters come with the entries that decide about them");
        let record = if is_planted("applied index in a later batch") { before } else { replica.record };
        round.batch.put(Cf::Raft, &raft_keys::apply_state_key(region_id.0), &record.encode());
        let (index, term) = (replica.record.applied_index, replica.record.applied_term);
        round.applied.push(Applied { region_id, index, term, bytes: task.bytes, changes });
        Ok(())
    }
}

impl Replica {
    /// Adds the entry's effects to `batch`, and what it does to the replica to `changes`. Returns why it was refused,
    /// if it was.
    fn apply(
        &mut self,
        entry: &Entry,
        batch: &mut WriteBatch,
        changes: &mut Vec<Change>,
    ) -> Result<Option<RegionError>, StoreError> {
        let unreadable = || StoreError::Unreadable { region: self.region.region_id(), what: "a log entry" };
        assert_eq!(entry.index, self.record.applied_index + 1, "entries are applied in order, each once");
        if entry.get_entry_type() != EntryType::EntryNormal {
            return Err(unreadable());
        }
        let mut refused = None;
        match Payload::decode(&entry.data).ok_or_else(unreadable)? {
            Payload::Empty => {}
            Payload::Write { epoch, batch: _ } if epoch.version != self.region.epoch().version => {
                refused = Some(self.epoch_not_match());
            }
            Payload::Write { batch: ops, .. } => {
                batch.append_encoded(ops).map_err(|_| unreadable())?;
            }
            Payload::CutLog { index, term } => {
                (self.record.truncated_index, self.record.truncated_term) = (index, term);
                changes.push(Change::CutLog { index, term });
            }
            Payload::Split { epoch, .. } if epoch != self.region.epoch() => refused = Some(self.epoch_not_match()),
            Payload::Split { regions, .. } => {
                self.region = apply_split(&self.region, regions, batch, changes).ok_or_else(unreadable)?;
            }
        }
        (self.record.applied_index, self.record.applied_term) = (entry.index, entry.term);
        Ok(refused)
    }

    fn epoch_not_match(&self) -> RegionError {
        RegionError::EpochNotMatch { current: vec![self.region.as_ref().clone()] }
    }
}
