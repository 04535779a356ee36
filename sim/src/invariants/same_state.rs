//! Replicas of a region that have applied equally far are of the same range, members and bytes, over all their lives.
//! Broken by effects that are applied twice, not at all, or apart from their applied index.

use std::collections::BTreeMap;

use nokv_engine::Engine as _;
use nokv_proto::metapb::Region;
use nokv_raftstore::records::{Liveness, RegionRecord};
use nokv_raftstore::{RegionDigest, digest};
use nokv_transport::{RegionId, StoreId};
use parking_lot::Mutex;

use crate::world::Node;

/// What was held at which index.
#[derive(Debug, Default)]
pub struct SameState {
    /// By region and applied index.
    seen: Mutex<BTreeMap<(RegionId, u64), Seen>>,
}

/// What a replica was, and on which store.
type Seen = (Region, RegionDigest, StoreId);

impl SameState {
    /// Looks at what `node` holds of `region` now. A replica that takes an image in, or leaves, is not looked at.
    ///
    /// # Errors
    /// Another replica held something else at the same applied index.
    pub fn look(&self, node: &Node, region: RegionId) -> Result<(), String> {
        let view = node.engine.view();
        let Ok(record) = RegionRecord::load(&view, region) else { return Ok(()) };
        if !matches!(record.liveness, Liveness::Normal | Liveness::Merging(_)) {
            return Ok(());
        }
        let Ok(digest) = digest(&view, &record.region) else { return Ok(()) };
        self.holds(region, node.store, &record.region, digest)
    }

    fn holds(&self, id: RegionId, store: StoreId, region: &Region, now: RegionDigest) -> Result<(), String> {
        let mut seen = self.seen.lock();
        let first = seen.entry((id, now.applied_index)).or_insert_with(|| (region.clone(), now, store));
        if first.0 == *region && first.1 == now {
            return Ok(());
        }
        Err(format!(
            "region {id}: store {} was {:?}, {:?}; store {store} is {region:?}, {now:?}",
            first.2, first.0, first.1
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_found() {
        let rule = SameState::default();
        let region = Region { id: 1, ..Region::default() };
        let holds = |store, region: &Region, digest| rule.holds(RegionId(1), StoreId(store), region, digest);
        let digest = RegionDigest { applied_index: 9, records: 3, bytes: 40, digest: 77 };
        assert_eq!(holds(1, &region, digest), Ok(()));
        assert_eq!(holds(2, &region, digest), Ok(()));
        assert_eq!(holds(2, &region, RegionDigest { applied_index: 10, digest: 78, ..digest }), Ok(()));
        assert!(holds(3, &region, RegionDigest { digest: 78, ..digest }).is_err());
        assert!(holds(3, &Region { end_key: "m".into(), ..region.clone() }, digest).is_err());
    }
}
