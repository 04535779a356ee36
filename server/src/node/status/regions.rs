//! `GET /status`: the store and its regions, as JSON. Keys are in the form that every tool reads and prints.
//! It is a copy taken without stopping anybody: two fields may be of moments that differ a little.

use axum::Json;
use axum::extract::State;
use nokv_engine::RocksEngine;
use nokv_proto::metapb::Peer;
use nokv_raftstore::{RegionExt, RegionStatus, Role};
use serde::Serialize;

use super::Pages;
use crate::key_text::KeyText;
use crate::node::serve::bound_text;

#[derive(Debug, Serialize)]
pub(super) struct StoreStatus {
    store_id: u64,
    version: &'static str,
    addr: String,
    /// Whether regions that grow too large are split by themselves.
    auto_split: &'static str,
    regions: Vec<RegionOnStore>,
}

#[derive(Debug, Serialize)]
struct RegionOnStore {
    id: u64,
    start_key: KeyText,
    end_key: KeyText,
    epoch: EpochStatus,
    peers: Vec<PeerStatus>,
    role: &'static str,
    leader: Option<PeerStatus>,
    term: u64,
    applied_index: u64,
    committed_index: u64,
    last_index: u64,
    /// Nobody has touched the region for long: it does nothing until somebody does.
    asleep: bool,
    /// Of the leader's lease; 0 if this peer holds none.
    lease_ms: u64,
    /// About how many bytes it holds, overwritten ones included; absent until somebody looked.
    approximate_bytes: Option<u64>,
    /// The same in records.
    approximate_records: Option<u64>,
    /// The region that it is being merged into; it serves nobody meanwhile.
    merging_into: Option<u64>,
}

#[derive(Debug, Serialize)]
struct EpochStatus {
    version: u64,
    conf_version: u64,
}

/// Named as in the topology file.
#[derive(Debug, Serialize)]
struct PeerStatus {
    store_id: u64,
    peer_id: u64,
}

pub(super) async fn status(State(pages): State<Pages<RocksEngine>>) -> Json<StoreStatus> {
    let raftstore = pages.executor.raftstore();
    Json(StoreStatus {
        store_id: raftstore.store_id().0,
        version: env!("CARGO_PKG_VERSION"),
        addr: pages.address.to_string(),
        auto_split: pages.auto_split.as_str(),
        regions: raftstore.regions().iter().map(region).collect(),
    })
}

fn region(status: &RegionStatus) -> RegionOnStore {
    let state = &status.state;
    let epoch = state.region.epoch();
    RegionOnStore {
        id: state.region.id,
        start_key: bound_text(&state.region.start_key),
        end_key: bound_text(&state.region.end_key),
        epoch: EpochStatus { version: epoch.version, conf_version: epoch.conf_ver },
        peers: state.region.peers.iter().map(peer).collect(),
        role: match state.role {
            Role::Leader => "leader",
            Role::Follower => "follower",
            Role::Candidate => "candidate",
        },
        leader: state.leader.as_ref().map(peer),
        term: state.term,
        applied_index: status.applied_index,
        committed_index: status.committed_index,
        last_index: status.last_index,
        asleep: status.is_asleep,
        lease_ms: status.lease_ms,
        approximate_bytes: status.size.map(|size| size.bytes),
        approximate_records: status.size.map(|size| size.records),
        merging_into: status.merging_into.map(|region| region.0),
    }
}

fn peer(peer: &Peer) -> PeerStatus {
    PeerStatus { store_id: peer.store_id, peer_id: peer.id }
}
