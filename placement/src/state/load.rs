//! A state from its records, as a leader reads it when it begins to lead.
//! An unknown record stops it: a newer program wrote it, and what it means must not be guessed.

use std::collections::BTreeMap;

use bytes::Bytes;
use nokv_engine::{Cursor as _, KeyRange, ReadView};
use nokv_proto::metapb::Region;
use prost::Message;

use super::ids::Ids;
use super::records::Kind;
use super::{ClusterRecord, HolderRecord, RECORD_CF, Settings, SnapshotRecord, State, StoreRecord};
use crate::regions::Report;

/// Why a state cannot be read. This machine cannot lead placement; stop, loudly.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The disk.
    #[error("placement's records cannot be read: {0}")]
    Engine(#[from] nokv_engine::Error),
    /// A record of another program, or damage.
    #[error("placement's record {key:02x?} is damaged, or of a newer program")]
    Unreadable {
        /// Its key.
        key: Vec<u8>,
    },
}

impl State {
    /// Reads all records; none at all is a cluster that is not founded.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load(view: &impl ReadView) -> Result<State, LoadError> {
        let mut state = State::default();
        let mut cursor = view.cursor(RECORD_CF, KeyRange::ALL)?;
        cursor.seek_to_first()?;
        while let (Some(key), Some(value)) = (cursor.key(), cursor.value()) {
            let read = state.take_record(key, value);
            read.ok_or_else(|| LoadError::Unreadable { key: key.to_vec() })?;
            cursor.next()?;
        }
        Ok(state)
    }

    /// The cluster's id as a replica has it, for those that do not lead; 0 if it has not heard of one.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn cluster_id_in(view: &impl ReadView) -> Result<u64, LoadError> {
        let key = [Kind::Cluster as u8];
        let Some(value) = view.get(RECORD_CF, &key)? else { return Ok(0) };
        let record = ClusterRecord::decode(value).map_err(|_| LoadError::Unreadable { key: key.to_vec() })?;
        Ok(record.id)
    }

    /// Takes one record in; `None` if it cannot be read.
    fn take_record(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let (kind, rest) = key.split_first()?;
        match Kind::of(*kind)? {
            Kind::Cluster => self.cluster = Message::decode(value).ok()?,
            Kind::Ids => self.ids = Ids::from_bound(number(value)?),
            Kind::TimestampBound => self.timestamp_bound_ms = number(value)?,
            Kind::Store => {
                let record = StoreRecord::decode(value).ok()?;
                self.stores.insert(record.id(), record);
            }
            Kind::Region => {
                let region = Region::decode(value).ok()?;
                self.regions.take_in(Report { region: region.into(), ..Report::default() }, 0).ok()?;
            }
            Kind::SafePoint => self.safe_point = number(value)?,
            Kind::Holder => insert(&mut self.holders, rest, HolderRecord::decode(value).ok()?)?,
            Kind::Snapshot => insert(&mut self.snapshots, rest, SnapshotRecord::decode(value).ok()?)?,
            Kind::Settings => self.settings = Settings::decode(value).ok()?,
            Kind::Value => {
                self.values.insert(Bytes::copy_from_slice(rest), Bytes::copy_from_slice(value));
            }
        }
        Some(())
    }
}

fn insert<R>(records: &mut BTreeMap<String, R>, name: &[u8], record: R) -> Option<()> {
    records.insert(String::from_utf8(name.to_vec()).ok()?, record);
    Some(())
}

fn number(value: &[u8]) -> Option<u64> {
    value.try_into().ok().map(u64::from_be_bytes)
}
