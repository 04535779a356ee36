//! A replica's epoch only grows while its node is up; and one epoch of a region means one range and one membership,
//! whoever shows it.

use std::collections::BTreeMap;

use nokv_proto::metapb::{Region, RegionEpoch};
use nokv_raftstore::RegionExt as _;
use nokv_transport::{RegionId, StoreId};
use parking_lot::Mutex;

/// A node in one of its lives, and one of its replicas.
type Replica = (StoreId, u64, RegionId, u64);

/// A region, and the two parts of its epoch.
type Version = (RegionId, u64, u64);

/// What was shown.
#[derive(Debug, Default)]
pub struct Epochs {
    shown: Mutex<BTreeMap<Replica, RegionEpoch>>,
    meaning: Mutex<BTreeMap<Version, (Region, StoreId)>>,
}

impl Epochs {
    /// The replica `peer` on `store`, in its node's life `life`, shows `region`.
    ///
    /// # Errors
    /// It showed a later epoch before, or somebody showed another region under this one.
    pub fn shows(&self, store: StoreId, life: u64, peer: u64, region: &Region) -> Result<(), String> {
        let (id, now) = (region.region_id(), region.epoch());
        if now.version == 0 {
            // A replica that waits for its first image.
            return Ok(());
        }
        match self.shown.lock().insert((store, life, id, peer), now) {
            Some(before) if before == now => return Ok(()),
            Some(before) if before.version > now.version || before.conf_ver > now.conf_ver => {
                return Err(format!("region {id} on store {store} went from {before:?} to {now:?}"));
            }
            _ => {}
        }
        let mut meaning = self.meaning.lock();
        let key = (id, now.version, now.conf_ver);
        let (first, by) = meaning.entry(key).or_insert_with(|| (region.clone(), store)).clone();
        if first == *region {
            return Ok(());
        }
        Err(format!("store {by} shows {first:?}, and store {store} {region:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(version: u64, conf_ver: u64, end: &'static str) -> Region {
        let region_epoch = Some(RegionEpoch { conf_ver, version });
        Region { id: 1, region_epoch, end_key: end.as_bytes().into(), ..Region::default() }
    }

    #[test]
    fn steps_back_and_two_meanings_are_found() {
        let rule = Epochs::default();
        let shows = |store, life, region: &Region| rule.shows(StoreId(store), life, 11, region).is_ok();
        assert!(shows(1, 1, &region(2, 1, "m")));
        assert!(shows(1, 1, &region(2, 2, "m")));
        assert!(!shows(1, 1, &region(2, 1, "m")));
        assert!(shows(1, 2, &region(2, 1, "m")), "what was not synced is applied again");
        assert!(!shows(2, 1, &region(2, 2, "n")));
    }
}
