//! Who leads what, asked from the stores themselves: one harmless read to every peer of every region.
//!
//! A peer that leads answers the read; another says who leads; one with newer metadata hands it over, and the survey
//! goes on with that. Walks the keyspace from its beginning, so each key is told of once, whatever has split.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use nokv_client::{Rpc, Timestamp};
use nokv_percolator::Key;
use nokv_proto::{errorpb, kvrpcpb, metapb};

/// How often newer metadata is followed at one place; more means that stores contradict each other.
const REDIRECTS_MAX: usize = 16;

/// One region as its stores have it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SurveyedRegion {
    pub(super) region: metapb::Region,
    /// In the region's order.
    pub(super) peers: Vec<(metapb::Peer, PeerState)>,
}

/// What one peer said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PeerState {
    /// It serves.
    Leader,
    /// It follows; the store that it believes to lead, if it knows.
    Follower { leader_store: Option<u64> },
    /// It did not answer, or not about this region.
    Silent { reason: String },
}

impl SurveyedRegion {
    /// The store that leads.
    pub(super) fn leader_store(&self) -> Option<u64> {
        self.peers.iter().find(|(_, state)| *state == PeerState::Leader).map(|(peer, _)| peer.store_id)
    }
}

/// Asks about every region, beginning with what is known of them. `address` gives a store's.
pub(super) async fn survey(
    rpc: &dyn Rpc,
    mut known: Vec<metapb::Region>,
    address: impl Fn(u64) -> Option<String>,
    patience: Duration,
) -> Vec<SurveyedRegion> {
    let mut surveyed = Vec::new();
    let mut cursor = Bytes::new();
    let mut redirects = 0;
    while let Some(region) = newest_at(&known, &cursor).cloned() {
        let probes = region.peers.iter().map(|peer| probe(rpc, &region, peer, address(peer.store_id), patience));
        let (peers, newer): (Vec<_>, Vec<_>) = join_all(probes).await.into_iter().unzip();
        if redirects < REDIRECTS_MAX && learn(&mut known, newer.into_iter().flatten()) {
            redirects += 1;
            continue;
        }
        redirects = 0;
        cursor = region.end_key.clone();
        let peers = region.peers.iter().copied().zip(peers).collect();
        surveyed.push(SurveyedRegion { region, peers });
        if cursor.is_empty() {
            break;
        }
    }
    surveyed
}

/// Asks one peer; also returns regions that it knows better.
async fn probe(
    rpc: &dyn Rpc,
    region: &metapb::Region,
    peer: &metapb::Peer,
    address: Option<String>,
    patience: Duration,
) -> (PeerState, Vec<metapb::Region>) {
    let silent = |reason: String| (PeerState::Silent { reason }, Vec::new());
    let Some(address) = address else { return silent(format!("store {} has no address", peer.store_id)) };
    // At timestamp 1 nothing is visible and nothing locked, and a reader at 1 holds up nobody.
    let request = kvrpcpb::GetRequest {
        context: Some(kvrpcpb::Context {
            region_id: region.id,
            region_epoch: region.region_epoch,
            peer: Some(*peer),
            ..Default::default()
        }),
        key: first_key(region),
        version: Timestamp(1).0,
        ..Default::default()
    };
    match tokio::time::timeout(patience, rpc.kv_get(&address, request)).await {
        Err(_) => silent(format!("no answer within {} s", patience.as_secs())),
        Ok(Err(error)) => silent(error.to_string()),
        Ok(Ok(response)) => match response.region_error {
            None => (PeerState::Leader, Vec::new()),
            Some(error) => refused(*error),
        },
    }
}

fn refused(error: errorpb::Error) -> (PeerState, Vec<metapb::Region>) {
    if let Some(not_leader) = error.not_leader {
        let leader_store = not_leader.leader.map(|leader| leader.store_id).filter(|store| *store != 0);
        return (PeerState::Follower { leader_store }, Vec::new());
    }
    let newer = error.epoch_not_match.map(|epoch| epoch.current_regions).unwrap_or_default();
    (PeerState::Silent { reason: error.message }, newer)
}

/// The first user key that can lie in the region.
fn first_key(region: &metapb::Region) -> Bytes {
    match Key::decode_encoded(&region.start_key) {
        Ok(key) if !key.is_empty() => key.into(),
        // No bound, or one that no key encodes to: the store's answer tells.
        _ => Bytes::from_static(&[0]),
    }
}

/// Of the regions that hold a key, the one with the newest epoch.
fn newest_at<'a>(known: &'a [metapb::Region], key: &[u8]) -> Option<&'a metapb::Region> {
    let holds = |region: &&metapb::Region| {
        region.start_key.as_ref() <= key && (region.end_key.is_empty() || key < region.end_key.as_ref())
    };
    known.iter().filter(holds).max_by_key(|region| epoch(region))
}

/// Takes over newer regions; true if there were any.
pub(super) fn learn(known: &mut Vec<metapb::Region>, newer: impl Iterator<Item = metapb::Region>) -> bool {
    let mut learned = false;
    for region in newer {
        match known.iter_mut().find(|old| old.id == region.id) {
            Some(old) if epoch(old) >= epoch(&region) => continue,
            Some(old) => *old = region,
            None => known.push(region),
        }
        learned = true;
    }
    learned
}

fn epoch(region: &metapb::Region) -> (u64, u64) {
    region.region_epoch.as_ref().map(|epoch| (epoch.version, epoch.conf_ver)).unwrap_or_default()
}

#[cfg(test)]
#[path = "region_survey_tests.rs"]
mod tests;
