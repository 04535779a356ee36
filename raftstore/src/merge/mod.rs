//! Two neighbours with the same members become one: the source freezes, its replicas on all stores reach the same last
//! entry, and the target takes over its range. The decision stands in the target's log; the data does not move.
//!
//! ```text
//!   source                                                        target
//!   serves                                                        serves
//!     | PrepareMerge (entry c of its log): version + 1              |
//!     v                                                             |
//!   prepared: neither reads nor writes ── on the store that leads   |
//!     |        the target: its entries min..c ─────────────────────►| CommitMerge, good for one epoch of the target
//!     |                                                             v
//!     |◄──── the store's apply waits here: claims the source ─── awaits (other regions go on)
//!     | appends min..c if it lacks them, applies up to c            |
//!     v                                                             |
//!   sealed: takes part in nothing, all applied ────────────────────►| ONE batch: target's record with both ranges,
//!     |                                                             |            source's record `Merged`
//!     v                                                             v
//!   gone: log and peer removed, data stays                        serves both, version = max + 1
//!
//!   back:  prepared ── the target's epoch moved on without it ──► RollbackMerge: version + 1, serves again
//! ```
//!
//! Why a rollback can never meet a commit: the target takes the source only while it has the epoch that the source
//! named. So a target that left this epoch while the source lived on beside it never will. A store knows that of its
//! target if it saw the epoch pass by entries (an image may hide a merge and a later split); then its word alone
//! counts. If no store saw it, the source's leader waits until all members say that their source lives and their
//! target is past. There is no giving up by time: whether the merge is decided, only the target's log can tell.
//!
//! A store that was away finds its way by the target's log, as above; or its source peer learns from the others'
//! records that the region was merged (`fate`), and gives way to the target's image. It never goes as long as the
//! target's log on this store may still need it.

mod fate;
mod fit;

use bytes::{Buf, BufMut, Bytes};
use nokv_proto::metapb::{Peer, Region, RegionEpoch};
use nokv_transport::RegionId;
use prost::Message as _;
use protobuf::Message as _;
use raft::eraftpb::Entry;

pub use fate::Fate;
pub(crate) use fit::{union, why_not};

/// A region is to be taken over by its neighbour.
#[derive(Clone, Debug, PartialEq)]
pub struct MergeRequest {
    /// The region that ends.
    pub source: RegionId,
    /// Its epoch; refused if it has moved.
    pub source_epoch: RegionEpoch,
    /// The neighbour that goes on, with both ranges.
    pub target: RegionId,
    /// Its epoch; refused if it has moved.
    pub target_epoch: RegionEpoch,
}

/// What a source remembers from its `PrepareMerge` until it is merged or rolled back.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The target with the epoch in which alone it may take the source.
    pub target: Region,
    /// First entry that some replica may lack.
    pub min_index: u64,
    /// The entry that prepared it: its last one that changes anything.
    pub commit: u64,
}

impl Prepared {
    /// The numbers as little-endian u64, then the target with its length.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64_le(self.min_index);
        out.put_u64_le(self.commit);
        self.target.encode_length_delimited(out).expect("a Vec grows as needed");
    }

    /// Reads what [`Prepared::encode`] wrote.
    pub fn decode(bytes: &mut Bytes) -> Option<Self> {
        let (min_index, commit) = (bytes.try_get_u64_le().ok()?, bytes.try_get_u64_le().ok()?);
        Some(Self { target: Region::decode_length_delimited(bytes).ok()?, min_index, commit })
    }
}

/// A prepared source, as the target's log carries it.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The source as its preparation left it.
    pub region: Region,
    /// The entry that prepared it.
    pub commit: u64,
    /// Term of the entry before the first of `entries`.
    pub before_term: u64,
    /// Its log from the first entry that some replica may lack, up to `commit`.
    pub entries: Vec<Entry>,
}

impl Source {
    /// Numbers, region, entries: each of the latter two kinds with its length.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64_le(self.commit);
        out.put_u64_le(self.before_term);
        self.region.encode_length_delimited(out).expect("a Vec grows as needed");
        for entry in &self.entries {
            let bytes = entry.write_to_bytes().expect("raft fills every field of the entries it makes");
            out.put_u32_le(u32::try_from(bytes.len()).expect("entries are far below 4 GiB"));
            out.put_slice(&bytes);
        }
    }

    /// Reads what [`Source::encode`] wrote; `None` if it is not of that shape.
    pub fn decode(mut data: &[u8]) -> Option<Self> {
        let (commit, before_term) = (data.try_get_u64_le().ok()?, data.try_get_u64_le().ok()?);
        let region = Region::decode_length_delimited(&mut data).ok()?;
        let mut entries = Vec::new();
        while !data.is_empty() {
            let length = data.try_get_u32_le().ok()? as usize;
            let (entry, rest) = data.split_at_checked(length)?;
            entries.push(Entry::parse_from_bytes(entry).ok()?);
            data = rest;
        }
        Some(Self { region, commit, before_term, entries })
    }
}

/// To the target, on a store whose source peer is prepared: take it, if you lead.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitOrder {
    /// The target.
    pub target: RegionId,
    /// The epoch in which alone it may.
    pub epoch: RegionEpoch,
    /// The source.
    pub source: Source,
}

/// To the peer of a source: the target wants its place on this store.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The source.
    pub source: RegionId,
    /// The target.
    pub target: RegionId,
    /// Why.
    pub cause: Cause,
}

/// Why a source is claimed.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// The target's log has taken it: catch up with this, and go.
    Commit(Source),
    /// An image of the target, of this version, covers the source: go if you are merged.
    Image(u64),
    /// The target, in this version, wants a first replica here: go if you are merged, and so is all else in its way.
    Contact {
        /// The version.
        version: u64,
        /// Whether all else that is in its way is known to be merged into it.
        alone: bool,
    },
}

/// A source that takes part in nothing any more and has applied what was to be applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Sealed {
    /// The source as this store knows it.
    pub region: Region,
    /// This store's peer of it.
    pub me: Peer,
    /// First entry of its log on disk.
    pub log_first: u64,
    /// Last one.
    pub log_last: u64,
}

/// Into what a region was merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Successor {
    /// The target.
    pub region: RegionId,
    /// Its version from then on.
    pub version: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_merge_comes_back_as_it_was() {
        let region = Region { id: 7, start_key: Bytes::from_static(b"a"), ..Region::default() };
        let prepared = Prepared { target: region.clone(), min_index: 3, commit: 9 };
        let mut bytes = Vec::new();
        prepared.encode(&mut bytes);
        assert_eq!(Prepared::decode(&mut Bytes::from(bytes)), Some(prepared));
        let entry = |index| Entry { index, term: 6, data: Bytes::from_static(b"x"), ..Entry::default() };
        let source = Source { region, commit: 9, before_term: 5, entries: vec![entry(8), entry(9)] };
        let mut bytes = Vec::new();
        source.encode(&mut bytes);
        assert_eq!(Source::decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Source::decode(&bytes), Some(source));
    }
}
