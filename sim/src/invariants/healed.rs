//! After all faults are over and everything had its time, nothing is left undone: every region has one leader and the
//! replicas that its log says, all level; nobody else has one; no log has outgrown its bound; no lock is left.

use std::collections::BTreeMap;
use std::sync::Arc;

use nokv_proto::metapb::{PeerRole, Region};
use nokv_raftstore::{RegionExt as _, RegionStatus};
use nokv_transport::{RegionId, StoreId};

use super::no_lock_left;
use crate::world::{Node, Slot, World};

/// Entries that a log may hold beyond what settings allow: those that were added since the last tick.
const ENTRIES_OF_A_TICK: u64 = 200;

/// What a node shows of its regions.
type Shown = BTreeMap<RegionId, RegionStatus>;

/// Looks at everything.
///
/// # Errors
/// What is not as it should be yet.
pub fn check(world: &World) -> Result<(), String> {
    let nodes: BTreeMap<StoreId, (Arc<Node>, Shown)> = world
        .slots()
        .into_iter()
        .filter_map(Slot::node)
        .map(|node| {
            let shown = node.handle.regions().into_iter().map(|status| (status.state.region.region_id(), status));
            (node.store, (node.clone(), shown.collect()))
        })
        .collect();
    if nodes.len() != world.slots().len() {
        return Err("a store is down".to_owned());
    }
    if let Some(region) = world.atlas.frozen().first() {
        return Err(format!("region {region} waits for being merged or not"));
    }
    let regions = world.atlas.current();
    regions.iter().try_for_each(|region| check_region(world, &nodes, region))?;
    for (node, shown) in nodes.values() {
        for status in shown.values() {
            let is_member = world.atlas.region(status.state.region.region_id());
            let is_member = is_member.is_some_and(|region| region.peer_on(node.store) == Some(&status.state.peer));
            if !is_member {
                let (region, peer) = (status.state.region.id, status.state.peer.id);
                return Err(format!("store {} has peer {peer} of region {region}, a member no more", node.store));
            }
        }
        let imports = nokv_engine::Engine::imports(&node.engine).unwrap_or_default();
        if !imports.is_empty() {
            return Err(format!("store {} keeps imports that nobody needs: {imports:?}", node.store));
        }
    }
    no_lock_left::check(&world.nodes())
}

fn check_region(world: &World, nodes: &BTreeMap<StoreId, (Arc<Node>, Shown)>, region: &Region) -> Result<(), String> {
    let (mut applied, mut leaders) = (Vec::new(), 0);
    for peer in &region.peers {
        if matches!(peer.role(), PeerRole::IncomingVoter | PeerRole::DemotingVoter) {
            return Err(format!("region {} is between two memberships", region.id));
        }
        let Some((node, shown)) = nodes.get(&StoreId(peer.store_id)) else {
            return Err(format!("region {} has a peer on store {}, which is gone", region.id, peer.store_id));
        };
        let Some(status) = shown.get(&region.region_id()) else {
            return Err(format!("store {} does not have region {}", node.store, region.id));
        };
        if *status.state.region != *region {
            return Err(format!("store {} shows {:?} for {region:?}", node.store, status.state.region));
        }
        leaders += usize::from(status.state.check_leads().is_ok());
        applied.push((node.store, status.applied_index, status.last_index));
        check_log(world, node, region.id)?;
    }
    if leaders != 1 {
        return Err(format!("region {} has {leaders} leaders", region.id));
    }
    let last = applied.iter().map(|(_, _, last)| *last).max().unwrap_or(0);
    if applied.iter().any(|(_, applied, _)| *applied != last) {
        return Err(format!("region {}: (store, applied, last) {applied:?}", region.id));
    }
    Ok(())
}

fn check_log(world: &World, node: &Node, region: u64) -> Result<(), String> {
    let config = &world.options.config;
    let entries_max = config.log_entries_max.min(config.log_entries_slack) + ENTRIES_OF_A_TICK;
    match node.log.bounds(region) {
        Ok(Some((first, last))) if last - first > entries_max => {
            Err(format!("store {} keeps entries {first} to {last} of region {region}", node.store))
        }
        _ => Ok(()),
    }
}
