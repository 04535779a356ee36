//! What the cluster knows of itself and must not forget. One place decides, the leader of placement's region; what it
//! decides is a write batch, which that region replicates like any other's.
//!
//! ```text
//!   Command ──▶ decide.rs ──▶ Reply, or Refusal (nothing is changed)
//!                  │
//!                  └──▶ write batch of records ──▶ the region's log ──▶ every replica's engine
//!                                                                          │
//!   State ◀── load.rs ◀── a view of the leader's engine, when it begins to lead
//! ```
//!
//! * `command.rs`, `refusal.rs`: what can be asked, what is answered, and why not.
//! * `decide.rs`: from a command to the part that knows it: `found.rs` (the cluster begins), `stores.rs`, `drain.rs`
//!   (a store leaves), `ids.rs`, `map.rs` (the regions), `safe_points.rs`, `snapshots.rs`, `values.rs`.
//! * `records.rs`: every key and value in bytes. `load.rs`: a state from its records, and records from a state.
//! * `settings.rs`: what people set.
//!
//! Invariants: a state read from its records is the state that wrote them; a refused command writes nothing; nothing
//! here looks at a clock. The caller answers a command when its batch is applied, and not before: a leader whose batch
//! fails throws its state away and reads it again when it leads again.

mod command;
mod decide;
mod drain;
mod found;
mod ids;
mod load;
mod map;
mod records;
mod refusal;
mod safe_points;
mod settings;
mod snapshots;
mod stores;
mod values;

use std::collections::BTreeMap;

use bytes::Bytes;
use nokv_proto::metapb::StoreState;
use nokv_raftstore::StoreId;

pub use command::{Command, Reply};
pub use ids::IDS_MAX;
pub use load::LoadError;
pub use records::{ClusterRecord, HolderRecord, RECORD_CF, SnapshotRecord, StoreRecord};
pub use refusal::Refusal;
pub use safe_points::ServiceSafePoint;
pub use settings::Settings;
pub use stores::VERSION_MAJOR;

use crate::regions::RegionMap;
use ids::Ids;

/// What placement knows. The map's figures (leaders, sizes, flows) are what heartbeats told; all else is kept.
#[derive(Clone, Debug, Default)]
pub struct State {
    cluster: ClusterRecord,
    ids: Ids,
    timestamp_bound_ms: u64,
    stores: BTreeMap<StoreId, StoreRecord>,
    regions: RegionMap,
    safe_point: u64,
    holders: BTreeMap<String, HolderRecord>,
    snapshots: BTreeMap<String, SnapshotRecord>,
    settings: Settings,
    values: BTreeMap<Bytes, Bytes>,
}

impl State {
    /// The cluster's id; 0 until it is founded.
    pub fn cluster_id(&self) -> u64 {
        self.cluster.id
    }

    /// Whether the cluster has its first store and region.
    pub fn is_bootstrapped(&self) -> bool {
        self.cluster.bootstrapped
    }

    /// No timestamp whose physical part is this or more has been handed out, in milliseconds.
    pub fn timestamp_bound_ms(&self) -> u64 {
        self.timestamp_bound_ms
    }

    /// Every store that ever was, by id.
    pub fn stores(&self) -> impl Iterator<Item = &StoreRecord> {
        self.stores.values()
    }

    /// A store.
    pub fn store(&self, id: StoreId) -> Option<&StoreRecord> {
        self.stores.get(&id)
    }

    /// The stores that are neither leaving nor gone.
    pub fn stores_up(&self) -> impl Iterator<Item = &StoreRecord> {
        self.stores().filter(|record| record.state() == StoreState::Up)
    }

    /// The map.
    pub fn regions(&self) -> &RegionMap {
        &self.regions
    }

    /// Versions that no read at or above this timestamp needs may be removed.
    pub fn safe_point(&self) -> u64 {
        self.safe_point
    }

    /// Who holds the safe point back, by name, expired ones included.
    pub fn holders(&self) -> &BTreeMap<String, HolderRecord> {
        &self.holders
    }

    /// The named snapshots.
    pub fn snapshots(&self) -> &BTreeMap<String, SnapshotRecord> {
        &self.snapshots
    }

    /// What people set.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A value that a client keeps here, with etcd's calls.
    pub fn value(&self, key: &[u8]) -> Option<&Bytes> {
        self.values.get(key)
    }
}
