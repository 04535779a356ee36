//! Bringing a node up. The order matters: the directory is taken first, so that a second node on it is told about the
//! directory whatever its ports are; then the ports; then replication; and only then is anything answered.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nokv_client::NetworkOracle;
use nokv_engine::{ApartRaftLog, RaftLog, RocksEngine, RocksOptions};
use nokv_proto::metapb::Region;
use nokv_raftstore::{
    Clock, Raftstore, RegionExt, RunningStore, StoreError, StoreIdent, bootstrap_as, load_regions, open,
};
use nokv_transport::grpc::GrpcNetwork;
use nokv_transport::{AddressBook, Network, StoreId};
use slog::{Logger, warn};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tonic_health::server::HealthReporter;

use super::leaders::StoreLeaders;
use super::meet::Meeter;
use super::quiet_raft::raft_log;
use super::reclaim::reclaim;
use super::status::{Pages, StatusServer};
use super::tell::TellOnRuntime;
use super::{BootClock, NodeError, NodeOptions, OnFatal, layout};
use crate::admin::{Meeting, RegionAdmin};
use crate::auto_split::AutoSplit;
use crate::collector::{CollectMetrics, Collector, CollectorOptions};
use crate::executor::{Executor, OnFailure};
use crate::service::{Calls, GrpcServer};
use crate::settler::Settler;

/// A node that serves. Dropping it does not stop it in order; [`Node::stop`] does.
pub struct Node {
    pub(super) store: StoreId,
    pub(super) address: SocketAddr,
    pub(super) status_address: Option<SocketAddr>,
    pub(super) book: AddressBook,
    pub(super) raftstore: Raftstore<RocksEngine>,
    pub(super) running: RunningStore,
    pub(super) network: Arc<GrpcNetwork>,
    pub(super) health: HealthReporter,
    /// True once the node is to stop.
    pub(super) stopping: watch::Sender<bool>,
    pub(super) serving: JoinHandle<Result<(), tonic::transport::Error>>,
    pub(super) status: Option<JoinHandle<()>>,
    /// Garbage collection, space that comes back, and timestamps that are settled; given up when the node stops.
    pub(super) housekeeping: [AbortHandle; 3],
    pub(super) log: Logger,
}

/// What names the time to those who choose timestamps here, if anything does.
fn oracle(options: &NodeOptions) -> Result<Option<Arc<NetworkOracle>>, NodeError> {
    let oracle = options.tso.as_deref().map(NetworkOracle::new).transpose();
    Ok(oracle.map_err(|error| NodeError::Flags(error.to_string()))?.map(Arc::new))
}

/// Starts what removes garbage, what gives its space back, and what settles timestamps.
fn keep_house(
    executor: &Executor<RocksEngine>,
    collector: (CollectorOptions, &Arc<CollectMetrics>),
    (followers, interval): (Arc<StoreLeaders>, Duration),
    log: &Logger,
) -> [AbortHandle; 3] {
    let (options, metrics) = collector;
    let settler = Settler::new(executor.clone(), followers, interval);
    let collector = Collector::new(executor.clone(), options, metrics.clone());
    let engine = executor.raftstore().engine().clone();
    [
        tokio::spawn(collector.run()).abort_handle(),
        tokio::spawn(reclaim(engine, log.clone())).abort_handle(),
        tokio::spawn(settler.run()).abort_handle(),
    ]
}

