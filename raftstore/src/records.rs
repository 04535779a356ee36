//! The records that replication keeps beside the data, byte by byte: which regions a store holds, how far each has
//! applied, raft's own state. Each begins with a version byte.

use bytes::{Buf, BufMut, Bytes};
use nokv_engine::{Cf, ReadView, WriteBatch, raft_keys};
use nokv_proto::metapb::{Region, RegionEpoch};
use nokv_transport::RegionId;
use prost::Message as _;
use raft::eraftpb::HardState;

use crate::StoreError;
use crate::merge::{Prepared, Successor};

const VERSION: u8 = 1;

/// raft's index and term in a region's first moment: above 0, since raft-rs has faults at 0.
pub const INITIAL_INDEX: u64 = 5;
/// See [`INITIAL_INDEX`].
pub const INITIAL_TERM: u64 = 5;

/// raft's state in a region's first moment.
pub fn initial_hard_state() -> HardState {
    HardState { term: INITIAL_TERM, commit: INITIAL_INDEX, ..HardState::default() }
}

/// Whether a store's replica of a region lives.
#[derive(Clone, Debug, PartialEq)]
pub enum Liveness {
    /// It takes part.
    Normal,
    /// It was removed; the record stays so that no late message raises it again.
    Tombstone,
    /// An image is to be taken in before anything else: at a start, again.
    Applying(Arrival),
    /// It was removed, and its log and data are to be: at a start, again.
    Leaving,
    /// It takes part, but serves nobody: it is to be merged into a neighbour.
    Merging(Prepared),
    /// Its region was merged into another, which has its data. The record stays, as a tombstone does.
    Merged(Successor),
}

/// An image that is in the raft state already, and in the data not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The engine's import that holds its data.
    pub import: String,
    /// What the import replaces: start and end of each range.
    pub clear: Vec<(Bytes, Bytes)>,
    /// The apply record from then on.
    pub apply: ApplyRecord,
}

impl Arrival {
    fn encode(&self, out: &mut Vec<u8>) {
        let mut put = |bytes: &[u8]| {
            out.put_u32_le(u32::try_from(bytes.len()).expect("names and keys are far below 4 GiB"));
            out.put_slice(bytes);
        };
        put(self.import.as_bytes());
        put(&self.apply.encode());
        put(&(self.clear.len() as u64).to_le_bytes());
        for (start, end) in &self.clear {
            put(start);
            put(end);
        }
    }

    fn decode(bytes: &mut Bytes) -> Option<Self> {
        let mut take = || {
            let length = bytes.try_get_u32_le().ok()? as usize;
            (length <= bytes.len()).then(|| bytes.split_to(length))
        };
        let import = String::from_utf8(take()?.to_vec()).ok()?;
        let apply = ApplyRecord::decode(&take()?)?;
        let count = take()?.try_get_u64_le().ok()?;
        let clear = (0..count).map(|_| Some((take()?, take()?))).collect::<Option<_>>()?;
        Some(Self { import, clear, apply })
    }
}

/// A store's record of one region.
#[derive(Clone, Debug, PartialEq)]
pub struct RegionRecord {
    /// Whether the replica lives.
    pub liveness: Liveness,
    /// The region as of the applied index; for a removed replica, as of when it was last heard of, and this store's
    /// peer is among the members.
    pub region: Region,
}

