//! What is committed is on a quorum's disks: a power failure everywhere at this very moment would not lose it. Looked
//! at before anything committed is applied, hence before anybody is told. A store that was lost counts with what its
//! disk held: nobody may be lost so that an entry falls short of a quorum. So does a replica that was removed behind
//! the entry, or that had it when it came to apply its removal: it may go as soon as that is committed, and a leader
//! that has not applied the removal yet counts it. A region that was merged has its entries in the target's log or on
//! every member, which was looked at when the target's entry was applied.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use nokv_engine::{Engine as _, RaftLog as _};
use nokv_raftstore::RegionExt as _;
use nokv_raftstore::records::{ApplyRecord, Liveness, RegionRecord};
use nokv_transport::{PeerId, RegionId, StoreId};

use parking_lot::Mutex;
use raft::eraftpb::{Entry, EntryType};

use crate::world::{Node, Slot, World, is_quorum};

/// What the disks of replicas held of their logs when they came to apply a change of members, by which they may go.
#[derive(Debug, Default)]
pub struct LastLogs {
    kept: Mutex<BTreeMap<(RegionId, StoreId), BTreeMap<u64, Bytes>>>,
}

impl LastLogs {
    /// The replica on `slot` is about to apply `entries`.
    pub fn note(&self, slot: &Slot, region: RegionId, entries: &[Entry]) {
        let change = entries.iter().find(|entry| entry.get_entry_type() != EntryType::EntryNormal);
        let Some(first) = change.map(|entry| entry.index) else { return };
        let log = slot.durable_log();
        let Ok(Some((_, last))) = log.bounds(region.0) else { return };
        let behind = log.entries(region.0, first, last + 1, u64::MAX).unwrap_or_default();
        let behind = behind.into_iter().map(|entry| (entry.index, entry.encoded)).collect();
        self.kept.lock().insert((region, slot.store), behind);
    }

    fn held(&self, region: RegionId, store: StoreId, index: u64, encoded: &Bytes) -> bool {
        self.kept.lock().get(&(region, store)).is_some_and(|log| log.get(&index) == Some(encoded))
    }
}

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
    let held = |slot: &&Slot| {
        holds(slot, region, index, &entry.encoded) || gone_with(world, slot, region, index, &entry.encoded)
    };
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

/// Whether the store's replica was removed by this entry or a later one, or had it when it was removed, and is gone.
fn gone_with(world: &World, slot: &Slot, region: RegionId, index: u64, encoded: &Bytes) -> bool {
    let Ok(record) = RegionRecord::load(&slot.durable_data().view(), region) else { return false };
    let is_gone = matches!(record.liveness, Liveness::Leaving | Liveness::Tombstone);
    let removed_at = record.region.peer_on(slot.store).and_then(|peer| world.atlas.removed_at(PeerId(peer.id)));
    let had_it = || world.invariants.last_logs.held(region, slot.store, index, encoded);
    is_gone && removed_at.is_some_and(|at| at >= index || had_it())
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
