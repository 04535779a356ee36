//! Committed entries take effect: decoded, checked against the region's epoch, and put with the new applied index into
//! one batch. It decides and returns data; the apply loop writes, then tells the waiters, then reports to the raft
//! loop.
//!
//! Law: data and applied index share one batch, so that a replay after a crash applies each entry exactly once.

mod action;
mod change;
mod desk;
mod merge;
mod run;

pub use action::Action;
pub(crate) use action::resume;
pub(crate) use desk::ApplyDesk;
pub(crate) use run::run_apply_loop;

use std::collections::BTreeMap;
use std::sync::Arc;

use nokv_engine::{Cf, WriteBatch, is_planted, raft_keys};
use nokv_proto::metapb::Region;
use nokv_transport::{PeerId, RegionId, StoreId};
use raft::eraftpb::{Entry, EntryType};

use crate::entry::{Payload, begins_write};
use crate::merge::Prepared;
use crate::message::{StoreMessage, Waiter};
use crate::records::{ApplyRecord, Arrival, Liveness, RegionRecord};
use crate::safe_point::SafePoint;
use crate::teller::Fates;
use crate::{RegionError, RegionExt, RegionSize, StoreError};
use change::{apply_split, decode_members, put_members};

pub use change::Change;
pub(crate) use change::leaving;

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
    /// Make an image of a region as of what is applied by then.
    MakeImage(RegionId),
    /// A replica goes on from an image, which its record says already.
    Image(Arc<Region>, Arrival),
    /// An import is not needed.
    Discard(String),
    /// The region waits for a source of its merge, which is sealed now.
    Sealed {
        /// The region.
        target: RegionId,
        /// The source.
        source: RegionId,
    },
    /// A replica is no more; its record says so already. Without data there is nothing to clear.
    Remove(RegionRecord),
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
    /// Everything of the region before these is applied, and reported.
    pub is_next: bool,
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
    /// The last of them that wrote data; 0 = none.
    pub written_index: u64,
    /// What entries among them did to the replica itself, in order.
    pub changes: Vec<Change>,
    /// What they wrote.
    pub written: RegionSize,
}

/// What a run of tasks does: write `batch`, tell the `fates`, report `applied`, act, in this order.
#[derive(Debug, Default)]
pub struct ApplyRound {
    /// The effects and the new applied indexes of all regions.
    pub batch: WriteBatch,
    /// Whom to tell what, once the batch is written.
    pub fates: Fates,
    /// For the raft loop, once the batch is written.
    pub applied: Vec<Applied>,
    /// For the raft loop beside that.
    pub reports: Vec<StoreMessage>,
    /// What is to be done to the engine then. It ends the round: nothing more may be added.
    pub action: Option<Action>,
}

impl ApplyRound {
    /// Adds what `other` does, which has no action.
    fn append(&mut self, other: ApplyRound) {
        debug_assert!(self.action.is_none() && other.action.is_none(), "an action ends its round");
        self.batch.append(&other.batch);
        self.fates.append(other.fates);
        self.applied.extend(other.applied);
        self.reports.extend(other.reports);
    }
}

/// The replicas of one apply loop.
#[derive(Debug)]
pub struct Applier {
    store: StoreId,
    safe_point: SafePoint,
    replicas: BTreeMap<RegionId, Replica>,
}

#[derive(Debug)]
struct Replica {
    region: Arc<Region>,
    record: ApplyRecord,
    me: PeerId,
    /// This store's peer was removed by an applied entry: the entries behind it are not its business.
    removed: bool,
    /// It is frozen, to be merged into another.
    merging: Option<Prepared>,
    /// It is about to take a source over that is not sealed yet.
    parked: Option<merge::Parked>,
    /// What was written since it was last told.
    written: RegionSize,
}

impl Applier {
    /// Without replicas, on this store, whose safe point it raises.
    pub fn new(store: StoreId, safe_point: SafePoint) -> Self {
        Self { store, safe_point, replicas: BTreeMap::new() }
    }

    /// Adds a replica as it stands on disk.
    pub fn insert(&mut self, region: Arc<Region>, record: ApplyRecord) {
        let me = PeerId(region.peer_on(self.store).map_or(0, |peer| peer.id));
        let replica =
            Replica { region, record, me, removed: false, merging: None, parked: None, written: RegionSize::default() };
        self.replicas.insert(replica.region.region_id(), replica);
    }

    /// Adds what `task` does to `round`.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] if an entry cannot be read: the replica must not skip it.
    pub fn apply(&mut self, task: ApplyTask, round: &mut ApplyRound) -> Result<(), StoreError> {
        debug_assert!(round.action.is_none(), "an action ends its round");
        match task {
            ApplyTask::Insert(region, record) => self.insert(region, record),
            ApplyTask::Entries(entries) => return self.apply_or_queue(entries, round),
            ApplyTask::MakeImage(region) => self.make_image(region, round),
            ApplyTask::Sealed { target, source } => return self.unpark(target, source, round),
            ApplyTask::Image(region, arrival) => {
                self.insert(region.clone(), arrival.apply);
                round.action = Some(Action::TakeIn(Region::clone(&region), arrival));
            }
            ApplyTask::Discard(import) => round.action = Some(Action::Discard(import)),
            ApplyTask::Remove(record) => {
                let id = record.region.region_id();
                self.replicas.remove(&id);
                // What was applied last wrote it anew.
                round.batch.delete(Cf::Raft, &raft_keys::apply_state_key(id.0));
                round.action = (record.liveness == Liveness::Leaving).then_some(Action::Clear(record));
            }
        }
        Ok(())
    }

