//! Who hosts placement: its leader keeps as many members as there should be, on nodes that are well. One that is down
//! for long, or whose store leaves, is replaced by another node that may host it: placement outlives its first nodes.
//!
//! One small step at a time, each decided anew from what is there; whatever cuts it short, the next look goes on from
//! there. Newcomers follow as learners first. They get their votes together, and in the same change in which a lost
//! member loses its own: on the way from one member to three there never are two, of which neither could be spared.

use std::collections::BTreeSet;
use std::time::Duration;

use nokv_placement::schedule::Condition;
use nokv_placement::state::{Command, Reply, StoreRecord};
use nokv_proto::metapb::{Peer, PeerRole};
use nokv_raftstore::{
    Feeding, MemberChange, MembersRequest, PeerId, PeerProgress, RegionExt as _, RegionStatus, StoreId,
};
use slog::{info, warn};

use super::led::Led;
use super::{PLACEMENT_REGION, Placement};

/// How often it is looked whether something is to be done.
const LOOK: Duration = Duration::from_secs(1);
/// Members that a cluster of enough nodes has: one may die, and be replaced, while the others decide.
const MEMBERS: usize = 3;
/// The label by which a store tells that its node may host placement.
pub(crate) const HOSTS_LABEL: &str = "nokv-placement";

/// What the leader knows of a store, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Candidate {
    store: StoreId,
    /// It is well.
    well: bool,
    /// It was not heard of for long: it is replaced if somebody can take its place.
    down: bool,
    /// It is to leave, or has left: it goes even if nobody can take its place.
    leaves: bool,
    /// Its node may host placement.
    hosts: bool,
}

impl Candidate {
    fn is_lost(&self) -> bool {
        self.down || self.leaves
    }
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq)]
enum NextStep {
    /// A new member, which follows at first.
    Follow(StoreId),
    /// All of them at once.
    Change(Vec<MemberChange>),
    /// The leader itself is to go: another leads first.
    HandOver,
}

/// Runs for ever; does something only while this node leads placement.
pub async fn keep_members(placement: Placement) {
    loop {
        tokio::time::sleep(LOOK).await;
        placement.tend_members().await;
    }
}

impl Placement {
    /// Takes the next step, if there is one; to be called by the leader from time to time.
    async fn tend_members(&self) {
        let raftstore = &self.inner.raftstore;
        let Some(status) = raftstore.region(PLACEMENT_REGION) else { return };
        let now_ms = self.now_ms();
        let Ok(candidates) = self.look(|led| candidates(led, now_ms)) else { return };
        let Ok(progress) = raftstore.progress(PLACEMENT_REGION).await else { return };
        let me = StoreId(self.inner.store.id);
        let Some(step) = next_step(&status.state.region.peers, me, &candidates, &caught_up(&progress, &status)) else {
            return;
        };
        let changes = match &step {
            NextStep::Follow(store) => match self.decide(Command::AllocateIds { count: 1 }).await {
                Ok(Reply::Ids { first, .. }) => vec![MemberChange::AddLearner { store: *store, peer: PeerId(first) }],
                _ => return,
            },
            NextStep::Change(changes) => changes.clone(),
            NextStep::HandOver => {
                // If nobody can take it, it is tried again.
                let _ = raftstore.transfer_leader(PLACEMENT_REGION, None).await;
                return;
            }
        };
        let epoch = status.state.region.epoch();
        let request = MembersRequest { region_id: PLACEMENT_REGION, epoch, changes, forced: false };
        match raftstore.change_members(request).await {
            Ok(()) => info!(self.inner.log, "placement's members were changed"; "step" => ?step),
            Err(why) => warn!(self.inner.log, "placement's members were not changed"; "step" => ?step, "why" => %why),
        }
    }
}

fn candidates(led: &mut Led, now_ms: u64) -> Vec<Candidate> {
    let candidate = |record: &StoreRecord| {
        let condition = led.scheduler.condition(&led.state, record.id(), now_ms);
        Candidate {
            store: record.id(),
            well: condition == Condition::Well && led.scheduler.last_word(record.id(), now_ms).is_some(),
            down: condition == Condition::Down,
            leaves: matches!(condition, Condition::Leaving | Condition::Gone),
            hosts: record.label(HOSTS_LABEL).is_some(),
        }
    };
    led.state.stores().map(candidate).collect()
}

/// The members that have all that is committed, or nearly.
fn caught_up(progress: &[PeerProgress], status: &RegionStatus) -> BTreeSet<PeerId> {
    const BEHIND_MAX: u64 = 64;
    let has_it = |it: &&PeerProgress| {
        it.active && it.feeding == Feeding::FromLog && it.matched_index + BEHIND_MAX >= status.committed_index
    };
    progress.iter().filter(has_it).map(|it| PeerId(it.peer.id)).collect()
}

