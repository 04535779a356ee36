//! A removed replica never comes back: once a store's disk says that a peer of a region was removed, no peer of that
//! id, or of a lower one, lives there again. Broken by a tombstone that is lost, and a late message to the dead.

use std::collections::BTreeMap;

use nokv_engine::Engine;
use nokv_raftstore::records::Liveness;
use nokv_raftstore::{RegionExt as _, load_regions};
use nokv_transport::{RegionId, StoreId};
use parking_lot::Mutex;

use super::regions_tile::overlap;

/// Who was buried where.
#[derive(Debug, Default)]
pub struct Tombstones {
    buried: Mutex<BTreeMap<(StoreId, RegionId), u64>>,
}

impl Tombstones {
    /// Reads what `engine`, on which nothing can be lost any more, says of the replicas of `store`. One that was merged
    /// `goes` when its loop has heard of that.
    ///
    /// # Errors
    /// A dead one lives, or two of them own the same key.
    pub fn read(&self, store: StoreId, engine: &impl Engine, goes: impl Fn(RegionId) -> bool) -> Result<(), String> {
        let records = load_regions(engine).map_err(|error| error.to_string())?;
        for (region, record) in &records {
            let Some(peer) = record.region.peer_on(store) else { continue };
            match record.liveness {
                Liveness::Merged(_) if goes(*region) => {}
                Liveness::Tombstone | Liveness::Merged(_) => self.is_buried(store, *region, peer.id),
                _ => self.lives(store, *region, peer.id)?,
            }
        }
        let is_dead = |liveness: &Liveness| matches!(liveness, Liveness::Tombstone | Liveness::Merged(_));
        let owners: Vec<_> = records.values().filter(|record| !is_dead(&record.liveness)).collect();
        for (position, one) in owners.iter().enumerate() {
            if let Some(other) =
                owners.iter().skip(position + 1).find(|other| overlap(one.region.range(), other.region.range()))
            {
                return Err(format!(
                    "store {store} has replicas of {} and {}, which overlap",
                    one.region.id, other.region.id
                ));
            }
        }
        Ok(())
    }

    fn is_buried(&self, store: StoreId, region: RegionId, peer: u64) {
        let mut buried = self.buried.lock();
        let highest = buried.entry((store, region)).or_insert(peer);
        *highest = peer.max(*highest);
    }

    /// The peer lives.
    ///
    /// # Errors
    /// It was dead.
    pub fn lives(&self, store: StoreId, region: RegionId, peer: u64) -> Result<(), String> {
        match self.buried.lock().get(&(store, region)) {
            Some(dead) if peer <= *dead => {
                Err(format!("peer {peer} of region {region} lives on store {store}, where {dead} was removed"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_that_live_are_found() {
        let rule = Tombstones::default();
        rule.is_buried(StoreId(1), RegionId(1), 12);
        rule.is_buried(StoreId(1), RegionId(1), 11);
        assert!(rule.lives(StoreId(1), RegionId(1), 12).is_err());
        assert!(rule.lives(StoreId(1), RegionId(1), 11).is_err());
        assert_eq!(rule.lives(StoreId(1), RegionId(1), 13), Ok(()));
        assert_eq!(rule.lives(StoreId(1), RegionId(2), 11), Ok(()));
        assert_eq!(rule.lives(StoreId(2), RegionId(1), 11), Ok(()));
    }
}
