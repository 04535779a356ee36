//! `nokv region add-peer|remove-peer`: members come and go, and availability is never less than before.
//! A new peer is a learner until it is fed from the log and nearly at its end; a peer that leads hands over first.

use std::time::Duration;

use nokv_proto::metapb::{self, PeerRole};
use nokv_proto::nokvpb::member_change::Kind;
use nokv_proto::nokvpb::peer_progress::State;
use nokv_proto::nokvpb::{ChangeMembersRequest, MemberChange, TransferLeaderRequest};
use tokio::time::Instant;

use super::cluster_admin::{ClusterAdmin, Picture, Sighting, Taken, pause};
use super::exit::{Answer, Failure};
use super::region_args::{AddPeerArgs, RemovePeerArgs};
use super::region_command::{leader_of, no_peer, peer_on, refused};

/// A learner this close to the log's end has caught up: the rest comes with the messages under way.
const BEHIND_MAX: u64 = 256;

/// How long a removed peer's store is waited for, which may be cut off from the others.
const FAREWELL_MAX: Duration = Duration::from_secs(5);

/// What is to be done next.
enum Step {
    /// It is as it should be.
    Done,
    /// Have the leader make this change.
    Change(MemberChange),
    /// The leader has to hand over first.
    HandOver,
    /// Wait for this.
    Wait(String),
}

pub(super) async fn add_peer(args: &AddPeerArgs) -> Result<Answer, Failure> {
    let admin = args.cluster.admin().await?;
    let (region, store) = (args.region, args.store);
    if !admin.store_ids().any(|known| known == store) {
        let known: Vec<_> = admin.store_ids().map(|id| id.to_string()).collect();
        return Err(refused(&format!("store {store} is not in the topology file; it has {}", known.join(", "))));
    }
    let first = admin.look(region).await;
    if let Some(why) = first.silent.get(&store) {
        return Err(refused(&format!("store {store} does not answer ({why}); start it first")));
    }
    let deadline = args.cluster.deadline().max(Instant::now() + Duration::from_secs(args.catch_up));
    let next = |leader: &Sighting, _: &Picture| next_to_add(leader, args);
    let done = change(&admin, region, false, deadline, next).await?;
    let role = if args.learner { "a learner" } else { "a voter" };
    let said = format!("region {region} has {role} on store {store}");
    Ok(args.cluster.answer(region, &done, &said))
}

fn next_to_add(leader: &Sighting, args: &AddPeerArgs) -> Result<Step, Failure> {
    let store_id = args.store;
    let change = |kind: Kind, peer_id| Step::Change(MemberChange { kind: kind.into(), store_id, peer_id });
    let Some(peer) = peer_on(&leader.region, store_id) else {
        return Ok(change(Kind::AddLearner, args.peer_id.unwrap_or_default()));
    };
    if args.peer_id.is_some_and(|id| id != peer.id) {
        let text = format!("region {} has another peer, {}, on store {store_id} already", args.region, peer.id);
        return Err(refused(&text));
    }
    Ok(match peer.role() {
        PeerRole::Learner if args.learner => Step::Done,
        PeerRole::Learner => match how_far_behind(leader, peer) {
            None => change(Kind::AddVoter, peer.id),
            Some(why) => Step::Wait(why),
        },
        PeerRole::Voter if args.learner => {
            return Err(refused(&format!("peer {} on store {store_id} is a voter already", peer.id)));
        }
        PeerRole::Voter => Step::Done,
        PeerRole::IncomingVoter | PeerRole::DemotingVoter => Step::Wait("another change is under way".to_owned()),
    })
}

/// Why a learner cannot stand in for another yet.
fn how_far_behind(leader: &Sighting, peer: &metapb::Peer) -> Option<String> {
    let its = |progress: &&nokv_proto::nokvpb::PeerProgress| progress.peer.is_some_and(|known| known.id == peer.id);
    let (id, store) = (peer.id, peer.store_id);
    let Some(progress) = leader.said.progress.iter().find(its) else {
        return Some(format!("the leader says nothing of peer {id}"));
    };
    let behind = leader.said.last_index.saturating_sub(progress.matched_index);
    match progress.state() {
        State::Replicate if behind <= BEHIND_MAX => None,
        State::Replicate => Some(format!("peer {id} on store {store} is {behind} entries behind")),
        State::Image => Some(format!("peer {id} on store {store} waits for an image of the region")),
        State::Probe => Some(format!("peer {id} on store {store} does not answer the leader")),
    }
}

