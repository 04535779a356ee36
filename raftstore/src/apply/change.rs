//! What entries do to the replicas themselves, besides their data: a log is cut, a region becomes several.
//! Apply writes the records; the raft loop is told and does the rest (peers, gates, logs).

use std::sync::Arc;

use nokv_engine::WriteBatch;
use nokv_proto::metapb::{Peer, Region, RegionEpoch};
use nokv_transport::PeerId;
use protobuf::Message as _;
use raft::eraftpb::{ConfChangeV2, Entry};

use crate::RegionExt;
use crate::entry::decode_members_context;
use crate::merge::{Prepared, Source};
use crate::records::{ApplyRecord, Liveness, RegionRecord};

/// A change of a replica, told to the raft loop once it is in the engine.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The log may be cut up to this entry.
    CutLog {
        /// Last entry that may go.
        index: u64,
        /// Its term.
        term: u64,
    },
    /// The region became these: first itself, then the new ones.
    Split(Vec<Region>),
    /// The region has other members. If this store is none of them, its replica has applied its last entry.
    Members {
        /// For raft.
        change: ConfChangeV2,
        /// The region from now on.
        region: Region,
    },
    /// An image's data is in the engine: the replica is what the image was of.
    Image,
    /// The region is frozen, to be merged.
    Prepared(Prepared, Region),
    /// The region is frozen no more.
    RolledBack(Region),
    /// The next entry merges this region, whose replica here must be sealed first.
    Awaits(Box<Source>),
    /// The region took this one over.
    Merged {
        /// What it took.
        source: Region,
        /// What it is now.
        region: Region,
    },
}

/// Writes the records of a region that becomes several. Returns what is left of itself; `None` if the regions do not
/// tile it, which no leader of ours proposes.
pub(super) fn apply_split(
    region: &Region,
    regions: Vec<Region>,
    batch: &mut WriteBatch,
    changes: &mut Vec<Change>,
) -> Option<Arc<Region>> {
    let (first, new) = regions.split_first()?;
    if first.id != region.id || !tiles(region, &regions) {
        return None;
    }
    put_region(batch, first);
    for region in new {
        put_region(batch, region);
        ApplyRecord::initial().put(region.region_id(), batch);
    }
    let first = Arc::new(first.clone());
    changes.push(Change::Split(regions));
    Some(first)
}

/// Whether `parts`, from left to right, cover exactly the range of `whole`.
fn tiles(whole: &Region, parts: &[Region]) -> bool {
    let starts = parts.first().is_some_and(|first| first.start_key == whole.start_key);
    let ends = parts.last().is_some_and(|last| last.end_key == whole.end_key);
    let meet = |(left, right): (&Region, &Region)| left.end_key == right.start_key && left.start_key < left.end_key;
    starts && ends && parts.iter().zip(parts.iter().skip(1)).all(meet)
}

fn put_region(batch: &mut WriteBatch, region: &Region) {
    RegionRecord { liveness: Liveness::Normal, region: region.clone() }.put(batch);
}

/// A membership entry: its change and what becomes of the region; `None` if it is not one of ours.
pub(super) fn decode_members(entry: &Entry) -> Option<(RegionEpoch, ConfChangeV2, Region)> {
    let change = ConfChangeV2::parse_from_carllerche_bytes(&entry.data).ok()?;
    let (epoch, region) = decode_members_context(&entry.context)?;
    Some((epoch, change, region))
}

/// Writes the record of a region with other members. Returns whether this store's peer is still one.
pub(super) fn put_members(before: &Region, region: &Region, me: PeerId, batch: &mut WriteBatch) -> bool {
    if region.peer(me).is_some() {
        put_region(batch, region);
        return true;
    }
    leaving(region, before.peer(me).copied()).put(batch);
    false
}

/// The record of a replica that goes: the region with this store's peer among its members.
pub(crate) fn leaving(region: &Region, me: Option<Peer>) -> RegionRecord {
    let mut region = region.clone();
    if let Some(me) = me {
        region.peers.retain(|peer| peer.store_id != me.store_id);
        region.peers.push(me);
    }
    RegionRecord { liveness: Liveness::Leaving, region }
}
