//! Who hosts placement: its leader keeps as many members as there should be, on nodes that are well. One that is down
//! for long, or whose store leaves, is replaced by another node that may host it: placement outlives its first nodes.
//!
//! One small step at a time, each decided anew from what is there: a learner is added, a learner that has caught up
//! becomes a voter, a member too many goes. Whatever cuts it short, the next look goes on from there.

use std::collections::BTreeSet;
use std::time::Duration;

use nokv_placement::schedule::Condition;
use nokv_placement::state::{Command, Reply};
use nokv_proto::metapb::{Peer, PeerRole};
use nokv_raftstore::{
    Feeding, MemberChange, MembersRequest, PeerId, PeerProgress, RegionExt as _, RegionStatus, StoreId,
};
use slog::{info, warn};

use super::led::Led;
use super::{PLACEMENT_REGION, Placement};

/// How often it is looked whether something is to be done.
const LOOK: Duration = Duration::from_secs(3);
/// Members that a cluster of enough nodes has: one may die, and be replaced, while another still may.
const MEMBERS: usize = 3;
/// The label by which a store tells that its node may host placement.
pub(crate) const HOSTS_LABEL: &str = "nokv-placement";

/// What the leader knows of a store, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    store: StoreId,
    /// It is well.
    well: bool,
    /// It will not come back, or is to leave.
    lost: bool,
    /// Its node may host placement.
    hosts: bool,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NextStep {
    Add(StoreId),
    Promote(PeerId, StoreId),
    Remove(PeerId),
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
    pub(super) async fn tend_members(&self) {
        let raftstore = &self.inner.raftstore;
        let Some(status) = raftstore.region(PLACEMENT_REGION) else { return };
        let now_ms = self.now_ms();
        let Ok(candidates) = self.look(|led| candidates(led, now_ms)) else { return };
        let Ok(progress) = raftstore.progress(PLACEMENT_REGION).await else { return };
        let me = StoreId(self.inner.store.id);
        let Some(step) = next_step(&status.state.region.peers, me, &candidates, &caught_up(&progress, &status)) else {
            return;
        };
        let change = match step {
            NextStep::Add(store) => match self.decide(Command::AllocateIds { count: 1 }).await {
                Ok(Reply::Ids { first, .. }) => MemberChange::AddLearner { store, peer: PeerId(first) },
                _ => return,
            },
            NextStep::Promote(peer, store) => MemberChange::AddVoter { store, peer },
            NextStep::Remove(peer) => MemberChange::Remove(peer),
            NextStep::HandOver => {
                // If nobody can take it, it is tried again.
                let _ = raftstore.transfer_leader(PLACEMENT_REGION, None).await;
                return;
            }
        };
        let epoch = status.state.region.epoch();
        let changes = vec![change];
        let request = MembersRequest { region_id: PLACEMENT_REGION, epoch, changes, forced: false };
        match raftstore.change_members(request).await {
            Ok(()) => info!(self.inner.log, "placement's members were changed"; "step" => ?step),
            Err(why) => warn!(self.inner.log, "placement's members were not changed"; "step" => ?step, "why" => %why),
        }
    }
}

