//! While a peer leads in a term, no peer of an earlier term may serve reads under its lease: from then on others may be
//! told of writes that it does not know. (Whether reads are stale in fact is for the workloads' checkers to say; this
//! finds the moment at which they could be.)

use nokv_raftstore::{Clock as _, Role};
use nokv_transport::RegionId;

use crate::world::World;

/// Looks for leases from before `term` on `region`, which somebody leads in it.
///
/// # Errors
/// Who holds one.
pub fn check(world: &World, region: RegionId, term: u64) -> Result<(), String> {
    for slot in world.slots() {
        let Some(node) = slot.node() else { continue };
        let Some((_, gate)) = node.gates.iter().find(|(id, _)| *id == region) else { continue };
        let state = gate.state();
        let left = gate.lease_until().since(node.clock.now());
        if state.role == Role::Leader && state.term < term && !left.is_zero() {
            return Err(format!(
                "region {region} is led in term {term}, and store {} may read in term {} for {left:?} more",
                node.store, state.term
            ));
        }
    }
    Ok(())
}
