//! The one task that decides. What has arrived while the last round was replicated is the next round: all of it is
//! decided in order on the state in memory, proposed as one batch, and answered when that is applied.

use std::sync::Arc;
use std::time::Duration;

use nokv_engine::{Engine, WriteBatch};
use nokv_placement::regions::Report;
use nokv_placement::schedule::Order;
use nokv_placement::state::{Command, IDS_MAX, LoadError, Reply, State};
use nokv_raftstore::{Proposal, RegionExt as _, Role, StoreError};
use slog::{info, warn};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};

use super::host::context;
use super::led::Led;
use super::{PLACEMENT_REGION, Placement, PlacementError};

/// How often it is looked whether this node leads, and whether a bound or ids run out.
const LOOK: Duration = Duration::from_millis(100);
/// How often the cluster is looked at as a whole, in milliseconds.
const TICK_MS: u64 = 2_000;
/// Requests decided in one round.
const ROUND_MAX: usize = 1_024;
/// Fewer ids for new peers than this are added to.
const PEER_IDS_MIN: u64 = 256;
/// How many are added.
const PEER_IDS_MORE: u32 = 1_024;

type Answer<R> = oneshot::Sender<Result<R, PlacementError>>;

/// What is to be decided.
#[derive(Debug)]
pub(super) enum Job {
    /// A command; answered when it is applied.
    Decide(Box<Command>, Answer<Reply>),
    /// A region's leader is heard of; answered at once with what it is to do.
    Heartbeat(Box<Report>, Answer<Option<Order>>),
}

/// What is told when the batch is applied.
struct Told {
    answer: Answer<Reply>,
    reply: Result<Reply, PlacementError>,
}

/// What becomes true of the leader's memory when the batch is applied.
#[derive(Default)]
struct Durable {
    peer_ids: Option<(u64, u32)>,
}

/// See the file's head.
pub(super) struct Steward<E: Engine> {
    placement: Placement<E>,
    on_failure: Arc<dyn Fn(StoreError) + Send + Sync>,
}

impl<E: Engine> Steward<E> {
    pub(super) fn new(placement: Placement<E>, on_failure: Arc<dyn Fn(StoreError) + Send + Sync>) -> Self {
        Self { placement, on_failure }
    }

