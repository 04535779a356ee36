//! What is committed is on a quorum's disks: a power failure everywhere at this very moment would not lose it. Looked
//! at before anything committed is applied, hence before anybody is told. A store that was lost counts with what its
//! disk held: nobody may be lost so that an entry falls short of a quorum. So does a replica that was removed behind
//! the entry, or by the last change before it: it may go as soon as its removal is committed, and what came right
//! behind that was committed by those who were members until then. Who elects a leader afterwards met them. A region
//! that was merged has its entries in the target's log or on every member, which was looked at when the target's entry
//! was applied.

use std::collections::BTreeSet;

use nokv_engine::{Engine as _, RaftLog as _};
use nokv_raftstore::RegionExt as _;
use nokv_raftstore::records::{ApplyRecord, Liveness, RegionRecord};
use nokv_transport::{PeerId, RegionId, StoreId};

use crate::world::{Node, Slot, World, is_quorum};

/// Looks for the entry at `index`, which `node` knows to be committed, on all disks.
///
/// # Errors
/// Who has it, if these are too few.
pub fn check(world: &World, node: &Node, region: RegionId, index: u64) -> Result<(), String> {
    let Ok(here) = node.log.entries(region.0, index, index + 1, u64::MAX) else { return Ok(()) };
    let Some(entry) = here.first() else { return Ok(()) };
    if world.atlas.merged_into(region).is_some() {
        return Ok(());
    }
    let change = world.atlas.last_change(region, index);
    let held = |slot: &&Slot| holds(slot, region, index, &entry.encoded) || gone_since(world, slot, region, change);
    let holders = world.all_slots().iter().filter(held);
    let holders: BTreeSet<StoreId> = holders.map(|slot| slot.store).collect();
    if world.atlas.memberships(region, index).iter().any(|membership| is_quorum(membership, &holders)) {
        return Ok(());
    }
    Err(format!(
        "store {} applies entry {index} of region {region}, which is on the disks of {holders:?} only",
        node.store
    ))
}

/// Whether the store's replica was removed by this entry or a later one, and is gone.
fn gone_since(world: &World, slot: &Slot, region: RegionId, index: u64) -> bool {
    let Ok(record) = RegionRecord::load(&slot.durable_data().view(), region) else { return false };
    let is_gone = matches!(record.liveness, Liveness::Leaving | Liveness::Tombstone);
    let removed_at = record.region.peer_on(slot.store).and_then(|peer| world.atlas.removed_at(PeerId(peer.id)));
    is_gone && removed_at.is_some_and(|at| at >= index)
}

fn holds(slot: &Slot, region: RegionId, index: u64, encoded: &[u8]) -> bool {
    let view = slot.durable_data().view();
    if let Ok(RegionRecord { liveness: Liveness::Applying(arrival), .. }) = RegionRecord::load(&view, region)
        && arrival.apply.truncated_index >= index
    {
        return true;
    }
    if let Ok(record) = ApplyRecord::load(&view, region)
        && record.truncated_index >= index
    {
        return true;
    }
    let entries = slot.durable_log().entries(region.0, index, index + 1, u64::MAX).unwrap_or_default();
    entries.first().is_some_and(|entry| entry.encoded == encoded)
}
