//! Headers, errors and orders in the wire's words. Clients insist on a cluster id that is not 0 in every header.
//! Pure: from what was decided to what is sent.

use nokv_placement::regions::{DownPeer, Flow, RegionInfo, Report};
use nokv_placement::schedule::{Order, OrderStep};
use nokv_placement::state::Refusal;
use nokv_proto::eraftpb::ConfChangeType;
use nokv_proto::metapb::Peer;
use nokv_proto::pdpb::{
    self, ChangePeer, CheckPolicy, Error, ErrorType, Merge, RegionHeartbeatRequest, RegionHeartbeatResponse,
    ResponseHeader, SplitRegion, TransferLeader,
};
use nokv_raftstore::PeerId;

/// The header of an answer.
pub(super) fn header(cluster_id: u64) -> ResponseHeader {
    ResponseHeader { cluster_id, error: None }
}

/// The header of an answer that the state refuses.
pub(super) fn refused(cluster_id: u64, kind: ErrorType, message: impl Into<String>) -> ResponseHeader {
    ResponseHeader { cluster_id, error: Some(Error { r#type: kind.into(), message: message.into() }) }
}

/// A refusal, as a header has it.
pub(super) fn refusal(cluster_id: u64, refusal: &Refusal) -> ResponseHeader {
    let kind = match refusal {
        Refusal::NotFounded | Refusal::NotBootstrapped => ErrorType::NotBootstrapped,
        Refusal::AlreadyBootstrapped => ErrorType::AlreadyBootstrapped,
        Refusal::StoreTombstone(_) => ErrorType::StoreTombstone,
        Refusal::Version { .. } => ErrorType::IncompatibleVersion,
        Refusal::SnapshotExists(_) | Refusal::AddressTaken { .. } | Refusal::OtherDirectory(_) => {
            ErrorType::DuplicatedEntry
        }
        Refusal::StoreNotFound(_) | Refusal::SnapshotNotFound(_) => ErrorType::EntryNotFound,
        Refusal::Wrong(_) => ErrorType::InvalidValue,
        _ => ErrorType::Unknown,
    };
    refused(cluster_id, kind, refusal.to_string())
}

/// A region's heartbeat, as the state takes it.
pub(super) fn report(request: RegionHeartbeatRequest) -> Report {
    let seconds = request.interval.map_or(1, |it| it.end_timestamp.saturating_sub(it.start_timestamp)).max(1);
    let peer = |stats: &pdpb::PeerStats| {
        stats.peer.map(|peer| DownPeer { peer: PeerId(peer.id), seconds: stats.down_seconds })
    };
    Report {
        region: request.region.unwrap_or_default().into(),
        leader: request.leader,
        term: request.term,
        pending: request.pending_peers.iter().map(|peer| PeerId(peer.id)).collect(),
        down: request.down_peers.iter().filter_map(peer).collect(),
        size_bytes: request.approximate_size,
        keys: request.approximate_keys,
        flow: Flow {
            write_bytes: request.bytes_written / seconds,
            records: request.keys_written / seconds,
            read_bytes: request.bytes_read / seconds,
            lookups: request.keys_read / seconds,
        },
    }
}

/// An order, as the answer to a region's heartbeat.
pub(super) fn order(cluster_id: u64, order: Order) -> RegionHeartbeatResponse {
    let mut answer = RegionHeartbeatResponse {
        header: Some(header(cluster_id)),
        region_id: order.region.0,
        region_epoch: Some(order.epoch),
        target_peer: Some(order.leader),
        ..RegionHeartbeatResponse::default()
    };
    let change = |peer: Peer, kind: ConfChangeType| Some(ChangePeer { peer: Some(peer), change_type: kind.into() });
    match order.step {
        OrderStep::AddLearner(peer) => answer.change_peer = change(peer, ConfChangeType::AddLearnerNode),
        OrderStep::Promote(peer) => answer.change_peer = change(peer, ConfChangeType::AddNode),
        OrderStep::Remove(peer) => answer.change_peer = change(peer, ConfChangeType::RemoveNode),
        OrderStep::Transfer(peer) => {
            answer.transfer_leader = Some(TransferLeader { peer: Some(peer), peers: Vec::new() });
        }
        OrderStep::Split(keys) => {
            let policy = if keys.is_empty() { CheckPolicy::Approximate } else { CheckPolicy::Usekey };
            answer.split_region = Some(SplitRegion { policy: policy.into(), keys });
        }
        OrderStep::MergeInto(region) => answer.merge = Some(Merge { target: Some(region) }),
    }
    answer
}

/// A region in a scan's answer.
pub(super) fn region(info: &RegionInfo) -> pdpb::Region {
    let pdpb::RegionResponse { region, leader, down_peers, pending_peers, buckets } = info.to_response();
    pdpb::Region { region, leader, down_peers, pending_peers, buckets }
}

/// A region as one lookup answers it.
pub(super) fn region_answer(cluster_id: u64, info: Option<&RegionInfo>) -> pdpb::GetRegionResponse {
    let header = Some(header(cluster_id));
    let Some(info) = info else { return pdpb::GetRegionResponse { header, ..Default::default() } };
    let pdpb::RegionResponse { region, leader, down_peers, pending_peers, buckets } = info.to_response();
    pdpb::GetRegionResponse { header, region, leader, down_peers, pending_peers, buckets }
}

#[cfg(test)]
mod tests {
    use nokv_proto::metapb::{Region, RegionEpoch};
    use nokv_raftstore::RegionId;

    use super::*;

    fn ordered(step: OrderStep) -> RegionHeartbeatResponse {
        let epoch = RegionEpoch { conf_ver: 2, version: 3 };
        order(7, Order { region: RegionId(5), epoch, leader: Peer { id: 1, ..Peer::default() }, step })
    }

    #[test]
    fn each_order_has_its_own_field_and_no_other() {
        let peer = Peer { id: 9, store_id: 4, ..Peer::default() };
        let cases = [
            (OrderStep::AddLearner(peer), Some(ConfChangeType::AddLearnerNode)),
            (OrderStep::Promote(peer), Some(ConfChangeType::AddNode)),
            (OrderStep::Remove(peer), Some(ConfChangeType::RemoveNode)),
            (OrderStep::Transfer(peer), None),
            (OrderStep::Split(Vec::new()), None),
            (OrderStep::Split(vec!["k".into()]), None),
            (OrderStep::MergeInto(Region::default()), None),
        ];
        for (step, change) in cases {
            let answer = ordered(step.clone());
            assert_eq!(answer.header.as_ref().map(|header| header.cluster_id), Some(7));
            assert_eq!((answer.region_id, answer.target_peer.map(|peer| peer.id)), (5, Some(1)));
            assert_eq!(answer.change_peer.as_ref().map(|it| it.change_type()), change, "{step:?}");
            let set = [
                answer.change_peer.is_some(),
                answer.transfer_leader.is_some(),
                answer.split_region.is_some(),
                answer.merge.is_some(),
            ];
            assert_eq!(set.into_iter().filter(|is_set| *is_set).count(), 1, "{step:?}");
        }
    }

    #[test]
    fn rates_are_for_each_second() {
        let interval = Some(pdpb::TimeInterval { start_timestamp: 100, end_timestamp: 110 });
        let (bytes_written, keys_written, bytes_read, keys_read) = (500, 30, 70, 20);
        let counted =
            RegionHeartbeatRequest { bytes_written, keys_written, bytes_read, keys_read, ..Default::default() };
        let told = RegionHeartbeatRequest { interval, ..counted };
        assert_eq!(report(told.clone()).flow, Flow { write_bytes: 50, records: 3, read_bytes: 7, lookups: 2 });
        let at_once = RegionHeartbeatRequest { interval: None, ..told };
        assert_eq!(report(at_once).flow, Flow { write_bytes: 500, records: 30, read_bytes: 70, lookups: 20 });
    }
}
