//! Settles timestamps in the regions that this store leads and that somebody reads in the past: every so often one
//! timestamp for all of them, and one question to each other store, whatever the number of regions.
//!
//! The question is kvproto's `CheckLeader`: "in these regions and terms, do you follow me?" It carries along what its
//! last turn has settled, so that a follower is a turn behind, and a store that nobody reads so asks nothing at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use nokv_engine::Engine;
use nokv_percolator::Timestamp;
use nokv_proto::kvrpcpb::{CheckLeaderRequest, CheckLeaderResponse, LeaderInfo, ReadState};
use nokv_raftstore::RegionExt as _;
use nokv_transport::{PeerId, RegionId, StoreId};
use tokio::time::{sleep, timeout};

use crate::executor::{Claim, Executor, Settled};

/// How long the others are waited for; who is later is not counted.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// The stores that may follow this one.
pub trait Followers: Send + Sync + 'static {
    /// Asks `store` in which of these regions it follows; `None` if it does not answer.
    fn check_leader(&self, store: StoreId, request: CheckLeaderRequest) -> BoxFuture<'_, Option<CheckLeaderResponse>>;
}

/// Settles timestamps, one for a store.
pub struct Settler<E: Engine> {
    executor: Executor<E>,
    followers: Arc<dyn Followers>,
    interval: Duration,
    /// By region, for whom to tell.
    settled: BTreeMap<RegionId, Settled>,
}

impl<E: Engine> Settler<E> {
    /// On the regions of `executor`, a turn every `interval`.
    pub fn new(executor: Executor<E>, followers: Arc<dyn Followers>, interval: Duration) -> Self {
        Self { executor, followers, interval, settled: BTreeMap::new() }
    }

    /// Settles until the task is given up.
    pub async fn run(mut self) {
        loop {
            sleep(self.interval).await;
            self.turn().await;
        }
    }

    /// One turn.
    pub async fn turn(&mut self) {
        let claims = self.executor.claim().await;
        self.settled.retain(|region, _| claims.iter().any(|claim| claim.region_id() == *region));
        self.executor.forget_settled();
        if claims.is_empty() {
            return;
        }
        let follow = self.ask(&claims).await;
        for claim in claims {
            let region = claim.region_id();
            let says = |store: StoreId| follow.get(&store).is_some_and(|regions| regions.contains(&region.0));
            if claim.standing.is_quorum(says) {
                self.executor.learn_settled(region, claim.settled);
                self.settled.insert(region, claim.settled);
            }
        }
    }

    /// Which regions each store says to follow in, having told them what was settled before.
    async fn ask(&self, claims: &[Claim]) -> BTreeMap<StoreId, BTreeSet<u64>> {
        let mut infos: BTreeMap<StoreId, Vec<LeaderInfo>> = BTreeMap::new();
        for claim in claims {
            let state = &claim.standing.state;
            let info = LeaderInfo {
                region_id: state.region.id,
                peer_id: state.peer.id,
                term: state.term,
                region_epoch: state.region.region_epoch,
                read_state: self.told(claim),
            };
            for peer in state.region.peers.iter().filter(|peer| peer.id != state.peer.id) {
                infos.entry(StoreId(peer.store_id)).or_default().push(info);
            }
        }
        let asked = infos.into_iter().map(|(store, regions)| async move {
            let request = CheckLeaderRequest { regions, ts: 0 };
            let answer = timeout(ANSWER_MAX, self.followers.check_leader(store, request)).await.ok().flatten();
            (store, answer.map(|answer| answer.regions.into_iter().collect()).unwrap_or_default())
        });
        join_all(asked).await.into_iter().collect()
    }

    /// What an earlier turn settled, as long as the region is the same.
    fn told(&self, claim: &Claim) -> Option<ReadState> {
        let settled = self.settled.get(&claim.region_id()).filter(|it| it.version == claim.settled.version)?;
        Some(ReadState { applied_index: settled.index, safe_ts: settled.ts.0 })
    }
}

impl Claim {
    fn region_id(&self) -> RegionId {
        self.standing.state.region.region_id()
    }
}

impl<E: Engine> fmt::Debug for Settler<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settler").field("interval", &self.interval).finish_non_exhaustive()
    }
}

/// Answers another store's question, and takes in what it has settled.
pub fn check_leader<E: Engine>(executor: &Executor<E>, request: &CheckLeaderRequest) -> CheckLeaderResponse {
    let mut response = CheckLeaderResponse::default();
    for info in &request.regions {
        let region = RegionId(info.region_id);
        let version = info.region_epoch.unwrap_or_default().version;
        if let Some(ReadState { applied_index, safe_ts }) = info.read_state {
            executor.learn_settled(region, Settled { ts: Timestamp(safe_ts), index: applied_index, version });
        }
        if executor.raftstore().follows(region, PeerId(info.peer_id), info.term) {
            response.regions.push(info.region_id);
        }
    }
    response
}
