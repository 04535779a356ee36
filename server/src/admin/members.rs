//! A region gets other members, or another leader.
//! The rules are replication's; here ids are drawn, and what would break the rule that ids rise is refused.

use nokv_engine::Engine;
use nokv_proto::metapb::{Region, RegionEpoch};
use nokv_raftstore::{MemberChange, MembersRequest, PeerId, RegionExt, RegionId, StoreId};

use super::{AdminError, RegionAdmin};

impl<E: Engine> RegionAdmin<E> {
    /// Changes a region's members. Returns the region, once this store has done it. A new peer of id 0 gets one that
    /// was never used.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn change_members(
        &self,
        region_id: RegionId,
        epoch: Option<RegionEpoch>,
        mut changes: Vec<MemberChange>,
        forced: bool,
    ) -> Result<Region, AdminError> {
        let region = self.led(region_id, epoch, |ours, theirs| ours == theirs)?;
        for change in &mut changes {
            self.name(&region, change).await?;
        }
        let epoch = region.epoch();
        self.raftstore.change_members(MembersRequest { region_id, epoch, changes, forced }).await?;
        let now = self.shown(region_id, |region| region.epoch().conf_ver > epoch.conf_ver).await;
        Ok(now.unwrap_or(region))
    }

    /// Begins to hand a region over to the peer on `to`, or to the follower that is furthest.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn transfer_leader(&self, region_id: RegionId, to: Option<StoreId>) -> Result<(), AdminError> {
        let region = self.led(region_id, None, |_, _| true)?;
        if let Some(store) = to {
            match region.peer_on(store) {
                None => {
                    let reason = format!("region {region_id} has no peer on store {store}");
                    return Err(AdminError::Refused(reason));
                }
                Some(peer) if peer.role() == nokv_proto::metapb::PeerRole::Learner => {
                    let reason = format!("peer {} of region {region_id} is a learner, which cannot lead", peer.id);
                    return Err(AdminError::Refused(reason));
                }
                Some(_) => {}
            }
        }
        Ok(self.raftstore.transfer_leader(region_id, to).await?)
    }

    /// Gives a new peer its id, or looks at the one that it was given.
    async fn name(&self, region: &Region, change: &mut MemberChange) -> Result<(), AdminError> {
        let (MemberChange::AddLearner { peer, .. } | MemberChange::AddVoter { peer, .. }) = change else {
            return Ok(());
        };
        if region.peer(*peer).is_some() {
            return Ok(());
        }
        if peer.0 == 0 {
            *peer = PeerId(self.draw_ids(1).await?.next().unwrap_or_default());
        }
        match region.peers.iter().map(|known| known.id).max() {
            // A store tells its later peer of a region from an earlier one by that.
            Some(largest) if peer.0 <= largest => Err(AdminError::Refused(format!(
                "peer id {peer} is not above {largest}, which region {} has; the ids of later peers are larger",
                region.id
            ))),
            _ => Ok(()),
        }
    }
}
