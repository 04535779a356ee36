//! A directory for callers who know only addresses: it asks the stores who they are and which regions they have.
//! NoKV's servers have a call for the regions. TinyKv has none for either, but its region errors tell.
//!
//! ```text
//! a request to an impossible store   → StoreNotMatch: the address's store id
//! region 1, 2, 3, … at an epoch of 0 → RegionNotFound, or NotLeader: ask that one, or EpochNotMatch: the region itself
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use nokv_proto::{errorpb, kvrpcpb, metapb};
use tokio::sync::Mutex;

use crate::asking::ask;
use crate::directory::{DirectoryError, Located, RegionDirectory};
use crate::region_cache::RegionCache;
use crate::rpc::Rpc;

/// Region ids asked for at once; the key that is looked for is mostly found in the first.
const ROUND: u64 = 32;
/// The last region id asked for. A cluster with larger ids needs a topology or placement.
const REGION_ID_MAX: u64 = 1_024;
const QUESTION_TIMEOUT: Duration = Duration::from_secs(1);
const NO_STORE: u64 = u64::MAX;

/// Learns stores and regions from the stores at some addresses. Costs some hundred small requests when first asked,
/// and finds regions with ids up to 1,024.
pub struct DiscoveringDirectory {
    rpc: Arc<dyn Rpc>,
    addresses: Vec<String>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    stores: BTreeMap<u64, String>,
    regions: RegionCache,
}

impl DiscoveringDirectory {
    /// Asks the stores at `addresses` (host:port). Nothing is asked yet.
    pub fn new(rpc: Arc<dyn Rpc>, addresses: impl IntoIterator<Item = String>) -> Self {
        DiscoveringDirectory { rpc, addresses: addresses.into_iter().collect(), known: Mutex::default() }
    }

    /// Sends a request that no store can serve, to read the region error.
    async fn question(&self, address: &str, region_id: u64, store_id: u64) -> Option<errorpb::Error> {
        let context = kvrpcpb::Context {
            region_id,
            region_epoch: Some(metapb::RegionEpoch::default()),
            peer: Some(metapb::Peer { store_id, ..Default::default() }),
            ..Default::default()
        };
        let request = kvrpcpb::RawGetRequest { context: Some(context), key: vec![0].into(), ..Default::default() };
        let answer = tokio::time::timeout(QUESTION_TIMEOUT, self.rpc.raw_get(address, request)).await;
        answer.ok()?.ok()?.region_error.map(|error| *error)
    }

    /// Finds out the stores of the addresses that have not said it yet.
    async fn meet_stores(&self, stores: &mut BTreeMap<u64, String>) {
        let known: Vec<&String> = stores.values().collect();
        let mut unknown = self.addresses.clone();
        unknown.retain(|address| !known.contains(&address));
        let answers = join_all(unknown.iter().map(|address| self.question(address, 1, NO_STORE))).await;
        for (address, answer) in unknown.into_iter().zip(answers) {
            if let Some(wrong) = answer.and_then(|error| error.store_not_match) {
                stores.insert(wrong.actual_store_id, address);
            }
        }
    }

    /// The region with this id as its leader describes it, with what the leader says of its neighbours.
    async fn meet_region(&self, region_id: u64, stores: &BTreeMap<u64, String>) -> Vec<Located> {
        let mut to_ask: Vec<u64> = stores.keys().rev().copied().collect();
        let mut asked = Vec::new();
        while let Some(store_id) = to_ask.pop() {
            let Some(address) = stores.get(&store_id).filter(|_| !asked.contains(&store_id)) else { continue };
            asked.push(store_id);
            let Some(error) = self.question(address, region_id, store_id).await else { continue };
            if let Some(leader) = error.not_leader.and_then(|not_leader| not_leader.leader) {
                to_ask.push(leader.store_id);
            }
            if let Some(epoch) = error.epoch_not_match {
                let located = |region: metapb::Region| {
                    let leads = |peer: &&metapb::Peer| region.id == region_id && peer.store_id == store_id;
                    let leader = region.peers.iter().find(leads).copied();
                    Located { region, leader }
                };
                return epoch.current_regions.into_iter().map(located).collect();
            }
        }
        Vec::new()
    }

    async fn find(&self, key: &[u8]) -> Result<Option<Located>, DirectoryError> {
        let mut known = self.known.lock().await;
        let Known { stores, regions } = &mut *known;
        if let Some(found) = regions.find(key) {
            return Ok(Some(found.located()));
        }
        if let Some(found) = ask(self.rpc.as_ref(), self.addresses.iter().map(String::as_str), key).await {
            return Ok(found);
        }
        self.meet_stores(stores).await;
        if stores.is_empty() {
            return Err(DirectoryError(format!("no store answers at {}", self.addresses.join(", "))));
        }
        for first in (1..=REGION_ID_MAX).step_by(usize::try_from(ROUND).unwrap_or(usize::MAX)) {
            let met = join_all((first..first + ROUND).map(|region_id| self.meet_region(region_id, stores))).await;
            for located in met.into_iter().flatten() {
                regions.insert(located);
            }
            if let Some(found) = regions.find(key) {
                return Ok(Some(found.located()));
            }
        }
        Ok(None)
    }
}

impl RegionDirectory for DiscoveringDirectory {
    fn region<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Located>, DirectoryError>> {
        Box::pin(self.find(key))
    }

    fn address(&self, store_id: u64) -> BoxFuture<'_, Result<Option<String>, DirectoryError>> {
        Box::pin(async move {
            let mut known = self.known.lock().await;
            if !known.stores.contains_key(&store_id) {
                self.meet_stores(&mut known.stores).await;
            }
            Ok(known.stores.get(&store_id).cloned())
        })
    }
}