pub(super) async fn remove_peer(args: &RemovePeerArgs) -> Result<Answer, Failure> {
    let admin = args.cluster.admin().await?;
    let (region, store) = (args.region, args.store);
    let mut seen = None;
    let mut given_up = None;
    let next = |leader: &Sighting, picture: &Picture| {
        let Some(peer) = peer_on(&leader.region, store) else {
            let Some(id) = seen else { return Err(no_peer(&leader.region, store)) };
            // Its store learns of it a moment later. If it does not, it will when it hears of the others again.
            let patience = *given_up.get_or_insert_with(|| Instant::now() + FAREWELL_MAX);
            let lives = still_there(picture, store, id) && Instant::now() < patience;
            return Ok(if lives { Step::Wait(format!("store {store} still has its peer {id}")) } else { Step::Done });
        };
        seen = Some(peer.id);
        Ok(match peer.role() {
            PeerRole::IncomingVoter | PeerRole::DemotingVoter => Step::Wait("another change is under way".to_owned()),
            _ if leader.store == store && leader.region.peers.len() == 1 => {
                return Err(refused(&format!("peer {} is the only one of region {region}", peer.id)));
            }
            _ if !args.force
                && let Some(why) = lost_quorum(&leader.region, store, picture) =>
            {
                return Err(refused(&why));
            }
            _ if leader.store == store => Step::HandOver,
            _ => Step::Change(MemberChange { kind: Kind::Remove.into(), store_id: store, peer_id: peer.id }),
        })
    };
    let done = change(&admin, region, args.force, args.cluster.deadline(), next).await?;
    let said = format!("region {region} has no peer on store {store}");
    Ok(args.cluster.answer(region, &done, &said))
}

/// Whether a store shows a peer.
fn still_there(picture: &Picture, store: u64, id: u64) -> bool {
    let has = |sighting: &Sighting| sighting.said.peer.is_some_and(|own| own.id == id);
    picture.sightings.iter().any(|sighting| sighting.store == store && has(sighting))
}

/// Why the region could not go on without its peer on `store`. The leader asks itself the same, but it takes a moment
/// until it misses somebody.
fn lost_quorum(region: &metapb::Region, store: u64, picture: &Picture) -> Option<String> {
    let remain: Vec<_> =
        region.peers.iter().filter(|peer| peer.role() == PeerRole::Voter && peer.store_id != store).collect();
    let silent: Vec<_> = remain.iter().filter(|peer| picture.silent.contains_key(&peer.store_id)).collect();
    let up = remain.len() - silent.len();
    if up * 2 > remain.len() {
        return None;
    }
    let silent: Vec<_> = silent.iter().map(|peer| format!("store {}", peer.store_id)).collect();
    Some(format!(
        "region {} would lose its quorum: of the {} voters that would remain only {up} answer (silent: {}); start \
         them, or remove the peer with --force",
        region.id,
        remain.len(),
        silent.join(", ")
    ))
}

/// Looks and does the next step until there is none. Returns the look that found none.
async fn change(
    admin: &ClusterAdmin,
    region: u64,
    forced: bool,
    deadline: Instant,
    mut next: impl FnMut(&Sighting, &Picture) -> Result<Step, Failure>,
) -> Result<Picture, Failure> {
    let mut sent = false;
    loop {
        let picture: Picture = admin.look(region).await;
        let leader = match leader_of(region, &picture)? {
            Ok(leader) => leader,
            Err(why) => {
                pause(deadline, &why, sent).await?;
                continue;
            }
        };
        let taken = match next(leader, &picture)? {
            Step::Done => return Ok(picture),
            Step::Wait(why) => Taken::NotYet(why),
            Step::Change(change) => {
                let region_epoch = leader.region.region_epoch;
                let changes = vec![change];
                let request = ChangeMembersRequest { region_id: region, region_epoch, changes, forced };
                admin.order(leader.store, |mut client| async move { client.change_members(request).await }).await
            }
            Step::HandOver => {
                let request = TransferLeaderRequest { region_id: region, store_id: 0 };
                let order = |mut client: nokv_proto::nokvpb::admin_client::AdminClient<_>| async move {
                    client.transfer_leader(request).await
                };
                match admin.order(leader.store, order).await {
                    Taken::Done => Taken::NotYet(format!("store {} still leads region {region}", leader.store)),
                    other => other,
                }
            }
        };
        match taken {
            Taken::Done => sent = true,
            Taken::Refused(why) => return Err(refused(&why)),
            Taken::NotYet(why) => pause(deadline, &why, sent).await?,
            Taken::Unknown(why) => {
                sent = true;
                pause(deadline, &why, sent).await?;
            }
        }
    }
}
