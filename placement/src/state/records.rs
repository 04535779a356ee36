//! Every key and value of placement's state, byte by byte: the format on disk and in the log.
//!
//! ```text
//!   01                    the cluster           ClusterRecord
//!   02                    ids below this are taken                   u64be
//!   03                    timestamps below this may be handed out    u64be, milliseconds
//!   04 · store u64be      a store               StoreRecord
//!   05 · region u64be     a region              metapb.Region
//!   06                    the safe point        u64be
//!   07 · name             a holder of it        HolderRecord
//!   08 · name             a named snapshot      SnapshotRecord
//!   09                    settings              Settings
//!   0a · key              a client's value      its bytes
//! ```
//!
//! The first byte is kind and format: another format of one kind takes another byte. Records are protobuf.

use bytes::Bytes;
use nokv_engine::{Cf, WriteBatch};
use nokv_proto::metapb::{Region, Store, StoreState};
use nokv_raftstore::{RegionId, StoreId};
use prost::Message;

use super::{Settings, State};

/// The column family of the records. Placement's region has an engine of its own, so they meet nobody's keys.
pub const RECORD_CF: Cf = Cf::Raw;

/// The kinds of record: a key's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Cluster = 1,
    Ids = 2,
    TimestampBound = 3,
    Store = 4,
    Region = 5,
    SafePoint = 6,
    Holder = 7,
    Snapshot = 8,
    Settings = 9,
    Value = 10,
}

impl Kind {
    pub(super) fn of(byte: u8) -> Option<Kind> {
        const ALL: [Kind; 10] = [
            Kind::Cluster,
            Kind::Ids,
            Kind::TimestampBound,
            Kind::Store,
            Kind::Region,
            Kind::SafePoint,
            Kind::Holder,
            Kind::Snapshot,
            Kind::Settings,
            Kind::Value,
        ];
        ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// The cluster.
#[derive(Clone, PartialEq, Message)]
pub struct ClusterRecord {
    /// Its id; 0 = it is not founded.
    #[prost(fixed64, tag = "1")]
    pub id: u64,
    /// Whether it has its first store and region.
    #[prost(bool, tag = "2")]
    pub bootstrapped: bool,
}

/// A store.
#[derive(Clone, PartialEq, Message)]
pub struct StoreRecord {
    /// Who and where it is.
    #[prost(message, required, tag = "1")]
    pub store: Store,
    /// The number that its directory keeps; 0 = none was told.
    #[prost(fixed64, tag = "2")]
    pub directory: u64,
    /// How many peers it held when it was told to leave; progress is measured from there.
    #[prost(uint64, tag = "3")]
    pub drained_from: u64,
}

impl StoreRecord {
    /// Its id.
    pub fn id(&self) -> StoreId {
        StoreId(self.store.id)
    }

    /// Whether it is up, leaving or gone.
    pub fn state(&self) -> StoreState {
        self.store.state()
    }

    /// The value of its label `key`.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.store.labels.iter().find(|label| label.key == key).map(|label| label.value.as_str())
    }
}

/// Somebody for whom old versions are kept.
#[derive(Clone, PartialEq, Message)]
pub struct HolderRecord {
    /// It reads at this timestamp and later.
    #[prost(uint64, tag = "1")]
    pub safe_point: u64,
    /// Until then, in milliseconds since 1970; `u64::MAX` = for ever.
    #[prost(uint64, tag = "2")]
    pub until_ms: u64,
}

/// The whole keyspace as of a timestamp.
#[derive(Clone, PartialEq, Message)]
pub struct SnapshotRecord {
    /// The timestamp.
    #[prost(uint64, tag = "1")]
    pub timestamp: u64,
    /// When it was made, in milliseconds since 1970; for people.
    #[prost(uint64, tag = "2")]
    pub created_ms: u64,
}

/// Writes records into a batch.
pub(super) struct Records<'a>(pub(super) &'a mut WriteBatch);

impl Records<'_> {
    pub(super) fn cluster(&mut self, record: &ClusterRecord) {
        self.put(Kind::Cluster, &[], &record.encode_to_vec());
    }

    pub(super) fn id_bound(&mut self, bound: u64) {
        self.put(Kind::Ids, &[], &bound.to_be_bytes());
    }

    pub(super) fn timestamp_bound(&mut self, bound_ms: u64) {
        self.put(Kind::TimestampBound, &[], &bound_ms.to_be_bytes());
    }

    pub(super) fn store(&mut self, record: &StoreRecord) {
        self.put(Kind::Store, &record.store.id.to_be_bytes(), &record.encode_to_vec());
    }

    pub(super) fn region(&mut self, region: &Region) {
        self.put(Kind::Region, &region.id.to_be_bytes(), &region.encode_to_vec());
    }

    pub(super) fn no_region(&mut self, id: RegionId) {
        self.0.delete(RECORD_CF, &key(Kind::Region, &id.0.to_be_bytes()));
    }

    pub(super) fn safe_point(&mut self, safe_point: u64) {
        self.put(Kind::SafePoint, &[], &safe_point.to_be_bytes());
    }

    pub(super) fn holder(&mut self, name: &str, record: Option<&HolderRecord>) {
        match record {
            Some(record) => self.put(Kind::Holder, name.as_bytes(), &record.encode_to_vec()),
            None => self.0.delete(RECORD_CF, &key(Kind::Holder, name.as_bytes())),
        }
    }

    pub(super) fn snapshot(&mut self, name: &str, record: Option<&SnapshotRecord>) {
        match record {
            Some(record) => self.put(Kind::Snapshot, name.as_bytes(), &record.encode_to_vec()),
            None => self.0.delete(RECORD_CF, &key(Kind::Snapshot, name.as_bytes())),
        }
    }

    pub(super) fn settings(&mut self, settings: &Settings) {
        self.put(Kind::Settings, &[], &settings.encode_to_vec());
    }

    pub(super) fn value(&mut self, name: &Bytes, value: &Bytes) {
        self.put(Kind::Value, name, value);
    }

    fn put(&mut self, kind: Kind, rest: &[u8], value: &[u8]) {
        self.0.put(RECORD_CF, &key(kind, rest), value);
    }
}

fn key(kind: Kind, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + rest.len());
    key.push(kind as u8);
    key.extend_from_slice(rest);
    key
}

impl State {
    /// Every record of this state.
    pub fn records(&self) -> WriteBatch {
        let mut batch = WriteBatch::new();
        let mut records = Records(&mut batch);
        if self.cluster.id == 0 {
            return batch;
        }
        records.cluster(&self.cluster);
        records.id_bound(self.ids.bound());
        records.settings(&self.settings);
        if self.timestamp_bound_ms != 0 {
            records.timestamp_bound(self.timestamp_bound_ms);
        }
        self.stores.values().for_each(|record| records.store(record));
        self.regions.iter().for_each(|info| records.region(&info.region));
        if self.safe_point != 0 {
            records.safe_point(self.safe_point);
        }
        self.holders.iter().for_each(|(name, record)| records.holder(name, Some(record)));
        self.snapshots.iter().for_each(|(name, record)| records.snapshot(name, Some(record)));
        self.values.iter().for_each(|(name, value)| records.value(name, value));
        batch
    }
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
