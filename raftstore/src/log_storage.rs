//! One region's raft log as raft-rs wants to see it: entries from memory or disk, terms, hard state and members.
//! It reads; it never writes: what raft wants written leaves as data, in the round's batch.

use std::cell::Cell;
use std::sync::Arc;

use nokv_engine::{LogBatch, LogEntry, LogOp, RaftLog};
use nokv_proto::metapb::{Peer, PeerRole, Region};
use nokv_transport::RegionId;
use protobuf::Message as _;
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use crate::log_cache::{LogCache, entry_bytes};
use crate::records::{ApplyRecord, INITIAL_INDEX, decode_hard_state, encode_hard_state, initial_hard_state};
use crate::{RegionExt, StoreError};

/// The log of one region, over the store's raft log.
///
/// Invariant: `truncated_index ≤ applied ≤ committed ≤ last_index`; the cache holds every entry not yet on disk.
#[derive(Debug)]
pub struct LogStorage {
    region: RegionId,
    log: Arc<dyn RaftLog>,
    cache: LogCache,
    truncated_index: u64,
    truncated_term: u64,
    /// First entry that may still be on disk: after a crash between a cut's record and its deletions, below the cut.
    disk_first: u64,
    last_index: u64,
    /// Term of the last entry; 0 while it is not read yet.
    last_term: u64,
    hard_state: HardState,
    conf_state: ConfState,
    /// About how many bytes the entries take that are not cut.
    bytes: u64,
    /// What raft may send to a peer that needs entries before the cut.
    image: Option<Snapshot>,
    /// raft wants an image that is not there.
    image_wanted: Cell<bool>,
}

impl LogStorage {
    /// Reads the state that the store was left in.
    ///
    /// # Errors
    /// If a record is missing or the log does not reach the applied index: the store must not go on.
    pub fn load(log: Arc<dyn RaftLog>, region: &Region, apply: &ApplyRecord) -> Result<Self, StoreError> {
        let id = region.region_id();
        let unreadable = StoreError::Unreadable { region: id, what: "its raft state" };
        let mut hard_state = match log.state(id.0)? {
            Some(bytes) => decode_hard_state(&bytes).ok_or(unreadable)?,
            // A region born of a split has none before it first votes or appends.
            None if apply.applied_index == INITIAL_INDEX => initial_hard_state(),
            // One that waits for its first image may have voted, or not.
            None if apply.applied_index == 0 => HardState::default(),
            None => return Err(unreadable),
        };
        let next = apply.truncated_index + 1;
        let (disk_first, last_index) = log.bounds(id.0)?.unwrap_or((next, apply.truncated_index));
        let last_index = last_index.max(apply.truncated_index);
        if last_index < apply.applied_index {
            return Err(StoreError::LogLost { region: id, expected: apply.applied_index, actual: last_index });
        }
        // The commit index is written only along with entries and votes; what was applied was surely committed.
        hard_state.commit = hard_state.commit.max(apply.applied_index).min(last_index);
        let mut storage = Self {
            region: id,
            log,
            cache: LogCache::default(),
            truncated_index: apply.truncated_index,
            truncated_term: apply.truncated_term,
            disk_first: disk_first.min(next),
            last_index,
            last_term: 0,
            hard_state,
            conf_state: conf_state(region),
            bytes: 0,
            image: None,
            image_wanted: Cell::new(false),
        };
        storage.last_term = storage.term(last_index).map_err(|error| storage.fault(&error))?;
        Ok(storage)
    }

    /// Adds what raft wants durable to the round's batch; from here on it can be read back, as raft requires.
    pub fn append(&mut self, entries: &[Entry], batch: &mut LogBatch) -> Result<(), StoreError> {
        let Some(last) = entries.last() else { return Ok(()) };
        let encoded = entries
            .iter()
            .map(|entry| Ok(LogEntry { index: entry.index, encoded: entry.write_to_bytes()?.into() }))
            .collect::<Result<Vec<_>, protobuf::ProtobufError>>()
            .map_err(|error| StoreError::Raft { region: self.region, reason: error.to_string() })?;
        self.bytes += entries.iter().map(|entry| entry_bytes(entry) as u64).sum::<u64>();
        batch.ops.push(LogOp::Append { group: self.region.0, entries: encoded, stale_last: self.last_index });
        self.cache.append(entries);
        (self.last_index, self.last_term) = (last.index, last.term);
        Ok(())
    }

    /// Adds raft's hard state to the round's batch.
    pub fn set_hard_state(&mut self, state: &HardState, batch: &mut LogBatch) {
        self.hard_state = state.clone();
        batch.ops.push(LogOp::State { group: self.region.0, state: encode_hard_state(state) });
    }

    /// Removes the entries up to `index` (inclusive), which every replica has applied.
    pub fn cut(&mut self, index: u64, term: u64, batch: &mut LogBatch) {
        if index <= self.truncated_index {
            return;
        }
        batch.ops.push(LogOp::Cut { group: self.region.0, from: self.disk_first, to: index + 1 });
        // As if all entries were of one size: the bound on bytes need not be exact.
        let (left, all) = (self.last_index.saturating_sub(index), (self.last_index - self.truncated_index).max(1));
        self.bytes = (u128::from(self.bytes) * u128::from(left) / u128::from(all)) as u64;
        (self.truncated_index, self.truncated_term) = (index, term);
        self.disk_first = index + 1;
        self.cache.shrink(index, 0);
    }