impl RegionRecord {
    /// Version byte, liveness byte (with what belongs to it), then the region as protobuf.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 + self.region.encoded_len());
        out.put_u8(VERSION);
        match &self.liveness {
            Liveness::Normal => out.put_u8(0),
            Liveness::Tombstone => out.put_u8(1),
            Liveness::Applying(arrival) => {
                out.put_u8(2);
                arrival.encode(&mut out);
            }
            Liveness::Leaving => out.put_u8(3),
            Liveness::Merging(prepared) => {
                out.put_u8(4);
                prepared.encode(&mut out);
            }
            Liveness::Merged(successor) => {
                out.put_u8(5);
                out.put_u64_le(successor.region.0);
                out.put_u64_le(successor.version);
            }
        }
        self.region.encode(&mut out).expect("a Vec grows as needed");
        out
    }

    /// Reads a record; `None` if it is corrupt or newer than this program.
    pub fn decode(mut bytes: Bytes) -> Option<Self> {
        if bytes.try_get_u8().ok()? != VERSION {
            return None;
        }
        let liveness = match bytes.try_get_u8().ok()? {
            0 => Liveness::Normal,
            1 => Liveness::Tombstone,
            2 => Liveness::Applying(Arrival::decode(&mut bytes)?),
            3 => Liveness::Leaving,
            4 => Liveness::Merging(Prepared::decode(&mut bytes)?),
            5 => {
                let region = RegionId(bytes.try_get_u64_le().ok()?);
                Liveness::Merged(Successor { region, version: bytes.try_get_u64_le().ok()? })
            }
            _ => return None,
        };
        Some(Self { liveness, region: Region::decode(bytes).ok()? })
    }

    /// The record of `region` in `view`.
    ///
    /// # Errors
    /// If it is missing or unreadable.
    pub fn load(view: &impl ReadView, region: RegionId) -> Result<Self, StoreError> {
        let bytes = view.get(Cf::Raft, &raft_keys::region_state_key(region.0))?;
        bytes.and_then(Self::decode).ok_or(StoreError::Unreadable { region, what: "its description" })
    }

    /// Adds the record to `batch`.
    pub fn put(&self, batch: &mut WriteBatch) {
        batch.put(Cf::Raft, &raft_keys::region_state_key(self.region.id), &self.encode());
    }
}

/// How far a replica has applied its log, and where the log begins. Written in the same batch as the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApplyRecord {
    /// Last entry whose effects are in the engine.
    pub applied_index: u64,
    /// Its term.
    pub applied_term: u64,
    /// Last entry that was cut from the log; entries after it are there.
    pub truncated_index: u64,
    /// Its term.
    pub truncated_term: u64,
}

impl ApplyRecord {
    /// The record of a region in its first moment.
    pub fn initial() -> Self {
        Self::at(INITIAL_INDEX, INITIAL_TERM)
    }

    /// The record of a replica that begins with an image.
    pub fn at(index: u64, term: u64) -> Self {
        Self { applied_index: index, applied_term: term, truncated_index: index, truncated_term: term }
    }

    /// Adds the record of `region` to `batch`.
    pub fn put(&self, region: RegionId, batch: &mut WriteBatch) {
        batch.put(Cf::Raft, &raft_keys::apply_state_key(region.0), &self.encode());
    }

    /// Version byte, then the four numbers as little-endian u64.
    pub fn encode(&self) -> [u8; 33] {
        let mut out = [0; 33];
        let mut rest = out.as_mut_slice();
        rest.put_u8(VERSION);
        rest.put_u64_le(self.applied_index);
        rest.put_u64_le(self.applied_term);
        rest.put_u64_le(self.truncated_index);
        rest.put_u64_le(self.truncated_term);
        out
    }

    /// Reads a record; `None` if it is corrupt or newer than this program.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        if bytes.try_get_u8().ok()? != VERSION {
            return None;
        }
        let record = Self {
            applied_index: bytes.try_get_u64_le().ok()?,
            applied_term: bytes.try_get_u64_le().ok()?,
            truncated_index: bytes.try_get_u64_le().ok()?,
            truncated_term: bytes.try_get_u64_le().ok()?,
        };
        bytes.is_empty().then_some(record)
    }

    /// The record of `region` in `view`.
    ///
    /// # Errors
    /// If it is missing or unreadable.
    pub fn load(view: &impl ReadView, region: RegionId) -> Result<Self, StoreError> {
        let bytes = view.get(Cf::Raft, &raft_keys::apply_state_key(region.0))?;
        bytes.and_then(|bytes| Self::decode(&bytes)).ok_or(StoreError::Unreadable { region, what: "its apply state" })
    }
}