    /// Runs until the last handle is gone, which is when the node ends.
    pub(super) async fn run(self, mut jobs: mpsc::Receiver<Job>) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut round = Vec::new();
            // What has arrived goes first: each round keeps house as well.
            tokio::select! {
                biased;
                job = jobs.recv() => match job {
                    Some(job) => round.push(job),
                    None => return,
                },
                _ = look.tick() => {}
            }
            while round.len() < ROUND_MAX {
                let Ok(job) = jobs.try_recv() else { break };
                round.push(job);
            }
            self.round(round).await;
        }
    }

    async fn round(&self, jobs: Vec<Job>) {
        if let Err(error) = self.lead().await {
            *self.placement.inner.led.lock() = None;
            jobs.into_iter().for_each(|job| job.refuse(&error));
            return;
        }
        let mut batch = WriteBatch::new();
        let mut told = Vec::new();
        let Ok((term, durable)) = self.placement.look(|led| {
            let now_ms = self.placement.now_ms();
            jobs.into_iter().for_each(|job| decide(led, job, now_ms, &mut batch, &mut told));
            (led.term, self.keep_house(led, now_ms, &mut batch))
        }) else {
            return;
        };
        let applied = self.propose(term, batch).await;
        if applied.is_ok() {
            // If the term has ended meanwhile, whoever leads now has read it.
            let _ = self.placement.look(|led| settle(led, term, &durable));
        } else {
            *self.placement.inner.led.lock() = None;
        }
        for told in told {
            // Whoever asked may have gone away.
            let _ = told.answer.send(applied.clone().and(told.reply));
        }
    }

    /// Makes sure that this node leads, and that what it knows is of this term.
    async fn lead(&self) -> Result<(), PlacementError> {
        let placement = &self.placement;
        let status = placement.inner.raftstore.region(PLACEMENT_REGION).ok_or(PlacementError::NotLeader)?;
        if status.state.role != Role::Leader {
            return Err(PlacementError::NotLeader);
        }
        if placement.look(|led| led.term == status.state.term).unwrap_or(false) {
            return Ok(());
        }
        let view = placement.inner.raftstore.view(&context()).await?;
        let term = view.term;
        let loaded = if placement.inner.machine.has_slow_disk {
            let loading = tokio::task::spawn_blocking(move || State::load(&view.view)).await;
            loading.map_err(|_| PlacementError::Stopping)?
        } else {
            State::load(&view.view)
        };
        let state = loaded.map_err(|error| self.fail(error))?;
        info!(placement.inner.log, "this node leads placement"; "term" => term, "regions" => state.regions().len());
        *placement.inner.led.lock() = Some(Led::begin(term, state, placement));
        Ok(())
    }

    /// The state cannot be read: this node must not go on as if nothing were wrong.
    fn fail(&self, error: LoadError) -> PlacementError {
        let what = match error {
            LoadError::Engine(error) => StoreError::Engine(error),
            LoadError::Unreadable { .. } => {
                StoreError::Unreadable { region: PLACEMENT_REGION, what: "one of placement's records" }
            }
        };
        (self.on_failure)(what);
        PlacementError::Stopping
    }

    async fn propose(&self, term: u64, batch: WriteBatch) -> Result<(), PlacementError> {
        if batch.is_empty() {
            return Ok(());
        }
        let epoch = self.placement.region_epoch();
        let proposal = Proposal { region_id: PLACEMENT_REGION, term, epoch, batch, held: Box::new(()) };
        let applied = self.placement.inner.raftstore.propose(proposal).await;
        if let Err(error) = &applied {
            warn!(self.placement.inner.log, "what placement decided was not applied"; "why" => %error);
        }
        applied.map_err(PlacementError::from)
    }

    /// What has to be decided without anybody asking.
    fn keep_house(&self, led: &mut Led, now_ms: u64, batch: &mut WriteBatch) -> Durable {
        let mut durable = Durable::default();
        self.found(led, now_ms, batch);
        if led.state.cluster_id() == 0 {
            return durable;
        }
        let mut decide = |led: &mut Led, command| led.state.decide(command, now_ms, batch);
        if let Some(bound_ms) = led.allocator.bound_soon_needed() {
            // It is refused by nobody, and never falls.
            let _ = decide(led, Command::RaiseTimestampBound { bound_ms });
        }
        if led.peer_ids.left(led.state.next_id()) < PEER_IDS_MIN
            && let Ok(Reply::Ids { first, count }) = decide(led, Command::AllocateIds { count: PEER_IDS_MORE })
        {
            durable.peer_ids = Some((first, count));
        }
        if led.next_tick_ms <= now_ms && led.state.is_bootstrapped() {
            led.next_tick_ms = now_ms + TICK_MS;
            let Led { scheduler, state, peer_ids, .. } = led;
            let next_id = state.next_id();
            let tick = scheduler.tick(state, now_ms, &mut || peer_ids.take(next_id));
            for command in tick.commands {
                if let Err(refusal) = led.state.decide(command, now_ms, batch) {
                    warn!(self.placement.inner.log, "what scheduling wants is refused"; "why" => %refusal);
                }
            }
        }
        durable
    }

    /// A cluster begins with whoever leads placement first.
    fn found(&self, led: &mut Led, now_ms: u64, batch: &mut WriteBatch) {
        let inner = &self.placement.inner;
        if led.state.cluster_id() != 0 {
            return;
        }
        let cluster_id = (inner.machine.draw)() >> 1 | 1;
        let (store, region) = (inner.store.clone(), Some(inner.options.first_region.clone()));
        let settings = inner.options.settings.clone();
        let begin =
            [Command::Found { cluster_id }, Command::Bootstrap { store, region }, Command::PutSettings(settings)];
        // Leaders tell of their regions one after the other, and the first of them may be given a new peer at once.
        let taken = u32::try_from(inner.options.highest_id).unwrap_or(IDS_MAX).min(IDS_MAX);
        let ids = (taken > 0).then_some(Command::AllocateIds { count: taken });
        for command in begin.into_iter().chain(ids) {
            if let Err(refusal) = led.state.decide(command, now_ms, batch) {
                warn!(inner.log, "the cluster cannot begin as it was described"; "why" => %refusal);
            }
        }
        info!(inner.log, "a new cluster begins"; "cluster" => cluster_id);
    }
}

impl Job {
    fn refuse(self, error: &PlacementError) {
        // Whoever asked may have gone away.
        match self {
            Job::Decide(_, answer) => drop(answer.send(Err(error.clone()))),
            Job::Heartbeat(_, answer) => drop(answer.send(Err(error.clone()))),
        }
    }
}

fn decide(led: &mut Led, job: Job, now_ms: u64, batch: &mut WriteBatch, told: &mut Vec<Told>) {
    match job {
        Job::Decide(command, answer) => {
            let reply = led.state.decide(*command, now_ms, batch).map_err(PlacementError::from);
            told.push(Told { answer, reply });
        }
        Job::Heartbeat(report, answer) => {
            let id = report.region.region_id();
            let taken = led.state.decide(Command::Report(report), now_ms, batch);
            let order = taken.map_err(PlacementError::from).map(|_| {
                let Led { scheduler, state, peer_ids, .. } = led;
                let next_id = state.next_id();
                scheduler.on_region(state, id, now_ms, &mut || peer_ids.take(next_id))
            });
            // Whoever told may have gone away.
            let _ = answer.send(order);
        }
    }
}

/// The batch is applied: what it made durable may be used.
fn settle(led: &mut Led, term: u64, durable: &Durable) {
    if led.term != term {
        return;
    }
    led.allocator.bound_is_durable(led.state.timestamp_bound_ms());
    if let Some((first, count)) = durable.peer_ids {
        led.peer_ids.fill(first, count);
    }
}
