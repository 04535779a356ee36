//! What stores ask each other by calls, beside Raft: how far a replica has to be to serve a read, and who follows whom.
//! Their links delay and lose as those of clients do, and are cut where raft's are; what was sent goes on, though
//! nobody waits for it any more.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use nokv_percolator::Timestamp;
use nokv_proto::kvrpcpb::{CheckLeaderRequest, CheckLeaderResponse};
use nokv_proto::metapb::Peer;
use nokv_raftstore::{RegionError, RequestContext};
use nokv_server::executor::{ExecuteError, Leaders};
use nokv_server::settler::{Followers, check_leader};
use nokv_transport::StoreId;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{Node, World};
use crate::random::Random;

/// How long an answer is waited for.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// How long a question that is late arrives after the others, at most.
const LATE_MS_MAX: u64 = 6_000;

/// One store's way to the others.
pub struct StoreLink {
    world: Arc<World>,
    store: StoreId,
    random: Mutex<Random>,
}

impl StoreLink {
    /// The way of `store`.
    pub fn new(world: &Arc<World>, store: StoreId) -> Arc<Self> {
        let seed = world.options.seed ^ store.0.rotate_right(16);
        Arc::new(StoreLink { world: world.clone(), store, random: Mutex::new(Random::new(seed, "stores")) })
    }

    /// How long a question travels and its answer; `None` if it is lost.
    fn fate(&self) -> (Option<Duration>, Option<Duration>) {
        let weather = self.world.weather.lock();
        let (faults, late_permille) = (weather.client_links, weather.late_permille);
        drop(weather);
        let mut random = self.random.lock();
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let mut way = || {
            let mut delay = random.micros(micros(faults.delay_min), micros(faults.delay_max));
            if random.chance(late_permille) {
                delay += random.millis(0, LATE_MS_MAX);
            }
            (!random.chance(u64::from(faults.drop_permille))).then_some(delay)
        };
        (way(), way())
    }

    /// Has the store `to` answer; `None` if no answer comes.
    async fn call<A, F>(
        &self,
        to: StoreId,
        name: &'static str,
        serve: impl FnOnce(Arc<Node>) -> F + Send + 'static,
    ) -> Option<A>
    where
        A: Send + 'static,
        F: Future<Output = A> + Send + 'static,
    {
        let (there, back) = self.fate();
        let (answer, told) = oneshot::channel();
        if let Some(there) = there {
            let (world, from) = (self.world.clone(), self.store);
            tokio::spawn(async move {
                pause(there).await;
                if world.network.is_cut(from, to) {
                    return;
                }
                let Some(node) = world.slot(to).and_then(super::Slot::node) else { return };
                world.note(format_args!("store {from}: {name} at store {to}"));
                let serving = node.clone();
                node.spawn(&world, async move {
                    let _ = answer.send(serve(serving).await);
                });
            });
        }
        let answer = tokio::time::timeout(ANSWER_MAX, told).await.ok()?.ok()?;
        pause(back?).await;
        (!self.world.network.is_cut(to, self.store)).then_some(answer)
    }
}

async fn pause(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

impl Leaders for StoreLink {
    fn read_index<'a>(
        &'a self,
        leader: Peer,
        context: &'a RequestContext,
        version: Timestamp,
    ) -> BoxFuture<'a, Result<u64, RegionError>> {
        let asked = RequestContext { peer: Some(leader), replica_read: false, ..context.clone() };
        Box::pin(async move {
            let serve = move |node: Arc<Node>| async move { node.executor.read_index(&asked, version).await };
            let busy = || RegionError::ServerIsBusy { reason: "the leader is silent".to_owned(), backoff_ms: 100 };
            match self.call(StoreId(leader.store_id), "read_index", serve).await {
                Some(Ok(index)) => Ok(index),
                Some(Err(ExecuteError::Region(error))) => Err(error),
                Some(Err(_)) | None => Err(busy()),
            }
        })
    }
}

impl Followers for StoreLink {
    fn check_leader(&self, store: StoreId, request: CheckLeaderRequest) -> BoxFuture<'_, Option<CheckLeaderResponse>> {
        let serve = move |node: Arc<Node>| async move { check_leader(&node.executor, &request) };
        Box::pin(self.call(store, "check_leader", serve))
    }
}

impl std::fmt::Debug for StoreLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreLink").field("store", &self.store).finish_non_exhaustive()
    }
}
