//! Placement on this node: a directory of its own beside the store's data, one region that holds every key of it, and
//! the handle by which the services reach it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nokv_client::PlacementLink;
use nokv_engine::{Engine, RaftLog, RocksEngine, RocksOptions, SharedRaftLog};
use nokv_placement::clock::ClockReading;
use nokv_placement::state::{Command, Reply, Settings, State};
use nokv_proto::metapb::{Peer, PeerRole, Region, RegionEpoch, Store};
use nokv_raftstore::{
    Clock, Config, OpenStore, Raftstore, RegionExt as _, RequestContext, Role, RunningStore, StoreError, StoreIdent,
    bootstrap, load_regions, open,
};
use nokv_transport::{AddressBook, Network, RegionId, StoreId};
use parking_lot::Mutex;
use slog::Logger;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::PlacementError;
use super::led::Led;
use super::machine::Machine;
use super::steward::{Job, Steward};
use crate::node::{BootClock, NodeError};

/// The region that holds placement's state. No other region has this id: others are given from below. (The largest
/// number of all stands for no region, in what stores tell each other of themselves.)
pub const PLACEMENT_REGION: RegionId = RegionId(u64::MAX - 1);
/// Where it is, within the store's directory.
const DIRECTORY: &str = "placement";
/// A store whose last word is older has something the matter with it, in milliseconds.
const HEARD_MS: u64 = 10_000;
/// Requests that may wait to be decided.
const JOBS_MAX: usize = 16_384;
/// Placement's memory is small: its records are, and the map is held decoded.
const CACHE_BYTES: usize = 8 << 20;

/// How placement begins on this node.
#[derive(Clone, Debug)]
pub struct PlacementOptions {
    /// The stores whose nodes host it, this one among them; looked at on the directory's first day only. None: this
    /// node waits until the others give it a part.
    pub members: BTreeSet<StoreId>,
    /// The region with which a new cluster begins: every key, and with this store's peer.
    pub first_region: Region,
    /// The highest id that a region or a peer has on that day: new ones begin above, whoever is heard of first.
    pub highest_id: u64,
    /// How scheduling is to work in a new cluster.
    pub settings: Settings,
}

/// Placement's handle; clones share one.
#[derive(Debug)]
pub struct Placement<E: Engine = RocksEngine> {
    pub(super) inner: Arc<Inner<E>>,
}

impl<E: Engine> Clone for Placement<E> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

#[derive(Debug)]
pub(super) struct Inner<E: Engine> {
    pub(super) raftstore: Raftstore<E>,
    /// Where the other stores listen.
    pub(super) book: AddressBook,
    /// This store, as others should know it.
    pub(super) store: Store,
    pub(super) options: PlacementOptions,
    /// What this node's reporter knows of the members, for those who ask it while it is none.
    pub(super) link: PlacementLink,
    /// What this node knows while it leads.
    pub(super) led: Mutex<Option<Led>>,
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) log: Logger,
    pub(super) machine: Machine,
    cluster_id: AtomicU64,
    started: ClockReading,
}

/// The task that decides, before it runs.
pub struct Deciding<E: Engine> {
    placement: Placement<E>,
    jobs: mpsc::Receiver<Job>,
}

/// Placement before its threads run.
pub struct PlacementHost {
    /// Its handle.
    pub placement: Placement,
    opened: OpenStore<RocksEngine>,
    deciding: Deciding<RocksEngine>,
}

impl PlacementHost {
    /// Opens or makes the directory within `workdir`. `store` is this store, as others should know it.
    ///
    /// # Errors
    /// [`NodeError`]; each text says what to do.
    pub fn open(
        workdir: &Path,
        store: Store,
        options: PlacementOptions,
        (book, link): (AddressBook, PlacementLink),
        log: &Logger,
        raft_log: &Logger,
    ) -> Result<Self, NodeError> {
        let small = RocksOptions {
            block_cache_bytes: CACHE_BYTES,
            write_buffer_bytes: CACHE_BYTES,
            write_buffers_total_bytes: 4 * CACHE_BYTES,
            open_files_max: 64,
            ..RocksOptions::default()
        };
        let engine = RocksEngine::open(workdir.join(DIRECTORY), &small)?;
        let entries: Arc<dyn RaftLog> = Arc::new(SharedRaftLog::new(engine.clone()));
        let kept: Vec<Region> = load_regions(&engine)?.into_values().map(|record| record.region).collect();
        // One that was a member and is none any more must not begin once more.
        let begins = StoreIdent::load(&engine)?.is_none() && !options.members.is_empty();
        let regions = if begins { vec![region_of(&options.members)] } else { kept };
        let id = StoreId(store.id);
        bootstrap(&engine, entries.as_ref(), id, &regions)?;
        let config = Config { seed: rand::random(), ..Config::default() };
        let clock: Arc<dyn Clock> = Arc::new(BootClock);
        let opened = open(engine, entries, id, config, clock, raft_log)?;
        let (placement, deciding) =
            Placement::over(opened.handle.clone(), store, options, (book, link), Machine::real(), log.clone());
        Ok(Self { placement, opened, deciding })
    }

    /// For the network.
    pub fn inbox(&self) -> nokv_raftstore::StoreInbox {
        self.opened.inbox.clone()
    }

    /// Gives it its threads, and the task that decides.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        self,
        network: &Arc<dyn Network>,
        on_failure: &Arc<dyn Fn(StoreError) + Send + Sync>,
    ) -> std::io::Result<(Placement, RunningStore, JoinHandle<()>)> {
        let running = self.opened.start(network, on_failure)?;
        let deciding = tokio::spawn(self.deciding.run(on_failure.clone()));
        Ok((self.placement, running, deciding))
    }
}

