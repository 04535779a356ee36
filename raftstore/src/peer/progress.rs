//! What a leader knows of the peers that it feeds, for people and for tools that wait until one has caught up.
//! It changes nothing, so that asking does not keep a region awake.

use nokv_transport::PeerId;
use raft::ProgressState;

use super::Peer;
use crate::message::{Feeding, PeerProgress};
use crate::{RegionError, RegionExt};

impl Peer {
    /// How far each member is, itself included.
    ///
    /// # Errors
    /// [`RegionError::NotLeader`]: only the leader knows.
    pub fn progress(&self) -> Result<Vec<PeerProgress>, RegionError> {
        if !self.leads() {
            return Err(self.not_leader());
        }
        let members = self.raw.raft.prs().iter().filter_map(|(id, progress)| {
            let peer = *self.region.peer(PeerId(*id))?;
            let feeding = match progress.state {
                ProgressState::Probe => Feeding::Probing,
                ProgressState::Replicate => Feeding::FromLog,
                ProgressState::Snapshot => Feeding::ByImage,
            };
            let active = progress.recent_active || peer.id == self.me.id;
            Some(PeerProgress { peer, matched_index: progress.matched, feeding, active })
        });
        let mut known: Vec<_> = members.collect();
        known.sort_unstable_by_key(|progress| progress.peer.id);
        Ok(known)
    }
}
