//! A region's face to the threads that serve requests: who leads, under which term and epoch, and until when reads are
//! safe. The raft loop writes it, everybody reads it, nobody waits.
//!
//! Order is what makes a lease read right: a reader looks at the state, then at the lease, then takes its view, then
//! looks whether the state is still the same. The raft loop closes the gate *before* it lets any message of that round
//! leave, and data is in the engine before its writer is answered. So a view taken behind an open gate holds every
//! write that was acknowledged before the read began.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};
use nokv_proto::metapb::{Peer, Region, RegionEpoch};
use nokv_transport::{RegionId, StoreId};
use parking_lot::RwLock;

use crate::admission::Admissions;
use crate::region_load::{LoadTotals, RegionLoad};
use crate::region_size::{RegionSize, SizeGauge};
use crate::safe_point::SafePoint;
use crate::{MonotonicTime, RegionError, RegionExt};

/// Neighbours that a client with an older region is told of at once.
const NEIGHBOURS_MAX: usize = 16;

/// Part of a peer in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It leads.
    Leader,
    /// It follows, or looks for a leader.
    Follower,
    /// It campaigns.
    Candidate,
}

/// What changes together and seldom.
#[derive(Clone, Debug)]
pub struct GateState {
    /// The region as applied here.
    pub region: Arc<Region>,
    /// This store's peer.
    pub peer: Peer,
    /// This peer's part.
    pub role: Role,
    /// raft's term.
    pub term: u64,
    /// The leader, if one is known.
    pub leader: Option<Peer>,
}

/// What a request says about where it is to go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestContext {
    /// The region asked.
    pub region_id: RegionId,
    /// The region's epoch as the client knows it; `None` = it makes no claim.
    pub epoch: Option<RegionEpoch>,
    /// The peer that the client means; `None` = it makes no claim.
    pub peer: Option<Peer>,
    /// The term as the client knows it; 0 = it makes no claim.
    pub term: u64,
    /// The request reads, and a follower or learner may serve it, at the leader's read index.
    pub replica_read: bool,
    /// The request reads in the past, and any replica may serve it alone that knows its timestamp to be settled. Comes
    /// with `replica_read`, for where none does.
    pub stale_read: bool,
}

/// One region's gate.
#[derive(Debug)]
pub struct Gate {
    slot: usize,
    state: ArcSwap<GateState>,
    lease_until: AtomicU64,
    renewal_asked: AtomicBool,
    /// The region into which this one is being merged; 0 = none.
    merging_into: AtomicU64,
    /// Version and membership version with which the replica was born, or of its last image.
    known_since: (AtomicU64, AtomicU64),
    crowded: AtomicBool,
    size: SizeGauge,
    asleep: AtomicBool,
    applied: AtomicU64,
    written: AtomicU64,
    committed: AtomicU64,
    /// What all followers know to be committed, if this peer leads.
    told: AtomicU64,
    last: AtomicU64,
    load: RegionLoad,
}

impl Gate {
    /// A closed gate of a region that the loop `slot` owns.
    pub fn new(slot: usize, state: GateState) -> Self {
        let epoch = state.region.epoch();
        Self {
            slot,
            state: ArcSwap::from_pointee(state),
            lease_until: AtomicU64::new(0),
            renewal_asked: AtomicBool::new(false),
            merging_into: AtomicU64::new(0),
            known_since: (AtomicU64::new(epoch.version), AtomicU64::new(epoch.conf_ver)),
            crowded: AtomicBool::new(false),
            size: SizeGauge::default(),
            asleep: AtomicBool::new(false),
            applied: AtomicU64::new(0),
            written: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            told: AtomicU64::new(0),
            last: AtomicU64::new(0),
            load: RegionLoad::default(),
        }
    }

    /// The raft loop that owns the region.
    pub fn slot(&self) -> usize {
        self.slot
    }

    /// The state now.
    pub fn state(&self) -> Guard<Arc<GateState>> {
        self.state.load()
    }

    /// Whether `seen` is still the state.
    pub fn is_still(&self, seen: &Arc<GateState>) -> bool {
        Arc::ptr_eq(&self.state.load(), seen)
    }

    /// Until when reads need not ask the quorum.
    pub fn lease_until(&self) -> MonotonicTime {
        MonotonicTime(self.lease_until.load(Ordering::SeqCst))
    }

    /// Replaces the state, closing the gate first. For the raft loop only.
    pub fn set_state(&self, state: GateState) {
        self.lease_until.store(0, Ordering::SeqCst);
        self.state.store(Arc::new(state));
    }

    /// Opens the gate until `until`, or closes it. For the raft loop only.
    pub fn set_lease(&self, until: MonotonicTime) {
        self.lease_until.store(until.0, Ordering::SeqCst);
        self.renewal_asked.store(false, Ordering::Relaxed);
    }

    /// About how large the region is.
    pub fn size(&self) -> &SizeGauge {
        &self.size
    }

