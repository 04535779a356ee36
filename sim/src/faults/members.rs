//! Members come and go: learners are added and promoted, voters removed and demoted, one replaced by another in one
//! step, with force at times. Nobody changes a region with a peer on a lost machine but to remove that peer.

use std::sync::Arc;

use nokv_proto::metapb::{Peer, PeerRole, Region};
use nokv_raftstore::{MemberChange, MembersRequest, RegionExt as _};
use nokv_transport::{PeerId, StoreId};

use super::{about, begins};
use crate::random::Random;
use crate::world::World;

/// Orders changes, for ever.
pub(super) async fn change(world: Arc<World>, mut random: Random) {
    let pace_ms = random.between(150, 4_000);
    loop {
        about(pace_ms, &mut random).await;
        let _alone = world.members_change.lock().await;
        let regions = world.atlas.current();
        let Some((node, state)) = random.pick(&regions).and_then(|region| world.leader_of(region.region_id())) else {
            continue;
        };
        let known = world.atlas.region(state.region.region_id()).unwrap_or_default();
        if !world.lost_peers(&state.region).is_empty() || !world.lost_peers(&known).is_empty() {
            world.remove_lost_peers().await;
            continue;
        }
        let stores: Vec<StoreId> = world.slots().iter().map(|slot| slot.store).collect();
        let Some((changes, forced)) = draw(&world, &state.region, &stores, &mut random) else { continue };
        let mut epoch = state.region.epoch();
        if random.chance(30) {
            epoch.conf_ver = epoch.conf_ver.saturating_sub(1);
        }
        let request = MembersRequest { region_id: state.region.region_id(), epoch, changes, forced };
        begins(&world, format_args!("store {}: {request:?}", node.store));
        world.order_members(&node, request).await;
    }
}

/// A change that fits the region, and whether to force it.
fn draw(world: &World, region: &Region, stores: &[StoreId], random: &mut Random) -> Option<(Vec<MemberChange>, bool)> {
    let with =
        |role: PeerRole| -> Vec<Peer> { region.peers.iter().filter(|peer| peer.role() == role).copied().collect() };
    let (voters, learners) = (with(PeerRole::Voter), with(PeerRole::Learner));
    let free: Vec<StoreId> = stores.iter().filter(|store| region.peer_on(**store).is_none()).copied().collect();
    let add = |random: &mut Random| random.pick(&free).map(|store| (*store, PeerId(world.next_id())));
    let promote = |learner: &Peer| {
        let (store, peer) = (StoreId(learner.store_id), PeerId(learner.id));
        MemberChange::AddVoter { store, peer }
    };
    let spare_voters = random.chance(60) || voters.len() > 2;
    let forced = random.chance(100);
    let changes = match random.below(10) {
        0..3 => {
            let (store, peer) = add(random)?;
            vec![if forced { MemberChange::AddVoter { store, peer } } else { MemberChange::AddLearner { store, peer } }]
        }
        3..6 => vec![promote(random.pick(&learners)?)],
        6 => vec![MemberChange::Remove(PeerId(random.pick(&learners)?.id))],
        7 if voters.len() > 1 && spare_voters => vec![MemberChange::Remove(PeerId(random.pick(&voters)?.id))],
        8 if voters.len() > 1 && spare_voters => vec![MemberChange::Demote(PeerId(random.pick(&voters)?.id))],
        _ => {
            let mut changes =
                vec![promote(random.pick(&learners)?), MemberChange::Demote(PeerId(random.pick(&voters)?.id))];
            if random.chance(300)
                && let Some((store, peer)) = add(random)
            {
                changes.push(MemberChange::AddLearner { store, peer });
            }
            changes
        }
    };
    Some((changes, forced))
}