impl Node {
    /// Brings a node up; it serves when this returns. `on_fatal` is called if it cannot go on.
    ///
    /// # Errors
    /// [`NodeError`]; each text says what to do.
    pub async fn start(options: NodeOptions, log: Logger, on_fatal: OnFatal) -> Result<Node, NodeError> {
        let oracle = oracle(&options)?;
        let disk = Disk::open(&options)?;
        let listener = bind(&options.listen, "gRPC").await?;
        let status_listener = match &options.status {
            Some(address) => Some(bind(address, "status pages").await?),
            None => None,
        };
        let address = local_address(&listener, &options.listen)?;
        let status_address = status_listener.as_ref().map(|it| local_address(it, "status pages")).transpose()?;

        disk.log_stores(options.store, &log);
        let meeter = disk.introduce(&options, address, &log).await?;
        let meeting = meeter.meeting.clone();
        let book = disk.book;
        let clock: Arc<dyn Clock> = Arc::new(BootClock);
        let mut opened = open(disk.engine, disk.log, options.store, options.raft.clone(), clock, &raft_log(&log))?;
        for region in &options.leads_first {
            // The other loops know no such region, and a region that has had a leader is left alone.
            opened.loops.iter_mut().try_for_each(|parts| parts.store.campaign_first(*region))?;
        }
        let runtime = tokio::runtime::Handle::current();
        let network = GrpcNetwork::start(options.store, book.clone(), options.grpc, runtime, &log);
        let raft = network.attach(Arc::new(opened.inbox.clone()));
        let (raftstore, opened) = (opened.handle.clone(), opened.with_teller(Arc::new(TellOnRuntime::here())));
        let stores = Arc::new(StoreLeaders::new(book.clone()));
        let executor =
            Executor::new(raftstore.clone(), options.executor, command_failure(&on_fatal)).with_leaders(stores.clone());
        let executor = oracle.into_iter().fold(executor, |executor, oracle| executor.with_oracle(oracle));
        let calls = Arc::new(Calls::default());
        let admin = RegionAdmin::new(raftstore.clone(), options.ids);
        let splitter = AutoSplit::new(admin.clone(), options.auto_split, log.clone());
        let grpc = GrpcServer::new(executor.clone(), admin, meeting, raft, calls.clone(), &options.grpc).await?;
        let health = grpc.health();
        let (stopping, mut stopped) = watch::channel(false);
        tokio::spawn(meeter.go_on(stopping.subscribe(), on_fatal.clone()));

        let as_network: Arc<dyn Network> = network.clone();
        let running = opened.start(&as_network, &store_failure(on_fatal)).map_err(NodeError::Threads)?;
        let serving = tokio::spawn(grpc.serve(listener, async move {
            // An error means that the node is gone, which is a reason to stop as well.
            let _ = stopped.wait_for(|stop| *stop).await;
        }));
        let auto_split = splitter.state();
        tokio::spawn(splitter.run(stopping.subscribe()));
        let collecting = Arc::new(CollectMetrics::default());
        let settling = (stores, options.settle_interval);
        let housekeeping = keep_house(&executor, (options.collector, &collecting), settling, &log);
        let status = status_listener.map(|listener| {
            let pages =
                Pages::new(executor, network.clone(), &calls, &collecting, address, stopping.subscribe(), auto_split);
            tokio::spawn(StatusServer::new(pages).serve(listener))
        });
        Ok(Node {
            store: options.store,
            address,
            status_address,
            book,
            raftstore,
            running,
            network,
            health,
            stopping,
            serving,
            status,
            housekeeping,
            log,
        })
    }

    /// This store.
    pub fn store(&self) -> StoreId {
        self.store
    }

    /// Where it answers gRPC.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its status pages are.
    pub fn status_address(&self) -> Option<SocketAddr> {
        self.status_address
    }

    /// Where it finds the other stores; may be changed while it runs.
    pub fn address_book(&self) -> &AddressBook {
        &self.book
    }

    /// Its regions.
    pub fn raftstore(&self) -> &Raftstore<RocksEngine> {
        &self.raftstore
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("store", &self.store).field("address", &self.address).finish_non_exhaustive()
    }
}

/// Where the raft log is, within the store's directory.
const RAFT_LOG_DIRECTORY: &str = "raft-log";

/// An open directory that fits the store.
struct Disk {
    engine: RocksEngine,
    log: Arc<dyn RaftLog>,
    regions: Vec<Region>,
    book: AddressBook,
}

