//! What clients ask of the map: the region of a key, of an id, the one before, and those of a range.
//! A key that lies in a gap of the map has no region: the caller asks again a moment later.

use std::ops::Bound;

use bytes::Bytes;
use nokv_raftstore::{RegionExt as _, RegionId};

use super::{RegionInfo, RegionMap};

/// A range to scan, and how much of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanBounds {
    /// The region that holds this key comes first.
    pub start: Bytes,
    /// Regions from this key on are left out; empty = to the end.
    pub end: Bytes,
    /// At most this many; 0 = all.
    pub limit: usize,
}

impl RegionMap {
    /// The region with this id.
    pub fn get(&self, id: RegionId) -> Option<&RegionInfo> {
        self.by_id.get(&id)
    }

    /// The region that holds `key`.
    pub fn holding(&self, key: &[u8]) -> Option<&RegionInfo> {
        let (_, id) = self.by_start.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back()?;
        self.get(*id).filter(|info| info.region.range().contains(key))
    }

    /// The region that ends where the one that holds `key` begins.
    pub fn before(&self, key: &[u8]) -> Option<&RegionInfo> {
        self.left_of(self.holding(key)?)
    }

    /// The region that ends where `info` begins.
    pub fn left_of(&self, info: &RegionInfo) -> Option<&RegionInfo> {
        let start = &info.region.start_key;
        let (_, id) = self.by_start.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(&start[..]))).next_back()?;
        self.get(*id).filter(|left| left.region.end_key == *start)
    }

    /// The region that begins where `info` ends.
    pub fn right_of(&self, info: &RegionInfo) -> Option<&RegionInfo> {
        if info.region.end_key.is_empty() {
            return None;
        }
        self.get(*self.by_start.get(&info.region.end_key)?)
    }

    /// The regions that share a key with the range, from left to right. There may be gaps between them.
    pub fn scan(&self, bounds: &ScanBounds) -> Vec<&RegionInfo> {
        let limit = if bounds.limit == 0 { usize::MAX } else { bounds.limit };
        let first = self.holding(&bounds.start).map_or(&bounds.start, |info| &info.region.start_key);
        let in_range = |info: &&RegionInfo| bounds.end.is_empty() || info.region.start_key < bounds.end;
        let rest = self.by_start.range::<[u8], _>((Bound::Included(&first[..]), Bound::Unbounded));
        rest.filter_map(|(_, id)| self.get(*id)).take_while(in_range).take(limit).collect()
    }
}