fn candidates(led: &mut Led, now_ms: u64) -> Vec<Candidate> {
    let candidate = |record: &nokv_placement::state::StoreRecord| {
        let condition = led.scheduler.condition(&led.state, record.id(), now_ms);
        Candidate {
            store: record.id(),
            well: condition == Condition::Well && led.scheduler.last_word(record.id(), now_ms).is_some(),
            lost: matches!(condition, Condition::Down | Condition::Leaving | Condition::Gone),
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

/// Pure, so that every case can be tested.
fn next_step(
    peers: &[Peer],
    leader: StoreId,
    candidates: &[Candidate],
    caught_up: &BTreeSet<PeerId>,
) -> Option<NextStep> {
    let is = |store: u64, what: fn(&Candidate) -> bool| candidates.iter().any(|it| it.store.0 == store && what(it));
    let unknown = |store: u64| candidates.iter().all(|it| it.store.0 != store);
    let lost = |peer: &Peer| is(peer.store_id, |it| it.lost) || unknown(peer.store_id);
    if let Some(learner) = peers.iter().find(|peer| peer.role() == PeerRole::Learner) {
        return match (lost(learner), caught_up.contains(&PeerId(learner.id))) {
            (true, _) => Some(NextStep::Remove(PeerId(learner.id))),
            (false, true) => Some(NextStep::Promote(PeerId(learner.id), StoreId(learner.store_id))),
            (false, false) => None,
        };
    }
    let voters: Vec<&Peer> = peers.iter().filter(|peer| peer.role() == PeerRole::Voter).collect();
    if voters.len() != peers.len() {
        return None;
    }
    let living = voters.iter().filter(|peer| !lost(peer)).count();
    let ill = voters.iter().find(|peer| lost(peer) && peer.store_id != leader.0);
    // The members of a cluster that began with more stay as many.
    if living >= MEMBERS || (voters.len() > MEMBERS && ill.is_some()) {
        let leader_goes = voters.iter().any(|peer| lost(peer) && peer.store_id == leader.0);
        return ill.map(|peer| NextStep::Remove(PeerId(peer.id))).or(leader_goes.then_some(NextStep::HandOver));
    }
    let free = |it: &&Candidate| it.well && it.hosts && voters.iter().all(|peer| peer.store_id != it.store.0);
    candidates.iter().filter(free).map(|it| it.store).min().map(NextStep::Add)
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
        Candidate { store: StoreId(store), well: true, lost: false, hosts: true }
    }

    fn lost(store: u64) -> Candidate {
        Candidate { well: false, lost: true, ..well(store) }
    }

    fn step(peers: &[Peer], candidates: &[Candidate], caught_up: &[u64]) -> Option<NextStep> {
        let caught_up = caught_up.iter().copied().map(PeerId).collect();
        next_step(peers, StoreId(1), candidates, &caught_up)
    }

    #[test]
    fn one_node_becomes_three_as_others_join() {
        assert_eq!(step(&[voter(1)], &[well(1)], &[1]), None);
        assert_eq!(step(&[voter(1)], &[well(1), well(2)], &[1]), Some(NextStep::Add(StoreId(2))));
        let peers = [voter(1), learner(7, 2)];
        assert_eq!(step(&peers, &[well(1), well(2)], &[1]), None, "it has not caught up");
        assert_eq!(step(&peers, &[well(1), well(2)], &[1, 7]), Some(NextStep::Promote(PeerId(7), StoreId(2))));
        let three = [voter(1), voter(2), voter(3)];
        assert_eq!(step(&three, &[well(1), well(2), well(3), well(4)], &[1, 2, 3]), None);
    }

    #[test]
    fn a_lost_member_is_replaced_before_it_goes() {
        let three = [voter(1), voter(2), voter(3)];
        let stores = [well(1), lost(2), well(3), well(4)];
        assert_eq!(step(&three, &stores, &[1, 3]), Some(NextStep::Add(StoreId(4))));
        let four = [voter(1), voter(2), voter(3), voter(9)];
        let stores = [well(1), lost(2), well(3), Candidate { store: StoreId(4), ..well(9) }, well(9)];
        assert_eq!(step(&four, &stores, &[1, 3, 9]), Some(NextStep::Remove(PeerId(2))));
        // Nobody is there to replace it: it stays, in case it comes back.
        assert_eq!(step(&three, &[well(1), lost(2), well(3)], &[1, 3]), None);
        // A node that does not host placement is no help.
        let stores = [well(1), lost(2), well(3), Candidate { hosts: false, ..well(4) }];
        assert_eq!(step(&three, &stores, &[1, 3]), None);
    }

    #[test]
    fn a_leader_that_is_to_leave_hands_over_and_then_goes() {
        let four = [voter(1), voter(2), voter(3), voter(9)];
        let stores = [lost(1), well(2), well(3), well(9)];
        assert_eq!(step(&four, &stores, &[1, 2, 3, 9]), Some(NextStep::HandOver));
        let by_another = next_step(&four, StoreId(2), &stores, &BTreeSet::new());
        assert_eq!(by_another, Some(NextStep::Remove(PeerId(1))));
    }

    #[test]
    fn a_learner_whose_store_is_lost_goes() {
        let peers = [voter(1), voter(2), learner(8, 4)];
        assert_eq!(step(&peers, &[well(1), well(2), lost(4)], &[1, 2]), Some(NextStep::Remove(PeerId(8))));
    }
}
