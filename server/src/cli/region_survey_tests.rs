//! The survey against stores played from memory: who leads, who is silent, and metadata newer than the file's.
//!
//! Only reads may arrive: any other call is a defect and panics.

use std::collections::BTreeMap;

use nokv_client::{Reply, RpcError};
use nokv_proto::tinykvpb;

use super::*;

/// Answers by store and region; a store without an answer cannot be reached.
struct Stores(BTreeMap<(u64, u64), kvrpcpb::GetResponse>);

macro_rules! never {
    ($($method:ident($request:ty) -> $response:ty;)*) => {
        $(fn $method<'a>(&'a self, _: &'a str, _: $request) -> Reply<'a, $response> {
            panic!("the survey sent {}", stringify!($method))
        })*
    };
}

impl Rpc for Stores {
    fn kv_get<'a>(&'a self, address: &'a str, request: kvrpcpb::GetRequest) -> Reply<'a, kvrpcpb::GetResponse> {
        let context = request.context.unwrap();
        let store: u64 = address.strip_prefix("store-").unwrap().parse().unwrap();
        assert_eq!(context.peer.as_ref().unwrap().store_id, store, "asks the store about its own peer");
        assert!(!request.key.is_empty() && request.version == 1);
        let answer = self.0.get(&(store, context.region_id)).cloned();
        Box::pin(std::future::ready(answer.ok_or_else(|| RpcError::Unreachable("refused".into()))))
    }

    never! {
        kv_scan(kvrpcpb::ScanRequest) -> kvrpcpb::ScanResponse;
        kv_prewrite(tinykvpb::PrewriteRequest) -> kvrpcpb::PrewriteResponse;
        kv_commit(kvrpcpb::CommitRequest) -> kvrpcpb::CommitResponse;
        kv_check_txn_status(tinykvpb::CheckTxnStatusRequest) -> tinykvpb::CheckTxnStatusResponse;
        kv_batch_rollback(kvrpcpb::BatchRollbackRequest) -> kvrpcpb::BatchRollbackResponse;
        kv_resolve_lock(kvrpcpb::ResolveLockRequest) -> kvrpcpb::ResolveLockResponse;
        raw_get(kvrpcpb::RawGetRequest) -> kvrpcpb::RawGetResponse;
        raw_put(kvrpcpb::RawPutRequest) -> kvrpcpb::RawPutResponse;
        raw_delete(kvrpcpb::RawDeleteRequest) -> kvrpcpb::RawDeleteResponse;
        raw_scan(tinykvpb::RawScanRequest) -> tinykvpb::RawScanResponse;
    }
}

fn peer(id: u64, store_id: u64) -> metapb::Peer {
    metapb::Peer { id, store_id, ..Default::default() }
}

fn region(id: u64, start: &str, end: &str, version: u64) -> metapb::Region {
    let bound = |key: &str| if key.is_empty() { Bytes::new() } else { Key::encode(key.as_bytes()).into_encoded() };
    metapb::Region {
        id,
        start_key: bound(start),
        end_key: bound(end),
        region_epoch: Some(metapb::RegionEpoch { version, conf_ver: 1 }),
        peers: vec![peer(id * 10 + 1, 1), peer(id * 10 + 2, 2)],
        ..Default::default()
    }
}

fn served() -> kvrpcpb::GetResponse {
    kvrpcpb::GetResponse { not_found: true, ..Default::default() }
}

fn error(error: errorpb::Error) -> kvrpcpb::GetResponse {
    kvrpcpb::GetResponse { region_error: Some(Box::new(error)), ..Default::default() }
}

fn not_leader(leader: Option<metapb::Peer>) -> kvrpcpb::GetResponse {
    error(errorpb::Error { not_leader: Some(errorpb::NotLeader { region_id: 1, leader }), ..Default::default() })
}

fn newer(current_regions: Vec<metapb::Region>) -> kvrpcpb::GetResponse {
    let epoch_not_match = Some(errorpb::EpochNotMatch { current_regions });
    error(errorpb::Error { message: "epoch".into(), epoch_not_match, ..Default::default() })
}

async fn ask(stores: Stores, known: Vec<metapb::Region>) -> Vec<SurveyedRegion> {
    survey(&stores, known, |store| (store < 9).then(|| format!("store-{store}")), Duration::from_secs(5)).await
}

fn leaders(surveyed: &[SurveyedRegion]) -> Vec<(u64, Option<u64>)> {
    surveyed.iter().map(|region| (region.region.id, region.leader_store())).collect()
}

#[tokio::test]
async fn every_peer_is_asked() {
    let mut first = region(1, "", "m", 1);
    first.peers.push(peer(19, 9));
    let stores = Stores(BTreeMap::from([
        ((1, 1), not_leader(Some(peer(12, 2)))),
        ((2, 1), served()),
        ((1, 2), not_leader(None)),
    ]));
    let surveyed = ask(stores, vec![region(2, "m", "", 1), first]).await;
    assert_eq!(leaders(&surveyed), [(1, Some(2)), (2, None)], "in the order of keys");
    let states: Vec<&PeerState> = surveyed.iter().flat_map(|region| &region.peers).map(|(_, state)| state).collect();
    assert_eq!(
        states,
        [
            &PeerState::Follower { leader_store: Some(2) },
            &PeerState::Leader,
            &PeerState::Silent { reason: "store 9 has no address".into() },
            &PeerState::Follower { leader_store: None },
            &PeerState::Silent { reason: "cannot connect: refused".into() },
        ]
    );
}

#[tokio::test]
async fn a_split_that_the_file_does_not_know_is_followed() {
    let halves = vec![region(1, "", "f", 2), region(7, "f", "m", 2)];
    let mut stores = BTreeMap::from([((1, 7), served()), ((1, 2), served())]);
    // Region 1 answers with what it knows for as long as the old epoch is asked for: here, always; the second time it
    // is no news, and the survey goes on.
    stores.insert((1, 1), newer(halves));
    stores.insert((2, 1), served());
    let surveyed = ask(Stores(stores), vec![region(1, "", "m", 1), region(2, "m", "", 1)]).await;
    assert_eq!(leaders(&surveyed), [(1, Some(2)), (7, Some(1)), (2, Some(1))]);
    assert_eq!(surveyed[0].region.end_key, Key::encode(b"f").into_encoded());
}

#[tokio::test]
async fn a_region_whose_neighbour_is_unknown_ends_the_walk() {
    let surveyed = ask(Stores(BTreeMap::from([((1, 1), served())])), vec![region(1, "", "m", 1)]).await;
    assert_eq!(leaders(&surveyed), [(1, Some(1))]);
}
