//! The map: which region holds a key, who its members are, who leads it, how big and how busy it is.
//!
//! ```text
//!   reports of leaders ──▶ report.rs ──▶ RegionMap ──▶ lookup.rs: by key, by id, the one before, a scan
//!                          newest epoch wins │
//!                                            └──▶ on_store.rs: what each store holds and leads, kept up to date
//! ```
//!
//! * `info.rs`: what is known of one region. `flow.rs`: what its requests cost.
//!   `report.rs`: a leader's report is taken in, or is refused as old.
//! * `lookup.rs`: what clients ask. `on_store.rs`: the sums by store that scheduling weighs.
//!
//! Invariants: no two regions of the map overlap; the sums by store are those of the regions in the map.
//! The map may have gaps: what nobody has reported yet is not known, and is never made up.

mod flow;
mod info;
mod lookup;
mod on_store;
mod report;

use std::collections::BTreeMap;

use bytes::Bytes;
use nokv_raftstore::{RegionId, StoreId};

pub use flow::Flow;
pub use info::{DownPeer, RegionInfo};
pub use lookup::ScanBounds;
pub use on_store::{REGION_BYTES_MIN, StoreRegions, load_bytes};
pub use report::{Report, StaleReport, TakenIn};

/// All regions that are known.
#[derive(Clone, Debug, Default)]
pub struct RegionMap {
    by_id: BTreeMap<RegionId, RegionInfo>,
    by_start: BTreeMap<Bytes, RegionId>,
    by_store: BTreeMap<StoreId, StoreRegions>,
}

impl RegionMap {
    /// How many regions are known.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Every region, by id.
    pub fn iter(&self) -> impl Iterator<Item = &RegionInfo> {
        self.by_id.values()
    }

    /// The regions with an id above `after`, by id.
    pub fn iter_after(&self, after: RegionId) -> impl Iterator<Item = &RegionInfo> {
        let from = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        self.by_id.range(from).map(|(_, info)| info)
    }

    /// What `store` holds and leads.
    pub fn on_store(&self, store: StoreId) -> &StoreRegions {
        static NONE: StoreRegions = StoreRegions::EMPTY;
        self.by_store.get(&store).unwrap_or(&NONE)
    }

    /// Forgets a region. Whether it was known.
    pub fn remove(&mut self, id: RegionId) -> bool {
        let Some(info) = self.by_id.remove(&id) else { return false };
        self.by_start.remove(&info.region.start_key);
        self.count(&info, false);
        true
    }

    fn insert(&mut self, id: RegionId, info: RegionInfo) {
        self.count(&info, true);
        self.by_start.insert(info.region.start_key.clone(), id);
        self.by_id.insert(id, info);
    }

    /// Adds a region to the sums of its stores, or takes it out of them.
    fn count(&mut self, info: &RegionInfo, in_it: bool) {
        for peer in &info.region.peers {
            let store = StoreId(peer.store_id);
            let sums = self.by_store.entry(store).or_default();
            sums.count(info, peer, in_it);
            if sums.is_empty() {
                self.by_store.remove(&store);
            }
        }
    }
}

#[cfg(test)]
#[path = "map_tests.rs"]
mod tests;