impl Disk {
    fn open(options: &NodeOptions) -> Result<Disk, NodeError> {
        let workdir = &options.workdir;
        if workdir.exists() && !workdir.is_dir() {
            let reason = "it is not a directory".to_owned();
            return Err(NodeError::Workdir { path: workdir.display().to_string(), reason });
        }
        let engine = RocksEngine::open(workdir, &options.rocks)?;
        let log_engine = RocksEngine::open(workdir.join(RAFT_LOG_DIRECTORY), &RocksOptions::for_raft_log())?;
        let log: Arc<dyn RaftLog> = Arc::new(ApartRaftLog::new(log_engine, engine.clone()));
        let regions = match &options.regions {
            Some(regions) => regions.clone(),
            None => {
                let kept: Vec<Region> = load_regions(&engine)?.into_values().map(|record| record.region).collect();
                if kept.is_empty() { vec![layout::whole_region(options.store, &options.peers)] } else { kept }
            }
        };
        // A mistake in the flags is found before a new directory is given its identity.
        let book = address_book(options, &regions)?;
        let new = StoreIdent::new(options.store, rand::random());
        bootstrap_as(&engine, log.as_ref(), &new, &regions)?;
        Ok(Disk { engine, log, regions, book })
    }

    /// Has the store meet the others before it takes part in anything.
    async fn introduce(
        &self,
        options: &NodeOptions,
        address: SocketAddr,
        log: &Logger,
    ) -> Result<Meeter<RocksEngine>, NodeError> {
        let own = options.stores.iter().find(|(store, _)| *store == options.store);
        let meeter = Meeter {
            meeting: Meeting::new(self.engine.clone(), self.book.clone())?,
            book: self.book.clone(),
            address: own.map_or_else(|| address.to_string(), |(_, address)| address.clone()),
            log: log.clone(),
        };
        meeter.before_first_part(&self.engine, self.log.as_ref(), options.ids.as_ref()).await?;
        Ok(meeter)
    }

    /// Says which members of this store's regions nobody gave an address for.
    fn log_stores(&self, store: StoreId, log: &Logger) {
        let here = self.regions.iter().filter(|region| region.peer_on(store).is_some());
        let mut unknown: Vec<u64> = here
            .flat_map(|region| &region.peers)
            .map(|peer| peer.store_id)
            .filter(|member| *member != store.0 && self.book.get(StoreId(*member)).is_none())
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        if !unknown.is_empty() {
            warn!(log, "nobody said where these stores listen; nothing is sent to them"; "stores" => ?unknown);
        }
    }
}

/// Where the stores listen, as far as the topology file and the flags say.
fn address_book(options: &NodeOptions, regions: &[Region]) -> Result<AddressBook, NodeError> {
    let book = AddressBook::new();
    for (store, address) in &options.stores {
        book.set(*store, address)?;
    }
    for (store, address) in layout::addresses(&options.peers, regions)? {
        book.set(store, &address)?;
    }
    Ok(book)
}

async fn bind(address: &str, what: &'static str) -> Result<TcpListener, NodeError> {
    let failed = |source| NodeError::Listen { what, address: address.to_owned(), source };
    TcpListener::bind(address).await.map_err(failed)
}

fn local_address(listener: &TcpListener, address: &str) -> Result<SocketAddr, NodeError> {
    let failed = |source| NodeError::Listen { what: "requests", address: address.to_owned(), source };
    listener.local_addr().map_err(failed)
}

fn store_failure(on_fatal: OnFatal) -> Arc<dyn Fn(StoreError) + Send + Sync> {
    Arc::new(move |error| on_fatal(&error))
}

fn command_failure(on_fatal: &OnFatal) -> OnFailure {
    let on_fatal = on_fatal.clone();
    Arc::new(move |error| on_fatal(error))
}
