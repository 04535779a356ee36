//! The leader gives its place to another peer. The lease ends first and is not taken up again in this term, since the
//! order to campaign at once overrides what followers promised, and may arrive late.

use nokv_transport::{PeerId, StoreId};
use raft::ProgressState;

use super::Peer;
use crate::{RegionError, RegionExt};

impl Peer {
    /// Begins to hand leadership to the peer on `to`, or to the follower that is furthest.
    ///
    /// # Errors
    /// [`RegionError::NotLeader`] if this peer does not lead; [`RegionError::ServerIsBusy`] if there is nobody to take
    /// over.
    pub fn transfer_leader(&mut self, to: Option<StoreId>) -> Result<(), RegionError> {
        if !self.leads() {
            return Err(self.not_leader());
        }
        let heir = match to {
            Some(store) => self.region.peer_on(store).map(|peer| peer.id),
            None => self.furthest_follower(),
        };
        let heir = heir.filter(|heir| *heir != self.me.id && self.region.peer(PeerId(*heir)).is_some());
        let Some(heir) = heir else {
            let reason = format!("region {} has no other peer there that could lead it", self.region.id);
            return Err(RegionError::ServerIsBusy { reason, backoff_ms: 1_000 });
        };
        if !nokv_engine::is_planted("keep the lease at a transfer") {
            self.lease.give_up();
        }
        self.publish_lease();
        self.raw.transfer_leader(heir);
        Ok(())
    }

    fn furthest_follower(&self) -> Option<u64> {
        let others = self.raw.raft.prs().iter().filter(|(id, progress)| {
            **id != self.me.id && progress.recent_active && progress.state == ProgressState::Replicate
        });
        others.max_by_key(|(id, progress)| (progress.matched, **id)).map(|(id, _)| *id)
    }
}