    fn apply_entries(
        &mut self,
        mut task: CommittedEntries,
        sealed: Option<RegionId>,
        round: &mut ApplyRound,
    ) -> Result<(), StoreError> {
        let region_id = task.region_id;
        let replica = self
            .replicas
            .get_mut(&region_id)
            .ok_or(StoreError::Unreadable { region: region_id, what: "its apply state" })?;
        let before = replica.record;
        let mut in_flight = std::mem::take(&mut task.in_flight).into_iter().peekable();
        let mut changes = Vec::new();
        let mut written_index = 0;
        for (number, entry) in task.entries.iter().enumerate() {
            if replica.removed {
                break;
            }
            if let Some(source) = replica.awaits(entry, sealed) {
                changes.push(Change::Awaits(Box::new(source)));
                task.entries.drain(..number);
                task.in_flight = in_flight.collect();
                replica.park(task, changes, round);
                return Ok(());
            }
            let refused = replica.apply(entry, &self.safe_point, &mut round.batch, &mut changes)?;
            if begins_write(&entry.data) {
                written_index = entry.index;
            }
            while let Some(proposed) = in_flight.next_if(|proposed| proposed.index <= entry.index) {
                let ours = proposed.index == entry.index && proposed.term == entry.term;
                let fate = match (&refused, ours) {
                    (_, false) => Err(RegionError::StaleCommand),
                    (Some(error), true) => Err(error.clone()),
                    (None, true) => Ok(()),
                };
                proposed.waiters.into_iter().for_each(|waiter| round.fates.push(waiter, fate.clone()));
            }
        }
        debug_assert!(replica.removed || in_flight.peek().is_none(), "waiters come with the entries that decide");
        let unknown = in_flight.flat_map(|proposed| proposed.waiters);
        unknown.for_each(|waiter| round.fates.push(waiter, Err(RegionError::StaleCommand)));
        let record = if is_planted("applied index in a later batch") { before } else { replica.record };
        record.put(region_id, &mut round.batch);
        let (index, term) = (replica.record.applied_index, replica.record.applied_term);
        round.applied.push(Applied {
            region_id,
            index,
            term,
            bytes: task.bytes,
            written_index,
            changes,
            written: std::mem::take(&mut replica.written),
        });
        Ok(())
    }
}

impl Replica {
    /// Adds the entry's effects to `batch`, and what it does to the replica to `changes`. Returns why it was refused,
    /// if it was.
    fn apply(
        &mut self,
        entry: &Entry,
        safe_point: &SafePoint,
        batch: &mut WriteBatch,
        changes: &mut Vec<Change>,
    ) -> Result<Option<RegionError>, StoreError> {
        let unreadable = || StoreError::Unreadable { region: self.region.region_id(), what: "a log entry" };
        assert_eq!(entry.index, self.record.applied_index + 1, "entries are applied in order, each once");
        let mut refused = None;
        if entry.get_entry_type() != EntryType::EntryNormal {
            let (epoch, change, region) = decode_members(entry).ok_or_else(unreadable)?;
            if epoch == self.region.epoch() && self.merging.is_none() {
                self.removed = !put_members(&self.region, &region, self.me, batch);
                self.region = Arc::new(region.clone());
                changes.push(Change::Members { change, region });
            } else {
                refused = Some(self.epoch_not_match());
            }
            (self.record.applied_index, self.record.applied_term) = (entry.index, entry.term);
            return Ok(refused);
        }
        match Payload::decode(&entry.data).ok_or_else(unreadable)? {
            Payload::Empty => {}
            Payload::RollbackMerge { commit } => self.rollback_merge(commit, batch, changes),
            // What is frozen stays as it is, and its log whole.
            Payload::CutLog { .. } if self.merging.is_some() => {}
            Payload::Write { .. }
            | Payload::Split { .. }
            | Payload::PrepareMerge { .. }
            | Payload::CommitMerge { .. }
                if self.merging.is_some() && !is_planted("write to what is frozen") =>
            {
                refused = self.refuses();
            }
            Payload::Write { epoch, batch: _ }
                if epoch.version != self.region.epoch().version && !is_planted("apply writes of an older epoch") =>
            {
                refused = Some(self.epoch_not_match());
            }
            Payload::Write { batch: ops, .. } => {
                let records = batch.append_encoded(ops).map_err(|_| unreadable())?;
                self.written += RegionSize { bytes: ops.len() as u64, records };
            }
            // A replica that began with an image may have less of the log already.
            Payload::CutLog { index, .. } if index <= self.record.truncated_index => {}
            Payload::CutLog { index, term } => {
                (self.record.truncated_index, self.record.truncated_term) = (index, term);
                changes.push(Change::CutLog { index, term });
            }
            Payload::SafePoint(number) => safe_point.raise_in(number, self.region.region_id(), batch),
            Payload::Split { epoch, .. } if epoch != self.region.epoch() => refused = Some(self.epoch_not_match()),
            Payload::Split { regions, .. } => {
                self.region = apply_split(&self.region, regions, batch, changes).ok_or_else(unreadable)?;
            }
            Payload::PrepareMerge { epoch, .. } if epoch != self.region.epoch() => {
                refused = Some(self.epoch_not_match());
            }
            Payload::PrepareMerge { min_index, target, .. } => {
                let prepared = Prepared { target, min_index, commit: entry.index };
                refused = self.prepare_merge(prepared, batch, changes);
            }
            Payload::CommitMerge { epoch, source } => {
                refused = self.commit_merge(epoch, source.region, batch, changes);
            }
        }
        (self.record.applied_index, self.record.applied_term) = (entry.index, entry.term);
        Ok(refused)
    }

    fn epoch_not_match(&self) -> RegionError {
        RegionError::EpochNotMatch { current: vec![self.region.as_ref().clone()] }
    }
}
