//! The way to placement, which runs on nodes and a network of its own: for whoever wants timestamps, and for stores
//! that tell how they are. Stands in for gRPC: questions and answers are late and lost as those of clients are; one who
//! is not answered, or told that another leads, asks the next.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use nokv_client::OracleError;
use nokv_engine::MemoryEngine;
use nokv_percolator::Timestamp;
use nokv_server::placement::{Placement, PlacementError};
use nokv_transport::StoreId;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Slot, World};
use crate::random::Random;

/// How long one node is waited for.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// How long timestamps are asked for.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause before the next try.
const PAUSE: Duration = Duration::from_millis(25);
/// Of a thousand questions, how many go to whoever led before, or never did.
const ASTRAY_PERMILLE: u64 = 100;

/// See the file's head.
pub struct PlacementWay {
    world: Arc<World>,
    placement: Arc<World>,
    state: Mutex<State>,
}

struct State {
    random: Random,
    /// Who led when it was heard of last.
    leader: StoreId,
}

impl PlacementWay {
    /// The way of somebody in `world`; `None` if that has no placement.
    pub fn new(world: &Arc<World>, who: u64) -> Option<Arc<Self>> {
        let placement = world.options.placement.clone()?;
        let random = Random::new(world.options.seed ^ who.rotate_right(16), "placement's askers");
        let state = Mutex::new(State { random, leader: StoreId(1) });
        Some(Arc::new(PlacementWay { world: world.clone(), placement, state }))
    }

    /// `count` timestamps that follow one another; the first.
    ///
    /// # Errors
    /// Nobody could give them in time.
    pub async fn timestamps(&self, count: u32) -> Result<Timestamp, OracleError> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let rule = self.world.clone();
            // What anybody was given before this was asked must be lower.
            let floor = self.world.invariants.timestamps.highest();
            let asked = self.ask(move |placement| async move {
                let first = Timestamp(placement.timestamps(count).await?);
                rule.expect("timestamps are unique and rise", rule.invariants.timestamps.given(floor, first, count));
                Ok(first)
            });
            if let Some(first) = asked.await {
                return Ok(first);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(OracleError::Unavailable("placement does not answer".to_owned()))
    }

    /// Has the node that seems to lead placement answer; `None` if it does not, or refuses.
    pub async fn ask<A, F>(&self, serve: impl FnOnce(Placement<MemoryEngine>) -> F + Send + 'static) -> Option<A>
    where
        A: Send + 'static,
        F: Future<Output = Result<A, PlacementError>> + Send + 'static,
    {
        let (to, there, back) = self.fate();
        let (answer, told) = oneshot::channel();
        if let Some(there) = there {
            let placement = self.placement.clone();
            tokio::spawn(async move {
                tokio::time::sleep(there).await;
                let Some(node) = placement.slot(to).and_then(Slot::node) else { return };
                let Some(serving) = node.placement.clone() else { return };
                node.spawn(&placement, async move {
                    // Whoever asked may have lost patience.
                    let _ = answer.send(serve(serving).await);
                });
            });
        }
        let answered = tokio::time::timeout(ANSWER_MAX, told).await;
        match (answered, back) {
            (Ok(Ok(Ok(answer))), Some(back)) => {
                tokio::time::sleep(back).await;
                Some(answer)
            }
            (answered, _) => {
                if let Ok(Ok(Err(error @ PlacementError::Refused(_)))) = answered {
                    self.world.note(format_args!("placement refuses: {error}"));
                }
                self.look_elsewhere(to);
                None
            }
        }
    }

    fn look_elsewhere(&self, from: StoreId) {
        let stores = self.placement.options.stores;
        self.state.lock().leader = StoreId(from.0 % stores + 1);
    }

    /// Who is asked, how long the question takes to get there, and the answer back; `None` if it is lost.
    fn fate(&self) -> (StoreId, Option<Duration>, Option<Duration>) {
        let faults = self.world.weather.lock().client_links;
        let mut state = self.state.lock();
        let State { random, leader } = &mut *state;
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let (least, most) = (micros(faults.delay_min).max(1), micros(faults.delay_max).max(1));
        let mut way = || {
            let delay = random.micros(least, most);
            (!random.chance(u64::from(faults.drop_permille))).then_some(delay)
        };
        let (there, back) = (way(), way());
        let astray = random.chance(ASTRAY_PERMILLE);
        let to = if astray { StoreId(random.between(1, self.placement.options.stores)) } else { *leader };
        (to, there, back)
    }
}

impl std::fmt::Debug for PlacementWay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlacementWay").field("leader", &self.state.lock().leader).finish_non_exhaustive()
    }
}