    /// Removes what was cut before this start, if a crash has brought it back.
    pub fn cut_once_more(&mut self, batch: &mut LogBatch) {
        let first = self.truncated_index + 1;
        if self.disk_first < first {
            batch.ops.push(LogOp::Cut { group: self.region.0, from: self.disk_first, to: first });
            self.disk_first = first;
        }
    }

    /// Begins anew behind an image: nothing of the log before it is left.
    pub fn reset(&mut self, snapshot: &Snapshot, batch: &mut LogBatch) {
        self.remove(batch);
        let metadata = snapshot.get_metadata();
        (self.truncated_index, self.truncated_term) = (metadata.index, metadata.term);
        (self.last_index, self.last_term) = (metadata.index, metadata.term);
        self.disk_first = metadata.index + 1;
        self.conf_state = metadata.get_conf_state().clone();
        self.cache = LogCache::default();
        self.bytes = 0;
        self.image = None;
    }

    /// Removes the log and the hard state from disk.
    pub fn remove(&self, batch: &mut LogBatch) {
        batch.ops.push(LogOp::Remove { group: self.region.0, first: self.disk_first, last: self.last_index });
    }

    /// Whether raft wants an image that is not there; it asks again.
    pub fn take_image_wanted(&self) -> bool {
        self.image_wanted.take()
    }

    /// What raft may send from now on.
    pub fn set_image(&mut self, image: Option<Snapshot>) {
        self.image = image;
    }

    /// About how many bytes the log takes; what was there before a restart is not counted.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Frees cached entries up to `up_to` beyond `bytes_max`.
    pub fn shrink_cache(&mut self, up_to: u64, bytes_max: usize) {
        self.cache.shrink(up_to, bytes_max);
    }

    /// Bytes of cached entries.
    pub fn cache_bytes(&self) -> usize {
        self.cache.bytes()
    }

    /// First and last entry that may be on disk.
    pub fn on_disk(&self) -> (u64, u64) {
        (self.disk_first, self.last_index)
    }

    /// Last entry that was cut.
    pub fn truncated_index(&self) -> u64 {
        self.truncated_index
    }

    fn read(&self, low: u64, high: u64, bytes_max: u64) -> raft::Result<Vec<Entry>> {
        let read = self.log.entries(self.region.0, low, high, bytes_max).map_err(other)?;
        read.into_iter().map(|entry| Entry::parse_from_carllerche_bytes(&entry.encoded).map_err(other)).collect()
    }

    fn fault(&self, error: &raft::Error) -> StoreError {
        StoreError::Raft { region: self.region, reason: error.to_string() }
    }
}

impl Storage for LogStorage {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.hard_state.clone(), self.conf_state.clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.truncated_index {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        if high > self.last_index + 1 {
            return Err(raft::Error::Store(StorageError::Unavailable));
        }
        let bytes_max = max_size.into().unwrap_or(u64::MAX);
        let cached = self.cache.first_index().unwrap_or(u64::MAX).max(low);
        let on_disk = high.min(cached);
        let mut entries = if low < on_disk { self.read(low, on_disk, bytes_max)? } else { Vec::new() };
        if entries.len() as u64 == on_disk - low {
            self.cache.copy_to(cached, high, bytes_max, &mut entries);
        }
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.truncated_index {
            return Ok(self.truncated_term);
        }
        if index == self.last_index && self.last_term != 0 {
            return Ok(self.last_term);
        }
        if index < self.truncated_index {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        if index > self.last_index {
            return Err(raft::Error::Store(StorageError::Unavailable));
        }
        match self.cache.get(index) {
            Some(entry) => Ok(entry.term),
            None => self
                .read(index, index + 1, u64::MAX)?
                .first()
                .map(|entry| entry.term)
                .ok_or(raft::Error::Store(StorageError::Unavailable)),
        }
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.truncated_index + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last_index)
    }

    /// The image on the shelf, if it is any good for the peer `to`: a member in it, and not before the log's beginning.
    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<Snapshot> {
        let good = |image: &&Snapshot| {
            let metadata = image.get_metadata();
            let members = metadata.get_conf_state();
            let named = [members.get_voters(), members.get_learners(), members.get_voters_outgoing()];
            metadata.index >= request_index.max(self.truncated_index) && named.iter().any(|ids| ids.contains(&to))
        };
        self.image.as_ref().filter(good).cloned().ok_or_else(|| {
            self.image_wanted.set(true);
            raft::Error::Store(StorageError::SnapshotTemporarilyUnavailable)
        })
    }
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> raft::Error {
    raft::Error::Store(StorageError::Other(Box::new(error)))
}

/// A region's members as raft knows them.
pub(crate) fn conf_state(region: &Region) -> ConfState {
    let ids = |wanted: &[PeerRole]| -> Vec<u64> {
        let is_wanted = |peer: &&Peer| wanted.contains(&peer.role());
        region.peers.iter().filter(is_wanted).map(|peer| peer.id).collect()
    };
    let is_joint = region.peers.iter().any(|p| matches!(p.role(), PeerRole::IncomingVoter | PeerRole::DemotingVoter));
    let mut state = ConfState::default();
    state.set_voters(ids(&[PeerRole::Voter, PeerRole::IncomingVoter]));
    state.set_learners(ids(&[PeerRole::Learner]));
    if is_joint {
        state.set_voters_outgoing(ids(&[PeerRole::Voter, PeerRole::DemotingVoter]));
        state.set_learners_next(ids(&[PeerRole::DemotingVoter]));
    }
    state
}
