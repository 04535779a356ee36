//! Replicas of a region that have applied equally far hold the same bytes, over all their lives.
//! Broken by effects that are applied twice, not at all, or apart from their applied index.

use std::collections::BTreeMap;

use nokv_engine::Engine as _;
use nokv_proto::metapb::Region;
use nokv_raftstore::{RegionDigest, digest};
use nokv_transport::StoreId;
use parking_lot::Mutex;

use crate::world::Node;

/// What was held at which index.
#[derive(Debug, Default)]
pub struct SameState {
    /// By region and applied index.
    seen: Mutex<BTreeMap<(u64, u64), (RegionDigest, StoreId)>>,
}

impl SameState {
    /// Looks at what `node` holds of `region` now.
    ///
    /// # Errors
    /// Another replica held something else at the same applied index.
    pub fn look(&self, node: &Node, region: &Region) -> Result<(), String> {
        let Ok(digest) = digest(&node.engine.view(), region) else { return Ok(()) };
        self.holds(region.id, node.store, digest)
    }

    fn holds(&self, region: u64, store: StoreId, now: RegionDigest) -> Result<(), String> {
        let (first, by) = *self.seen.lock().entry((region, now.applied_index)).or_insert((now, store));
        if first == now {
            return Ok(());
        }
        Err(format!("region {region}: store {by} held {first:?}, store {store} holds {now:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_found() {
        let rule = SameState::default();
        let digest = RegionDigest { applied_index: 9, records: 3, bytes: 40, digest: 77 };
        assert_eq!(rule.holds(1, StoreId(1), digest), Ok(()));
        assert_eq!(rule.holds(1, StoreId(2), digest), Ok(()));
        assert_eq!(rule.holds(1, StoreId(2), RegionDigest { applied_index: 10, digest: 78, ..digest }), Ok(()));
        assert!(rule.holds(1, StoreId(3), RegionDigest { digest: 78, ..digest }).is_err());
    }
}