/// raft's hard state: version byte, then term, vote and commit as little-endian u64.
pub fn encode_hard_state(state: &HardState) -> Bytes {
    let mut out = Vec::with_capacity(25);
    out.put_u8(VERSION);
    out.put_u64_le(state.term);
    out.put_u64_le(state.vote);
    out.put_u64_le(state.commit);
    Bytes::from(out)
}

/// Adds to `batch` that the replica of `region` was made from an image of this epoch.
pub fn put_image_epoch(region: RegionId, epoch: RegionEpoch, batch: &mut WriteBatch) {
    let mut record = [VERSION; 17];
    let mut rest = record.split_at_mut(1).1;
    rest.put_u64_le(epoch.version);
    rest.put_u64_le(epoch.conf_ver);
    batch.put(Cf::Raft, &raft_keys::image_epoch_key(region.0), &record);
}

/// The epoch of the last image that the replica of `region` was made from; zero if it was born here.
///
/// # Errors
/// If the record is unreadable.
pub fn load_image_epoch(view: &impl ReadView, region: RegionId) -> Result<RegionEpoch, StoreError> {
    let Some(record) = view.get(Cf::Raft, &raft_keys::image_epoch_key(region.0))? else {
        return Ok(RegionEpoch::default());
    };
    let read = |mut bytes: &[u8]| {
        let is_known = bytes.try_get_u8().ok()? == VERSION;
        let (version, conf_ver) = (bytes.try_get_u64_le().ok()?, bytes.try_get_u64_le().ok()?);
        (is_known && bytes.is_empty()).then_some(RegionEpoch { version, conf_ver })
    };
    read(&record).ok_or(StoreError::Unreadable { region, what: "the epoch of its image" })
}

/// Adds to `batch` that `region` has applied nothing here any more.
pub fn delete_applied(region: RegionId, batch: &mut WriteBatch) {
    batch.delete(Cf::Raft, &raft_keys::apply_state_key(region.0));
    batch.delete(Cf::Raft, &raft_keys::image_epoch_key(region.0));
}

/// Reads what [`encode_hard_state`] wrote; `None` if it is corrupt or newer than this program.
pub fn decode_hard_state(mut bytes: &[u8]) -> Option<HardState> {
    if bytes.try_get_u8().ok()? != VERSION {
        return None;
    }
    let (term, vote) = (bytes.try_get_u64_le().ok()?, bytes.try_get_u64_le().ok()?);
    let commit = bytes.try_get_u64_le().ok()?;
    bytes.is_empty().then(|| HardState { term, vote, commit, ..HardState::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_were() {
        let apply = ApplyRecord { applied_index: 9, applied_term: 6, truncated_index: 5, truncated_term: 5 };
        assert_eq!(ApplyRecord::decode(&apply.encode()), Some(apply));
        assert_eq!(ApplyRecord::decode(&apply.encode()[..32]), None);
        let record = RegionRecord {
            liveness: Liveness::Tombstone,
            region: Region { id: 7, start_key: Bytes::from_static(b"a"), ..Default::default() },
        };
        for liveness in [
            Liveness::Normal,
            Liveness::Leaving,
            Liveness::Merging(Prepared { target: record.region.clone(), min_index: 6, commit: 9 }),
            Liveness::Merged(Successor { region: RegionId(8), version: 3 }),
            Liveness::Applying(Arrival {
                import: "image-7".to_owned(),
                clear: vec![(Bytes::from_static(b"a"), Bytes::new())],
                apply,
            }),
        ] {
            let record = RegionRecord { liveness, ..record.clone() };
            assert_eq!(RegionRecord::decode(record.encode().into()), Some(record));
        }
        assert_eq!(RegionRecord::decode(record.encode().into()), Some(record));
        assert_eq!(RegionRecord::decode(Bytes::from_static(&[2, 0])), None);
        let mut hard = HardState::default();
        (hard.term, hard.vote, hard.commit) = (4, 2, 17);
        assert_eq!(decode_hard_state(&encode_hard_state(&hard)), Some(hard));
    }
}