    /// What the region is asked for here.
    pub fn load(&self) -> &RegionLoad {
        &self.load
    }

    /// The region into which this one is being merged, if it is: it serves nobody meanwhile.
    pub fn merging_into(&self) -> Option<RegionId> {
        Some(RegionId(self.merging_into.load(Ordering::SeqCst))).filter(|into| into.0 != 0)
    }

    /// Says into which region this one is being merged. For the raft loop only, before it changes the state.
    pub fn set_merging_into(&self, into: Option<RegionId>) {
        self.merging_into.store(into.map_or(0, |into| into.0), Ordering::SeqCst);
    }

    /// The epoch from which on all changes of this replica came by its log. For the raft loops only.
    pub(crate) fn known_since(&self) -> RegionEpoch {
        let (version, conf_ver) = &self.known_since;
        RegionEpoch { version: version.load(Ordering::SeqCst), conf_ver: conf_ver.load(Ordering::SeqCst) }
    }

    /// The replica begins anew with this epoch, by an image.
    pub(crate) fn begin_anew(&self, epoch: RegionEpoch) {
        self.known_since.0.store(epoch.version, Ordering::SeqCst);
        self.known_since.1.store(epoch.conf_ver, Ordering::SeqCst);
    }

    /// Whether the caller is the first since the last renewal to ask for another.
    pub fn ask_renewal(&self) -> bool {
        !self.renewal_asked.swap(true, Ordering::Relaxed)
    }

    /// Says whether proposals wait until entries under way are committed. For the raft loop only.
    pub fn set_crowded(&self, crowded: bool) {
        self.crowded.store(crowded, Ordering::SeqCst);
    }

    /// Whether proposals wait until entries under way are committed.
    pub fn is_crowded(&self) -> bool {
        self.crowded.load(Ordering::SeqCst)
    }

    /// Publishes how far the log has come, for status pages.
    pub fn set_progress(&self, applied: u64, committed: u64, last: u64) {
        self.applied.store(applied, Ordering::Relaxed);
        self.committed.store(committed, Ordering::Relaxed);
        self.last.store(last, Ordering::Relaxed);
    }

    /// Publishes up to where all followers that answer know of commits, as far as this leader knows.
    pub fn set_told(&self, index: u64) {
        self.told.store(index, Ordering::Relaxed);
    }

    /// Up to where all followers that answer know of commits. It may lag behind, and is then told once more.
    pub fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// Publishes whether the region sleeps here, for status pages.
    pub fn set_asleep(&self, asleep: bool) {
        self.asleep.store(asleep, Ordering::Relaxed);
    }

    /// Publishes which entry wrote data last, as far as is known; 0 adds nothing.
    pub fn set_written(&self, index: u64) {
        self.written.fetch_max(index, Ordering::Relaxed);
    }

    /// What status pages show.
    pub fn status(&self, now: MonotonicTime) -> RegionStatus {
        let state = self.state.load_full();
        RegionStatus {
            applied_index: self.applied.load(Ordering::Relaxed),
            written_index: self.written.load(Ordering::Relaxed),
            committed_index: self.committed.load(Ordering::Relaxed),
            last_index: self.last.load(Ordering::Relaxed),
            size: self.size.get(),
            load: self.load.totals(),
            merging_into: self.merging_into(),
            is_asleep: self.asleep.load(Ordering::Relaxed),
            lease_ms: u64::try_from(self.lease_until().since(now).as_millis()).unwrap_or(0),
            state,
        }
    }
}

/// A region as its store sees it, for people and tools.
#[derive(Clone, Debug)]
pub struct RegionStatus {
    /// Role, term, leader, range and members.
    pub state: Arc<GateState>,
    /// Last entry applied.
    pub applied_index: u64,
    /// The last entry among these that wrote data, since this process began; 0 = none.
    pub written_index: u64,
    /// Last entry known to be committed.
    pub committed_index: u64,
    /// Last entry of the log.
    pub last_index: u64,
    /// Whether it sleeps here: nobody has touched it for long.
    pub is_asleep: bool,
    /// Milliseconds of lease left; 0 if none is held.
    pub lease_ms: u64,
    /// About how large it is, if anybody looked.
    pub size: Option<RegionSize>,
    /// What it was asked for here, since this process came to have it.
    pub load: LoadTotals,
    /// The region into which it is being merged.
    pub merging_into: Option<RegionId>,
}

/// All gates of a store.
#[derive(Debug)]
pub struct Gates {
    store: StoreId,
    safe_point: SafePoint,
    table: RwLock<Table>,
}

/// What one lock holds, so that a replica is admitted or not at one moment.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) gates: BTreeMap<RegionId, Arc<Gate>>,
    pub(crate) admissions: Admissions,
}

impl Gates {
    /// No region yet.
    pub fn new(store: StoreId) -> Self {
        Self::with_safe_point(store, SafePoint::default())
    }

