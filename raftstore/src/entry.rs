//! What a log entry carries: the effects of commands, or an instruction to the replicas themselves.
//! The first byte is the kind and leaves room; an unknown kind stops the replica instead of being skipped.

use bytes::{Buf, BufMut};
use nokv_proto::metapb::{Region, RegionEpoch};
use prost::Message as _;

use crate::merge::Source;

const KIND_WRITE: u8 = 1;
const KIND_CUT_LOG: u8 = 2;
const KIND_SPLIT: u8 = 3;
const KIND_PREPARE_MERGE: u8 = 4;
const KIND_COMMIT_MERGE: u8 = 5;
const KIND_ROLLBACK_MERGE: u8 = 6;
const KIND_SAFE_POINT: u8 = 16;

/// Bytes before the write batch in an entry of that kind.
pub const WRITE_HEADER_BYTES: usize = 17;

/// The decoded payload of a normal log entry, borrowed from its bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload<'a> {
    /// raft's own empty entry, by which a new leader learns what is committed.
    Empty,
    /// The concatenated write batches of proposals, all made under `epoch`.
    Write {
        /// Epoch under which the batches were made.
        epoch: RegionEpoch,
        /// Operations in the encoding of `nokv_engine::WriteBatch`.
        batch: &'a [u8],
    },
    /// Every replica may remove its entries up to and including `index`: all of them hold and have applied these.
    CutLog {
        /// Last entry that may go.
        index: u64,
        /// Term of that entry.
        term: u64,
    },
    /// The region becomes these: itself with what is left of its range, then the new ones, from left to right.
    Split {
        /// Epoch under which this was decided.
        epoch: RegionEpoch,
        /// The regions after the split.
        regions: Vec<Region>,
    },
    /// The region freezes, to be taken over by its neighbour.
    PrepareMerge {
        /// Epoch under which this was decided.
        epoch: RegionEpoch,
        /// First entry that some replica may lack.
        min_index: u64,
        /// The neighbour, with the epoch in which alone it may take the region.
        target: Region,
    },
    /// The region takes over a neighbour that is prepared.
    CommitMerge {
        /// Epoch under which alone this holds.
        epoch: RegionEpoch,
        /// The neighbour.
        source: Source,
    },
    /// The region was prepared by the entry `commit`, and is not taken over: it serves again.
    RollbackMerge {
        /// The entry that prepared it.
        commit: u64,
    },
    /// The safe point is this, or higher.
    SafePoint(u64),
}

