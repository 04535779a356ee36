//! What placement tells this node to do with the regions that it leads. An order is done once or not at all: if it does
//! not fit any more, replication refuses it, and placement sees at the next heartbeat what has become of the region.

use nokv_engine::Engine;
use nokv_proto::eraftpb::ConfChangeType;
use nokv_proto::metapb::RegionEpoch;
use nokv_proto::pdpb::{RegionHeartbeatResponse, SplitRegion};
use nokv_raftstore::{
    MemberChange, MembersRequest, MergeRequest, PeerId, RegionError, RegionExt as _, RegionId, StoreId,
};

use crate::admin::{AdminError, RegionAdmin, SplitAt};
use crate::auto_split::split_in_half;

/// Carries out one order. `Ok(false)` = it is of a kind that this node does not carry out.
///
/// # Errors
/// As replication says.
pub async fn carry_out<E: Engine>(admin: &RegionAdmin<E>, order: RegionHeartbeatResponse) -> Result<bool, AdminError> {
    let raftstore = admin.raftstore();
    let region_id = RegionId(order.region_id);
    let epoch = order.region_epoch.unwrap_or_default();
    if let Some(peer) = order.transfer_leader.and_then(|it| it.peer) {
        raftstore.transfer_leader(region_id, Some(StoreId(peer.store_id))).await?;
        return Ok(true);
    }
    if let Some(target) = order.merge.and_then(|it| it.target) {
        let (target, target_epoch) = (RegionId(target.id), target.epoch());
        raftstore.merge(MergeRequest { source: region_id, source_epoch: epoch, target, target_epoch }).await?;
        return Ok(true);
    }
    if let Some(SplitRegion { keys, .. }) = order.split_region {
        if keys.is_empty() {
            split_in_half(admin, region_id, epoch).await?;
        } else {
            let at = |start_key| SplitAt { start_key, ..SplitAt::default() };
            admin.split(region_id, Some(epoch), keys.into_iter().map(at).collect()).await?;
        }
        return Ok(true);
    }
    let Some((peer, kind)) = order.change_peer.and_then(|it| Some((it.peer?, it.change_type()))) else {
        return Ok(false);
    };
    let (store, id) = (StoreId(peer.store_id), PeerId(peer.id));
    let change = match kind {
        ConfChangeType::AddLearnerNode => MemberChange::AddLearner { store, peer: id },
        ConfChangeType::AddNode => MemberChange::AddVoter { store, peer: id },
        ConfChangeType::RemoveNode => MemberChange::Remove(id),
    };
    change_members(admin, region_id, epoch, change).await?;
    Ok(true)
}

async fn change_members<E: Engine>(
    admin: &RegionAdmin<E>,
    region_id: RegionId,
    epoch: RegionEpoch,
    change: MemberChange,
) -> Result<(), RegionError> {
    let request = MembersRequest { region_id, epoch, changes: vec![change], forced: false };
    admin.raftstore().change_members(request).await
}
