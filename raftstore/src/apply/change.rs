//! What entries do to the replicas themselves, besides their data: a log is cut, a region becomes several.
//! Apply writes the records; the raft loop is told and does the rest (peers, gates, logs).

use std::sync::Arc;

use nokv_engine::{Cf, WriteBatch, raft_keys};
use nokv_proto::metapb::Region;

use crate::RegionExt;
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
        batch.put(Cf::Raft, &raft_keys::apply_state_key(region.id), &ApplyRecord::initial().encode());
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
    let record = RegionRecord { liveness: Liveness::Normal, region: region.clone() };
    batch.put(Cf::Raft, &raft_keys::region_state_key(region.region_id().0), &record.encode());
}