/// Pure, so that every case can be tested. A store that was never heard of is not lost: it may have begun the cluster,
/// and not have told of itself yet.
fn next_step(
    peers: &[Peer],
    leader: StoreId,
    candidates: &[Candidate],
    caught_up: &BTreeSet<PeerId>,
) -> Option<NextStep> {
    let of = |peer: &Peer| candidates.iter().find(|it| it.store.0 == peer.store_id);
    let is_lost = |peer: &Peer| of(peer).is_some_and(Candidate::is_lost);
    let (learners, voters): (Vec<&Peer>, Vec<&Peer>) = peers.iter().partition(|it| it.role() == PeerRole::Learner);
    if voters.iter().any(|peer| peer.role() != PeerRole::Voter) {
        // A joint change ends by itself.
        return None;
    }
    let remove = |peer: &Peer| Some(NextStep::Change(vec![MemberChange::Remove(PeerId(peer.id))]));
    if let Some(lost) = learners.iter().find(|peer| is_lost(peer)) {
        return remove(lost);
    }
    let vote = |peer: &&&Peer| MemberChange::AddVoter { store: StoreId(peer.store_id), peer: PeerId(peer.id) };
    let ready: Vec<&&Peer> = learners.iter().filter(|peer| caught_up.contains(&PeerId(peer.id))).collect();
    let living = voters.iter().filter(|peer| !is_lost(peer)).count();
    let ill = voters.iter().find(|peer| is_lost(peer) && peer.store_id != leader.0);
    let leader_goes = voters.iter().any(|peer| is_lost(peer) && peer.store_id == leader.0);
    if let (Some(ill), Some(successor)) = (ill, ready.first()) {
        return Some(NextStep::Change(vec![vote(successor), MemberChange::Demote(PeerId(ill.id))]));
    }
    if leader_goes && living > 0 && !ready.is_empty() {
        return Some(NextStep::HandOver);
    }
    let wanted = voters.len().max(MEMBERS);
    let missing = wanted.saturating_sub(living);
    let goes_anyhow = leader_goes && living == 0;
    if !ready.is_empty() && ill.is_none() && (ready.len() >= missing || goes_anyhow) && missing > 0 {
        return Some(NextStep::Change(ready.iter().take(missing).map(vote).collect()));
    }
    if learners.len() < missing {
        let is_free = |it: &&Candidate| it.well && it.hosts && peers.iter().all(|peer| peer.store_id != it.store.0);
        if let Some(free) = candidates.iter().filter(is_free).map(|it| it.store).min() {
            return Some(NextStep::Follow(free));
        }
    } else if learners.len() > missing {
        return learners.last().and_then(|peer| remove(peer));
    }
    // Nobody can take its place.
    let leaves = |peer: &Peer| of(peer).is_some_and(|it| it.leaves) || living >= MEMBERS;
    match ill.filter(|peer| leaves(peer) && living > 0) {
        Some(ill) => remove(ill),
        None => (leader_goes && living > 0).then_some(NextStep::HandOver),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voter(id: u64) -> Peer {
        Peer { id, store_id: id, ..Peer::default() }
    }

    fn learner(id: u64, store_id: u64) -> Peer {
        Peer { id, store_id, role: PeerRole::Learner.into(), ..Peer::default() }
    }

    fn well(store: u64) -> Candidate {
        Candidate { store: StoreId(store), well: true, down: false, leaves: false, hosts: true }
    }

    fn down(store: u64) -> Candidate {
        Candidate { well: false, down: true, ..well(store) }
    }

    fn leaving(store: u64) -> Candidate {
        Candidate { well: false, leaves: true, ..well(store) }
    }

    fn vote(peer: u64, store: u64) -> MemberChange {
        MemberChange::AddVoter { store: StoreId(store), peer: PeerId(peer) }
    }

    fn follow(store: u64) -> Option<NextStep> {
        Some(NextStep::Follow(StoreId(store)))
    }

    fn change(changes: &[MemberChange]) -> Option<NextStep> {
        Some(NextStep::Change(changes.to_vec()))
    }

    fn remove(peer: u64) -> Option<NextStep> {
        change(&[MemberChange::Remove(PeerId(peer))])
    }

    /// Store 1 leads.
    fn step(peers: &[Peer], candidates: &[Candidate], caught_up: &[u64]) -> Option<NextStep> {
        let caught_up = caught_up.iter().copied().map(PeerId).collect();
        next_step(peers, StoreId(1), candidates, &caught_up)
    }

    #[test]
    fn one_member_becomes_three_and_never_two() {
        assert_eq!(step(&[voter(1)], &[well(1)], &[1]), None);
        assert_eq!(step(&[voter(1)], &[well(1), well(2)], &[1]), follow(2));
        let two = [voter(1), learner(7, 2)];
        assert_eq!(step(&two, &[well(1), well(2)], &[1, 7]), None, "with two votes, neither could be spared");
        let stores = [well(1), well(2), well(3), well(4)];
        assert_eq!(step(&two, &stores, &[1, 7]), follow(3));
        let three = [voter(1), learner(7, 2), learner(8, 3)];
        assert_eq!(step(&three, &stores, &[1, 7]), None, "one has not caught up");
        assert_eq!(step(&three, &stores, &[1, 7, 8]), change(&[vote(7, 2), vote(8, 3)]));
        assert_eq!(step(&[voter(1), voter(2), voter(3)], &stores, &[1, 2, 3]), None);
        // Some clusters begin with two.
        assert_eq!(step(&[voter(1), voter(2)], &stores, &[1, 2]), follow(3));
        assert_eq!(step(&[voter(1), voter(2), learner(8, 3)], &stores, &[1, 2, 8]), change(&[vote(8, 3)]));
    }

    #[test]
    fn a_lost_member_is_replaced_in_one_change() {
        let three = [voter(1), voter(2), voter(3)];
        let stores = [well(1), down(2), well(3), well(4)];
        assert_eq!(step(&three, &stores, &[1, 3]), follow(4));
        let four = [voter(1), voter(2), voter(3), learner(9, 4)];
        assert_eq!(step(&four, &stores, &[1, 3]), None, "it has not caught up");
        assert_eq!(step(&four, &stores, &[1, 3, 9]), change(&[vote(9, 4), MemberChange::Demote(PeerId(2))]));
        let demoted = [voter(1), learner(2, 2), voter(3), voter(9)];
        assert_eq!(step(&demoted, &stores, &[1, 3, 9]), remove(2));
        // It came back meanwhile.
        let stores = [well(1), well(2), well(3), well(4)];
        assert_eq!(step(&demoted, &stores, &[1, 2, 3, 9]), remove(2));
        assert_eq!(step(&four, &stores, &[1, 2, 3, 9]), remove(9));
    }

    #[test]
    fn a_silent_member_stays_while_nobody_can_replace_it() {
        let three = [voter(1), voter(2), voter(3)];
        assert_eq!(step(&three, &[well(1), down(2), well(3)], &[1, 3]), None);
        let stores = [well(1), down(2), well(3), Candidate { hosts: false, ..well(4) }];
        assert_eq!(step(&three, &stores, &[1, 3]), None, "that node does not host placement");
        assert_eq!(step(&three, &[well(1), well(3)], &[1, 3]), None, "store 2 has not told of itself yet");
        let four = [voter(1), voter(2), voter(3), voter(4)];
        assert_eq!(step(&four, &[well(1), down(2), well(3), well(4)], &[1, 3, 4]), remove(2));
    }

    #[test]
    fn who_leaves_goes_even_unreplaced_but_not_as_the_last() {
        let three = [voter(1), voter(2), voter(3)];
        assert_eq!(step(&three, &[well(1), leaving(2), well(3)], &[1, 2, 3]), remove(2));
        assert_eq!(step(&[voter(1)], &[leaving(1)], &[1]), None);
        let two = [voter(1), learner(7, 2)];
        assert_eq!(step(&two, &[leaving(1), well(2)], &[1, 7]), change(&[vote(7, 2)]));
        assert_eq!(step(&[voter(1), voter(7)], &[leaving(1), well(7)], &[1, 7]), Some(NextStep::HandOver));
    }

    #[test]
    fn a_leader_that_is_to_leave_hands_over_to_who_replaces_it() {
        let three = [voter(1), voter(2), voter(3)];
        let stores = [leaving(1), well(2), well(3), well(4)];
        assert_eq!(step(&three, &stores, &[1, 2, 3]), follow(4));
        let four = [voter(1), voter(2), voter(3), learner(9, 4)];
        assert_eq!(step(&four, &stores, &[1, 2, 3, 9]), Some(NextStep::HandOver));
        let by_another = next_step(&four, StoreId(2), &stores, &[9].map(PeerId).into());
        assert_eq!(by_another, change(&[vote(9, 4), MemberChange::Demote(PeerId(1))]));
    }

    #[test]
    fn nothing_is_begun_while_a_change_is_under_way() {
        let joint = Peer { role: PeerRole::IncomingVoter.into(), ..voter(2) };
        assert_eq!(step(&[voter(1), joint], &[well(1), well(2), well(3)], &[1, 2]), None);
        let peers = [voter(1), voter(2), learner(8, 4)];
        assert_eq!(step(&peers, &[well(1), well(2), down(4)], &[1, 2]), remove(8));
    }
}