    /// No region yet, on a store that has heard of a safe point.
    pub fn with_safe_point(store: StoreId, safe_point: SafePoint) -> Self {
        Self { store, safe_point, table: RwLock::default() }
    }

    /// The store's safe point.
    pub fn safe_point(&self) -> &SafePoint {
        &self.safe_point
    }

    /// Whose regions these are.
    pub fn store(&self) -> StoreId {
        self.store
    }

    pub(crate) fn table(&self) -> &RwLock<Table> {
        &self.table
    }

    /// Adds a region.
    pub fn insert(&self, region: RegionId, gate: Arc<Gate>) {
        self.table.write().gates.insert(region, gate);
    }

    /// The gate of `region`.
    ///
    /// # Errors
    /// [`RegionError::RegionNotFound`].
    pub fn get(&self, region: RegionId) -> Result<Arc<Gate>, RegionError> {
        self.table.read().gates.get(&region).cloned().ok_or(RegionError::RegionNotFound { region })
    }

    /// Every gate, by region id.
    pub fn all(&self) -> Vec<Arc<Gate>> {
        self.table.read().gates.values().cloned().collect()
    }

    /// Whose range holds `key` (encoded as region bounds are), if one here does.
    pub fn holding(&self, key: &[u8]) -> Option<Arc<Gate>> {
        self.table.read().gates.values().find(|gate| gate.state().region.range().contains(key)).cloned()
    }

    /// Adds, for a client whose region is an older one, the regions that lie behind the one that is here now: most
    /// likely they were split off from it since.
    fn with_neighbours(&self, error: RegionError, known: RegionEpoch) -> RegionError {
        let RegionError::EpochNotMatch { mut current } = error else { return error };
        let Some(last) = current.last().filter(|last| last.epoch().version > known.version) else {
            return RegionError::EpochNotMatch { current };
        };
        let splits = usize::try_from(last.epoch().version - known.version).unwrap_or(usize::MAX);
        let mut wanted = last.end_key.clone();
        let behind: BTreeMap<_, _> = self.all().iter().map(|gate| gate.state().region.clone()).map(by_start).collect();
        for _ in 0..splits.min(NEIGHBOURS_MAX) {
            let Some(next) = behind.get(&wanted).filter(|_| !wanted.is_empty()) else { break };
            current.push(Region::clone(next));
            wanted = next.end_key.clone();
        }
        RegionError::EpochNotMatch { current }
    }

    /// Finds the gate of a replica, leader or not, and checks that this store is meant.
    ///
    /// # Errors
    /// [`RegionError::StoreNotMatch`], [`RegionError::RegionNotFound`].
    pub fn replica(&self, context: &RequestContext) -> Result<Arc<Gate>, RegionError> {
        self.check_store(context)?;
        self.get(context.region_id).map_err(|error| self.successor(context.region_id).unwrap_or(error))
    }

    fn check_store(&self, context: &RequestContext) -> Result<(), RegionError> {
        match context.peer.filter(|peer| peer.store_id != self.store.0) {
            Some(peer) => {
                let request_store = StoreId(peer.store_id);
                Err(RegionError::StoreNotMatch { request_store, actual_store: self.store })
            }
            None => Ok(()),
        }
    }

    /// Finds the gate that `context` means and checks all that it claims, in the wire's order, short of the keys.
    pub fn enter(&self, context: &RequestContext) -> Result<(Arc<Gate>, Arc<GateState>), RegionError> {
        self.check_store(context)?;
        let gate = self.get(context.region_id).map_err(|error| self.successor(context.region_id).unwrap_or(error))?;
        let state = gate.state.load_full();
        state.check_leads()?;
        if let Some(into) = gate.merging_into().filter(|_| !nokv_engine::is_planted("serve what is frozen")) {
            return Err(RegionError::Merging { region: context.region_id, into });
        }
        if let Some(epoch) = context.epoch {
            state.check_epoch(epoch).map_err(|error| self.with_neighbours(error, epoch))?;
        }
        if context.term != 0 && context.term != state.term {
            return Err(RegionError::StaleCommand);
        }
        Ok((gate, state))
    }
}

fn by_start(region: Arc<Region>) -> (bytes::Bytes, Arc<Region>) {
    (region.start_key.clone(), region)
}

impl GateState {
    /// Refuses unless this peer leads.
    pub fn check_leads(&self) -> Result<(), RegionError> {
        match self.role {
            Role::Leader => Ok(()),
            Role::Follower | Role::Candidate => {
                Err(RegionError::NotLeader { region: self.region.region_id(), leader: self.leader })
            }
        }
    }

    /// Refuses an epoch of another range. Members may have changed: data commands do not depend on them.
    pub fn check_epoch(&self, epoch: RegionEpoch) -> Result<(), RegionError> {
        if epoch.version == self.region.epoch().version {
            return Ok(());
        }
        Err(RegionError::EpochNotMatch { current: vec![Region::clone(&self.region)] })
    }
}
