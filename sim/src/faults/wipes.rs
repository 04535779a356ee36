//! A machine is lost for good, with its disk; another takes its place as a new store. Only one that every region can
//! spare: then nothing acknowledged may be lost with it, and the regions must get along without.

use std::sync::Arc;
use std::time::Duration;

use nokv_engine::{Engine as _, RaftLog as _};
use nokv_proto::metapb::{PeerRole, Region};
use nokv_raftstore::RegionExt as _;
use nokv_raftstore::records::{ApplyRecord, decode_hard_state};
use nokv_transport::StoreId;

use super::{about, begins};
use crate::random::Random;
use crate::world::{Slot, Standing, World};

/// How often it is looked whether a store can be spared.
const LOOKS: usize = 400;

/// Loses machines as long as there are spare ones.
pub(super) async fn strike(world: Arc<World>, mut random: Random) {
    let pace_ms = random.between(2_000, 8_000);
    loop {
        about(pace_ms, &mut random).await;
        if !world.all_slots().iter().any(|slot| slot.standing() == Standing::Spare) {
            return;
        }
        let Some(store) = random.pick(&world.slots()).map(|slot| slot.store) else { continue };
        // Nobody changes members until it is gone: a change under way could come to need it.
        let alone = world.members_change.lock().await;
        for _ in 0..LOOKS {
            if can_spare(&world, store) {
                begins(&world, format_args!("store {store} is lost"));
                world.lose(store);
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(alone);
        if world.options.placement.is_some() {
            // Placement gives the store up, and its regions get other peers by that.
            continue;
        }
        about(1_000, &mut random).await;
        world.remove_lost_peers().await;
    }
}

/// Whether all regions go on without `store`: none has lost a member before, none is short of voters or about to change
/// its members, by the word of a leader that has applied its whole log.
fn can_spare(world: &World, store: StoreId) -> bool {
    world.atlas.current().iter().all(|region| {
        let voters = region.peers.iter().filter(|peer| peer.role() == PeerRole::Voter).count();
        let is_plain = region.peers.iter().all(|peer| matches!(peer.role(), PeerRole::Voter | PeerRole::Learner));
        world.lost_peers(region).is_empty()
            && (region.peer_on(store).is_none()
                || (is_plain && voters >= 3 && is_settled(world, region) && all_know_members(world, region, store)))
    })
}

/// Whether the disks of all voters but that of `store` know that the last change of members is committed. While they do
/// not, they count by the membership before it, and may need one that went with it beside the one that is lost now.
fn all_know_members(world: &World, region: &Region, store: StoreId) -> bool {
    let (id, since) = (region.region_id(), world.atlas.members_since(region.region_id()));
    let knows = |slot: &Slot| {
        let state = slot.durable_log().state(id.0).ok().flatten().and_then(|bytes| decode_hard_state(&bytes));
        let committed = state.is_some_and(|state| state.commit >= since);
        let by_image = ApplyRecord::load(&slot.durable_data().view(), id).is_ok_and(|it| it.truncated_index >= since);
        committed || by_image
    };
    let others = region.peers.iter().filter(|peer| peer.role() == PeerRole::Voter && peer.store_id != store.0);
    others.map(|peer| world.slot(StoreId(peer.store_id))).all(|slot| slot.is_some_and(knows))
}

fn is_settled(world: &World, region: &Region) -> bool {
    let Some((node, state)) = world.leader_of(region.region_id()) else { return false };
    let status = node.gate(region.region_id()).map(|gate| gate.status(nokv_raftstore::Clock::now(node.clock.as_ref())));
    // A lease shows that it leads now and has applied an entry of its own term.
    *state.region == *region
        && status.is_some_and(|status| status.lease_ms > 0 && status.applied_index == status.last_index)
}