impl<'a> Payload<'a> {
    /// Reads an entry's data; `None` if it is not of a known kind and shape.
    pub fn decode(mut data: &'a [u8]) -> Option<Payload<'a>> {
        if data.is_empty() {
            return Some(Payload::Empty);
        }
        match data.get_u8() {
            KIND_WRITE => {
                let epoch = get_epoch(&mut data)?;
                Some(Payload::Write { epoch, batch: data })
            }
            KIND_CUT_LOG => {
                let index = data.try_get_u64_le().ok()?;
                let term = data.try_get_u64_le().ok()?;
                data.is_empty().then_some(Payload::CutLog { index, term })
            }
            KIND_SPLIT => {
                let epoch = get_epoch(&mut data)?;
                let mut regions = Vec::new();
                while !data.is_empty() {
                    regions.push(Region::decode_length_delimited(&mut data).ok()?);
                }
                Some(Payload::Split { epoch, regions })
            }
            KIND_PREPARE_MERGE => {
                let epoch = get_epoch(&mut data)?;
                let min_index = data.try_get_u64_le().ok()?;
                Some(Payload::PrepareMerge { epoch, min_index, target: Region::decode(data).ok()? })
            }
            KIND_COMMIT_MERGE => {
                let epoch = get_epoch(&mut data)?;
                Some(Payload::CommitMerge { epoch, source: Source::decode(data)? })
            }
            KIND_ROLLBACK_MERGE => {
                let commit = data.try_get_u64_le().ok()?;
                data.is_empty().then_some(Payload::RollbackMerge { commit })
            }
            KIND_SAFE_POINT => {
                let number = data.try_get_u64_le().ok()?;
                data.is_empty().then_some(Payload::SafePoint(number))
            }
            _ => None,
        }
    }
}

/// Begins the data of a write entry; the batches follow.
pub fn begin_write(data: &mut Vec<u8>, epoch: RegionEpoch) {
    data.put_u8(KIND_WRITE);
    put_epoch(data, epoch);
}

/// Whether an entry of this data writes data of the region.
pub fn begins_write(data: &[u8]) -> bool {
    data.first() == Some(&KIND_WRITE)
}

/// The data of a splitting entry.
pub fn split(epoch: RegionEpoch, regions: &[Region]) -> Vec<u8> {
    let mut data = vec![KIND_SPLIT];
    put_epoch(&mut data, epoch);
    for region in regions {
        region.encode_length_delimited(&mut data).expect("a Vec grows as needed");
    }
    data
}

/// The data of an entry that prepares a merge.
pub fn prepare_merge(epoch: RegionEpoch, min_index: u64, target: &Region) -> Vec<u8> {
    let mut data = vec![KIND_PREPARE_MERGE];
    put_epoch(&mut data, epoch);
    data.put_u64_le(min_index);
    target.encode(&mut data).expect("a Vec grows as needed");
    data
}

/// The data of an entry by which a region takes over a neighbour.
pub fn commit_merge(epoch: RegionEpoch, source: &Source) -> Vec<u8> {
    let mut data = vec![KIND_COMMIT_MERGE];
    put_epoch(&mut data, epoch);
    source.encode(&mut data);
    data
}

/// The data of an entry that takes a preparation back.
pub fn rollback_merge(commit: u64) -> Vec<u8> {
    let mut data = vec![KIND_ROLLBACK_MERGE];
    data.put_u64_le(commit);
    data
}

/// Whether an entry of this data changes the replicas themselves, and not only their data or log.
pub fn changes_region(data: &[u8]) -> bool {
    matches!(data.first(), Some(&(KIND_SPLIT | KIND_PREPARE_MERGE | KIND_COMMIT_MERGE | KIND_ROLLBACK_MERGE)))
}

/// The context of a membership entry: the epoch under which it was decided, and the region that results.
pub fn members_context(epoch: RegionEpoch, region: &Region) -> Vec<u8> {
    let mut context = Vec::new();
    put_epoch(&mut context, epoch);
    region.encode(&mut context).expect("a Vec grows as needed");
    context
}

/// Reads what [`members_context`] wrote; `None` if it is not of that shape.
pub fn decode_members_context(mut context: &[u8]) -> Option<(RegionEpoch, Region)> {
    let epoch = get_epoch(&mut context)?;
    Some((epoch, Region::decode(context).ok()?))
}

/// Whether an entry of this data takes away from the region's range: until it is applied, other regions may come to own
/// a part of what this one owned, and a lease says nothing about them.
pub fn changes_range(data: &[u8]) -> bool {
    matches!(data.first(), Some(&(KIND_SPLIT | KIND_PREPARE_MERGE)))
}

fn put_epoch(data: &mut Vec<u8>, epoch: RegionEpoch) {
    data.put_u64_le(epoch.version);
    data.put_u64_le(epoch.conf_ver);
}

fn get_epoch(data: &mut &[u8]) -> Option<RegionEpoch> {
    let version = data.try_get_u64_le().ok()?;
    let conf_ver = data.try_get_u64_le().ok()?;
    Some(RegionEpoch { conf_ver, version })
}

/// The data of a log-cutting entry.
pub fn cut_log(index: u64, term: u64) -> Vec<u8> {
    let mut data = Vec::with_capacity(WRITE_HEADER_BYTES);
    data.put_u8(KIND_CUT_LOG);
    data.put_u64_le(index);
    data.put_u64_le(term);
    data
}

/// The data of an entry that raises the safe point.
pub fn raise_safe_point(number: u64) -> Vec<u8> {
    let mut data = vec![KIND_SAFE_POINT];
    data.put_u64_le(number);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_come_back_as_they_were() {
        let epoch = RegionEpoch { conf_ver: 3, version: 9 };
        let mut data = Vec::new();
        begin_write(&mut data, epoch);
        assert_eq!(data.len(), WRITE_HEADER_BYTES);
        data.extend_from_slice(b"batch");
        assert_eq!(Payload::decode(&data), Some(Payload::Write { epoch, batch: b"batch" }));
        assert_eq!(Payload::decode(&cut_log(7, 2)), Some(Payload::CutLog { index: 7, term: 2 }));
        assert_eq!(Payload::decode(&raise_safe_point(77)), Some(Payload::SafePoint(77)));
        assert_eq!(Payload::decode(&raise_safe_point(77)[..8]), None);
        assert_eq!(Payload::decode(&[]), Some(Payload::Empty));
        let regions = vec![Region { id: 1, ..Default::default() }, Region { id: 2, ..Default::default() }];
        let data = split(epoch, &regions);
        assert!(changes_range(&data));
        assert_eq!(Payload::decode(&data[..data.len() - 1]), None);
        assert_eq!(Payload::decode(&data), Some(Payload::Split { epoch, regions }));
        let target = Region { id: 2, ..Default::default() };
        let data = prepare_merge(epoch, 8, &target);
        assert!(changes_range(&data));
        assert_eq!(Payload::decode(&data), Some(Payload::PrepareMerge { epoch, min_index: 8, target: target.clone() }));
        let source = Source { region: target, commit: 4, before_term: 3, entries: Vec::new() };
        let data = commit_merge(epoch, &source);
        assert!(!changes_range(&data));
        assert_eq!(Payload::decode(&data), Some(Payload::CommitMerge { epoch, source }));
        assert_eq!(Payload::decode(&rollback_merge(4)), Some(Payload::RollbackMerge { commit: 4 }));
    }

    #[test]
    fn unknown_or_short_payloads_are_refused() {
        assert_eq!(Payload::decode(&[99, 0, 0]), None);
        assert_eq!(Payload::decode(&[KIND_WRITE, 1, 2, 3]), None);
        let mut long = cut_log(7, 2);
        long.push(0);
        assert_eq!(Payload::decode(&long), None);
    }
}
