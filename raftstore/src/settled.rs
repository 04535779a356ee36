//! What it takes to read a replica as of the past without asking anybody. Replication's part is here: where a leader
//! stands, whether a replica follows it, and how many that do are enough. What timestamps mean is the caller's.
//!
//! A leader that stood at an entry in some term, and of which a quorum says *later* that it is still in that term, was
//! the only one to acknowledge anything until then: whoever leads in a later term had that term's votes of a quorum,
//! and one of them would have known. It costs no log entry and no raft message, and wakes nobody.

use std::sync::Arc;

use nokv_engine::Engine;
use nokv_proto::metapb::{Peer, PeerRole};
use nokv_transport::{PeerId, RegionId, StoreId};

use crate::gate::{GateState, Role};
use crate::handle::Raftstore;
use crate::records::ApplyRecord;

/// Where a leader stood at one moment.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Its region, its term and itself.
    pub state: Arc<GateState>,
    /// The last entry that it had applied: everything that was acknowledged before that moment is within.
    pub applied_index: u64,
}

impl<E: Engine> Raftstore<E> {
    /// Where this store stands with a region, if it believes to lead it and has all that earlier leaders acknowledged.
    /// It may be wrong: somebody else may lead by now.
    pub fn standing(&self, region: RegionId) -> Option<Standing> {
        let gate = self.gates().get(region).ok()?;
        let state = Arc::clone(&gate.state());
        if state.role != Role::Leader || gate.merging_into().is_some() {
            return None;
        }
        let applied = ApplyRecord::load(&self.engine().view(), region).ok()?;
        let has_all = applied.applied_term == state.term;
        (has_all && gate.is_still(&state)).then_some(Standing { state, applied_index: applied.applied_index })
    }

    /// Whether this store's replica is in `term`, under this leader. The gate shows a later term before any vote in it
    /// leaves.
    pub fn follows(&self, region: RegionId, leader: PeerId, term: u64) -> bool {
        let Ok(gate) = self.gates().get(region) else { return false };
        let state = gate.state();
        let known = if state.role == Role::Leader { Some(state.peer) } else { state.leader };
        state.term == term && known.is_some_and(|known| known.id == leader.0)
    }
}

impl Standing {
    /// Whether the leader and those that `follow` it are a majority of every set of voters that decides.
    pub fn is_quorum(&self, follow: impl Fn(StoreId) -> bool) -> bool {
        let says = |peer: &&Peer| peer.id == self.state.peer.id || follow(StoreId(peer.store_id));
        [PeerRole::DemotingVoter, PeerRole::IncomingVoter].into_iter().all(|left_out| {
            let votes = |peer: &&Peer| !matches!(peer.role(), PeerRole::Learner) && peer.role() != left_out;
            let voters = self.state.region.peers.iter().filter(votes);
            voters.clone().filter(says).count() * 2 > voters.count()
        })
    }
}

#[cfg(test)]
mod tests {
    use nokv_proto::metapb::Region;

    use super::*;

    fn standing(roles: &[PeerRole]) -> Standing {
        let peer = |(at, role): (usize, &PeerRole)| Peer {
            id: 10 + at as u64,
            store_id: 1 + at as u64,
            role: (*role).into(),
            ..Peer::default()
        };
        let peers: Vec<Peer> = roles.iter().enumerate().map(peer).collect();
        let peer = peers[0];
        let region = Arc::new(Region { id: 1, peers, ..Region::default() });
        let state = GateState { region, peer, role: Role::Leader, term: 6, leader: Some(peer) };
        Standing { state: Arc::new(state), applied_index: 9 }
    }

    #[test]
    fn learners_do_not_count_and_a_joint_change_needs_both_majorities() {
        use PeerRole::{DemotingVoter, IncomingVoter, Learner, Voter};
        let quorum = |roles: &[PeerRole], follow: &[u64]| standing(roles).is_quorum(|store| follow.contains(&store.0));
        assert!(quorum(&[Voter], &[]));
        assert!(quorum(&[Voter, Voter, Voter], &[3]));
        assert!(!quorum(&[Voter, Voter, Voter], &[]));
        assert!(!quorum(&[Voter, Voter, Voter, Learner, Learner], &[4, 5]));
        // 1, 2, 3 become 1, 2, 4.
        let joint = [Voter, Voter, DemotingVoter, IncomingVoter];
        assert!(quorum(&joint, &[2]) && quorum(&joint, &[3, 4]));
        assert!(!quorum(&joint, &[3]) && !quorum(&joint, &[4]));
    }
}
