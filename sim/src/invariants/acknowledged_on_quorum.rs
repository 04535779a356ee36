//! What is committed is on a quorum's disks: a power failure everywhere at this very moment would not lose it. Looked
//! at before anything committed is applied, hence before anybody is told.

use nokv_engine::{Engine as _, RaftLog as _, SharedRaftLog};
use nokv_raftstore::records::ApplyRecord;
use nokv_transport::RegionId;

use crate::world::{DurablePart, Node, Slot, World};

/// Looks for the entry at `index`, which `node` knows to be committed, on all disks.
///
/// # Errors
/// Who has it, if these are too few.
pub fn check(world: &World, node: &Node, region: RegionId, index: u64) -> Result<(), String> {
    let Ok(here) = node.log.entries(region.0, index, index + 1, u64::MAX) else { return Ok(()) };
    let Some(entry) = here.first() else { return Ok(()) };
    let holds = |slot: &&Slot| holds(slot, region, index, &entry.encoded);
    let holders: Vec<u64> = world.slots().iter().filter(holds).map(|slot| slot.store.0).collect();
    if holders.len() * 2 > world.slots().len() {
        return Ok(());
    }
    Err(format!(
        "store {} applies entry {index} of region {region}, which is on the disks of {holders:?} only",
        node.store
    ))
}

fn holds(slot: &Slot, region: RegionId, index: u64, encoded: &[u8]) -> bool {
    let durable = DurablePart(slot.engine());
    if let Ok(record) = ApplyRecord::load(&durable.view(), region)
        && record.truncated_index >= index
    {
        return true;
    }
    let entries = SharedRaftLog::new(durable).entries(region.0, index, index + 1, u64::MAX).unwrap_or_default();
    entries.first().is_some_and(|entry| entry.encoded == encoded)
}
