//! Neighbours become one, under everything else that goes on; the orders of a few are made for an epoch of before, and
//! the target of a few is changed at the same moment. Where two neighbours have other members, one of them is moved.

use std::sync::Arc;
use std::time::Duration;

use nokv_proto::metapb::{PeerRole, Region};
use nokv_raftstore::{MemberChange, MembersRequest, MergeRequest, NewRegion, RegionExt as _, SplitRequest};
use nokv_transport::{PeerId, RegionId, StoreId};

use super::splits::keys_within;
use super::{about, begins};
use crate::random::Random;
use crate::world::{World, have_same_members};

/// Orders merges, for ever; one region stays.
pub(super) async fn order(world: Arc<World>, moves: bool, mut random: Random) {
    let pace_ms = random.between(300, 5_000);
    loop {
        about(pace_ms, &mut random).await;
        let mut regions = world.atlas.current();
        regions.sort_by_key(|region| region.start_key.clone());
        let mut pairs: Vec<(&Region, &Region)> = regions.iter().zip(regions.iter().skip(1)).collect();
        if random.chance(800) && pairs.iter().any(|(one, other)| have_same_members(one, other)) {
            pairs.retain(|(one, other)| have_same_members(one, other));
        }
        let Some((left, right)) = random.pick(&pairs).copied() else { continue };
        let (source, target) = if random.chance(500) { (left, right) } else { (right, left) };
        if !have_same_members(source, target) && moves {
            follow(&world, source, target, &mut random).await;
            continue;
        }
        merge(&world, source, target, &mut random);
    }
}

/// Has `source` be merged into `target`, and perhaps something done to that one meanwhile.
fn merge(world: &Arc<World>, source: &Region, target: &Region, random: &mut Random) {
    let Some((node, state)) = world.leader_of(source.region_id()) else { return };
    let mut target_epoch = target.epoch();
    if random.chance(50) {
        target_epoch.version = target_epoch.version.saturating_sub(1);
    }
    let source_epoch = state.region.epoch();
    let request = MergeRequest { source: source.region_id(), source_epoch, target: target.region_id(), target_epoch };
    begins(world, format_args!("store {}: {request:?}", node.store));
    let here = world.clone();
    tokio::spawn(async move { here.order_merge(&node, request).await });
    match random.below(1_000) {
        0..150 => {
            let (world, target, wait) = (world.clone(), target.clone(), random.micros(0, 60_000));
            let mut random = random.fork();
            tokio::spawn(async move { split(&world, &target, wait, &mut random).await });
        }
        150..300 => {
            let Some(other) = random.pick(&world.slots()).map(|slot| slot.store) else { return };
            let (world, target, wait) = (world.clone(), target.region_id(), random.micros(0, 60_000));
            tokio::spawn(async move { hand_over(&world, target, other, wait).await });
        }
        _ => {}
    }
}

/// Splits the target: whichever comes first in its log, the other must count for nothing.
async fn split(world: &Arc<World>, target: &Region, wait: Duration, random: &mut Random) {
    tokio::time::sleep(wait).await;
    let Some((node, state)) = world.leader_of(target.region_id()) else { return };
    let Some(start_key) = keys_within(&state.region, random).into_iter().next() else { return };
    let new = NewRegion {
        id: RegionId(world.next_id()),
        start_key: start_key.into(),
        peer_ids: state.region.peers.iter().map(|_| PeerId(world.next_id())).collect(),
    };
    let request = SplitRequest { region_id: state.region.region_id(), epoch: state.region.epoch(), new: vec![new] };
    begins(world, format_args!("store {} is to split region {}, a target", node.store, request.region_id));
    world.order_split(&node, request).await;
}

/// The target's leader changes: the next one has to take the source over.
async fn hand_over(world: &Arc<World>, target: RegionId, to: StoreId, wait: Duration) {
    tokio::time::sleep(wait).await;
    let Some((node, _)) = world.leader_of(target) else { return };
    begins(world, format_args!("store {} is to give region {target}, a target, to {to}", node.store));
    let handle = node.handle.clone();
    node.spawn(world, async move {
        // Refusals are fine, as with any order to hand over.
        let _ = handle.transfer_leader(target, Some(to)).await;
    });
}

/// Orders one step by which `source` comes to have the members of `target`.
async fn follow(world: &Arc<World>, source: &Region, target: &Region, random: &mut Random) {
    let _alone = world.members_change.lock().await;
    let Some((node, state)) = world.leader_of(source.region_id()) else { return };
    if !world.lost_peers(&state.region).is_empty() || !world.lost_peers(source).is_empty() {
        world.remove_lost_peers().await;
        return;
    }
    let Some(change) = step(world, &state.region, target, random) else { return };
    let (region_id, epoch) = (state.region.region_id(), state.region.epoch());
    let request = MembersRequest { region_id, epoch, changes: vec![change], forced: false };
    begins(world, format_args!("store {}: {request:?}, to be like region {}", node.store, target.id));
    world.order_members(&node, request).await;
}

fn step(world: &World, source: &Region, target: &Region, random: &mut Random) -> Option<MemberChange> {
    let missing: Vec<StoreId> = target
        .peers
        .iter()
        .map(|peer| StoreId(peer.store_id))
        .filter(|store| source.peer_on(*store).is_none())
        .collect();
    let learner = source.peers.iter().find(|peer| {
        let wanted = target.peer_on(StoreId(peer.store_id)).is_some_and(|wanted| wanted.role() == PeerRole::Voter);
        wanted && peer.role() == PeerRole::Learner
    });
    if let Some(learner) = learner {
        let (store, peer) = (StoreId(learner.store_id), PeerId(learner.id));
        return Some(MemberChange::AddVoter { store, peer });
    }
    if let Some(store) = random
        .pick(&missing)
        .copied()
        .filter(|store| world.lost_peers(target).is_empty() && world.slot(*store).is_some())
    {
        return Some(MemberChange::AddLearner { store, peer: PeerId(world.next_id()) });
    }
    let surplus = source.peers.iter().find(|peer| target.peer_on(StoreId(peer.store_id)).is_none());
    surplus.map(|peer| MemberChange::Remove(PeerId(peer.id)))
}
