//! The cluster's timestamps: the production allocator on a wall clock that jumps, with a bound on a disk that survives
//! its crashes. It can be down; its answers can be lost.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use nokv_client::{OracleError, TimestampOracle};
use nokv_percolator::Timestamp;
use nokv_server::tso::{AllocateError, Allocator, ClockReading, Decision};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::clock::WALL_MS;
use super::{PlacementWay, World};
use crate::random::Random;

/// The service, shared by all clients.
#[derive(Debug)]
pub struct SimOracle {
    begin: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    random: Random,
    /// `None` while it is down.
    allocator: Option<Allocator>,
    durable_bound_ms: u64,
    /// How far the wall clock is off, in milliseconds; negative = behind.
    wall_off_ms: i64,
}

impl SimOracle {
    pub(super) fn new(random: Random, begin: Instant) -> Self {
        let state = State { random, allocator: None, durable_bound_ms: 0, wall_off_ms: 0 };
        SimOracle { begin, state: Mutex::new(state) }
    }

    fn reading(&self, state: &State) -> ClockReading {
        let steady_ms = u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        ClockReading { wall_ms: (WALL_MS + steady_ms).saturating_add_signed(state.wall_off_ms), steady_ms }
    }

    /// Starts it, at the bound that it left on its disk.
    pub fn start(&self) {
        let mut state = self.state.lock();
        let reading = self.reading(&state);
        if state.allocator.is_none() {
            state.allocator = Some(Allocator::starting_at(state.durable_bound_ms, reading));
        }
    }

    /// Kills it.
    pub fn kill(&self) {
        self.state.lock().allocator = None;
    }

    /// Sets its wall clock forward or back by up to `ms_max`.
    pub fn jump(&self, ms_max: u64) {
        let mut state = self.state.lock();
        let by = i64::try_from(state.random.between(0, ms_max * 2)).unwrap_or(0);
        state.wall_off_ms += by - i64::try_from(ms_max).unwrap_or(0);
    }

    fn allocate(&self, count: u32) -> Result<Timestamp, OracleError> {
        let mut state = self.state.lock();
        let reading = self.reading(&state);
        // Once for the bound, once more after it is durable.
        for _ in 0..3 {
            let Some(allocator) = state.allocator.as_mut() else { break };
            match allocator.allocate(reading, count) {
                Ok(Decision::Granted { first }) => return Ok(Timestamp(first)),
                Ok(Decision::BoundNeeded { bound_ms }) => {
                    allocator.bound_is_durable(bound_ms);
                    state.durable_bound_ms = bound_ms;
                }
                Err(error @ AllocateError::TooFast { .. }) => return Err(OracleError::Unavailable(error.to_string())),
                Err(error) => return Err(OracleError::Protocol(error.to_string())),
            }
        }
        Err(OracleError::Unavailable("it is down".to_owned()))
    }
}

/// One client's way to the oracle.
pub struct OracleLink {
    world: Arc<World>,
    random: Mutex<Random>,
    /// Where placement gives the timestamps.
    placement: Option<Arc<PlacementWay>>,
}

impl OracleLink {
    /// The way of one client, or of one store.
    pub fn new(world: &Arc<World>, who: u64) -> Arc<Self> {
        let placement = PlacementWay::new(world, who);
        Arc::new(OracleLink { world: world.clone(), random: Mutex::new(world.random()), placement })
    }

    fn delays(&self) -> (Duration, Option<Duration>) {
        let faults = self.world.weather.lock().client_links;
        let mut random = self.random.lock();
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let mut delay = || random.micros(micros(faults.delay_min), micros(faults.delay_max));
        let (there, back) = (delay(), delay());
        (there, (!random.chance(u64::from(faults.drop_permille))).then_some(back))
    }
}

impl TimestampOracle for OracleLink {
    fn timestamps(&self, count: u32) -> BoxFuture<'_, Result<Timestamp, OracleError>> {
        Box::pin(async move {
            if let Some(placement) = &self.placement {
                return placement.timestamps(count).await;
            }
            let (there, back) = self.delays();
            // What anybody got before this call must be lower.
            let floor = self.world.invariants.timestamps.highest();
            if !there.is_zero() {
                tokio::time::sleep(there).await;
            }
            let granted = self.world.oracle.allocate(count)?;
            let held = self.world.invariants.timestamps.granted(floor, granted, count);
            self.world.expect("timestamps are unique and rise", held);
            let Some(back) = back else { return std::future::pending().await };
            if !back.is_zero() {
                tokio::time::sleep(back).await;
            }
            Ok(granted)
        })
    }
}
