//! Reads under a lease are never stale. Looked at in two ways, both sharper than waiting for a client to read something
//! old: while a peer leads in a term, no peer of an earlier term may hold a lease; and whoever holds one has applied
//! all that was ever visible, which is what any holder of a lease had applied.

use std::collections::BTreeMap;

use nokv_raftstore::{Clock as _, Role};
use nokv_transport::{RegionId, StoreId};
use parking_lot::Mutex;

use crate::world::{Node, World};

/// How far each region was visible.
#[derive(Debug, Default)]
pub struct LeaseReads {
    visible: Mutex<BTreeMap<RegionId, (u64, StoreId)>>,
}

impl LeaseReads {
    /// `store`, which holds a lease on `region`, has applied up to `applied`.
    ///
    /// # Errors
    /// More was visible before.
    fn serves(&self, region: RegionId, store: StoreId, applied: u64) -> Result<(), String> {
        let mut visible = self.visible.lock();
        let (most, by) = visible.entry(region).or_insert((applied, store));
        if applied < *most {
            return Err(format!(
                "store {store} may read region {region} with entries up to {applied} applied; store {by} showed {most}"
            ));
        }
        (*most, *by) = (applied, store);
        Ok(())
    }

    /// Looks at everybody who may read `region` under a lease now.
    ///
    /// # Errors
    /// See the file's head.
    pub fn check(&self, world: &World, region: RegionId) -> Result<(), String> {
        let mut leads: Option<(u64, StoreId)> = None;
        let mut holders: Vec<(u64, StoreId)> = Vec::new();
        for slot in world.slots() {
            let Some(node) = slot.node() else { continue };
            let Some(gate) = node.gate(region) else { continue };
            let state = gate.state();
            if state.role != Role::Leader {
                continue;
            }
            leads = leads.max(Some((state.term, node.store)));
            if gate.lease_until() > node.clock.now() {
                holders.push((state.term, node.store));
                self.serves(region, node.store, applied(&node, region))?;
            }
        }
        let Some((term, leader)) = leads else { return Ok(()) };
        match holders.iter().find(|(held_in, _)| *held_in < term) {
            None => Ok(()),
            Some((held_in, store)) => Err(format!(
                "store {leader} leads region {region} in term {term}, and store {store} may read in term {held_in}"
            )),
        }
    }
}

fn applied(node: &Node, region: RegionId) -> u64 {
    node.applied.lock().get(&region).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_back_is_found() {
        let rule = LeaseReads::default();
        assert_eq!(rule.serves(RegionId(1), StoreId(1), 7), Ok(()));
        assert_eq!(rule.serves(RegionId(1), StoreId(1), 9), Ok(()));
        assert_eq!(rule.serves(RegionId(2), StoreId(2), 3), Ok(()));
        assert_eq!(rule.serves(RegionId(1), StoreId(2), 9), Ok(()));
        assert!(rule.serves(RegionId(1), StoreId(3), 8).is_err());
    }
}