impl<E: Engine> Deciding<E> {
    /// Runs until the last handle is gone, which is when the node ends. `on_failure` hears of a state that cannot be
    /// read: the node must stop then.
    pub async fn run(self, on_failure: Arc<dyn Fn(StoreError) + Send + Sync>) {
        Steward::new(self.placement, on_failure).run(self.jobs).await;
    }
}

/// Placement's region on its first day.
pub fn region_of(members: &BTreeSet<StoreId>) -> Region {
    let peers = members.iter().map(|store| Peer { id: store.0, store_id: store.0, ..Peer::default() });
    Region {
        id: PLACEMENT_REGION.0,
        region_epoch: Some(RegionEpoch { conf_ver: 1, version: 1 }),
        peers: peers.collect(),
        ..Region::default()
    }
}

/// Where requests of placement's region go.
pub(super) fn context() -> RequestContext {
    RequestContext { region_id: PLACEMENT_REGION, ..RequestContext::default() }
}

impl<E: Engine> Placement<E> {
    /// Placement over a raftstore that holds its region. `store` is this store, as others should know it.
    pub fn over(
        raftstore: Raftstore<E>,
        store: Store,
        options: PlacementOptions,
        (book, link): (AddressBook, PlacementLink),
        machine: Machine,
        log: Logger,
    ) -> (Self, Deciding<E>) {
        let (sender, jobs) = mpsc::channel(JOBS_MAX);
        let started = (machine.reading)();
        let inner = Inner {
            raftstore,
            book,
            store,
            options,
            link,
            led: Mutex::new(None),
            jobs: sender,
            log,
            machine,
            cluster_id: AtomicU64::new(0),
            started,
        };
        let placement = Self { inner: Arc::new(inner) };
        (placement.clone(), Deciding { placement, jobs })
    }

    /// A time for all that is decided here: it begins at the wall clock's and never goes back.
    pub(super) fn now_ms(&self) -> u64 {
        let ClockReading { wall_ms, steady_ms } = self.inner.started;
        wall_ms + self.reading().steady_ms.saturating_sub(steady_ms)
    }

    /// What the machine's clocks show, for timestamps.
    pub(super) fn reading(&self) -> ClockReading {
        (self.inner.machine.reading)()
    }

    /// Decides a command, and answers when it is applied.
    ///
    /// # Errors
    /// [`PlacementError`]; after [`PlacementError::Region`] with a stale command it may have taken effect.
    pub async fn decide(&self, command: Command) -> Result<Reply, PlacementError> {
        let (answer, told) = oneshot::channel();
        self.inner.jobs.send(Job::Decide(Box::new(command), answer)).await.map_err(|_| PlacementError::Stopping)?;
        told.await.unwrap_or(Err(PlacementError::Stopping))
    }

    /// Looks at the state that this node decides on, if it leads.
    ///
    /// # Errors
    /// [`PlacementError::NotLeader`].
    pub(super) fn look<R>(&self, look: impl FnOnce(&mut Led) -> R) -> Result<R, PlacementError> {
        self.inner.led.lock().as_mut().map(look).ok_or(PlacementError::NotLeader)
    }

    /// The cluster's id as far as this node has heard of it; 0 until the cluster is founded.
    pub fn cluster_id(&self) -> u64 {
        let known = self.inner.cluster_id.load(Ordering::Relaxed);
        if known != 0 {
            return known;
        }
        let read = State::cluster_id_in(&self.inner.raftstore.engine().view()).unwrap_or(0);
        self.inner.cluster_id.store(read, Ordering::Relaxed);
        read
    }

    /// The members of placement's region that vote, and which of them leads.
    pub fn members(&self) -> (Vec<StoreId>, Option<StoreId>) {
        let Some(status) = self.inner.raftstore.region(PLACEMENT_REGION) else { return (Vec::new(), None) };
        let voters = status.state.region.peers.iter().filter(|peer| peer.role() != PeerRole::Learner);
        let stores = voters.map(|peer| StoreId(peer.store_id)).collect();
        let leader = status.state.leader.map(|peer| StoreId(peer.store_id));
        // A leader that has not read the state yet can answer nobody.
        let is_ready = |store: &StoreId| store.0 != self.inner.store.id || self.inner.led.lock().is_some();
        (stores, leader.filter(is_ready))
    }

    /// Whether this node leads placement, by its own last word.
    pub fn leads(&self) -> bool {
        let status = self.inner.raftstore.region(PLACEMENT_REGION);
        status.is_some_and(|status| status.state.role == Role::Leader)
    }

    /// Whether a store was heard of lately, as far as this node can tell: only the leader hears of them.
    pub(super) fn hears(&self, store: u64) -> bool {
        let now_ms = self.now_ms();
        let silent_ms =
            self.look(|led| led.scheduler.last_word(StoreId(store), now_ms).map(|(_, silent_ms)| silent_ms));
        silent_ms.is_ok_and(|silent_ms| silent_ms.is_some_and(|silent_ms| silent_ms < HEARD_MS))
    }

    /// Where a store listens, this one included.
    pub fn address(&self, store: StoreId) -> Option<String> {
        if store.0 == self.inner.store.id {
            return Some(self.inner.store.address.clone());
        }
        self.inner.book.get(store).map(|address| address.to_string())
    }

    /// Placement's region, for status pages and an orderly stop.
    pub fn raftstore(&self) -> &Raftstore<E> {
        &self.inner.raftstore
    }

    pub(super) fn region_epoch(&self) -> RegionEpoch {
        self.inner.raftstore.region(PLACEMENT_REGION).map(|status| status.state.region.epoch()).unwrap_or_default()
    }
}
