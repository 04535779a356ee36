//! Bringing a node up. The order matters: the directory is taken first, so that a second node on it is told about the
//! directory whatever its ports are; then the ports; then replication; and only then is anything answered.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nokv_engine::{RaftLog, RocksEngine};
use nokv_raftstore::{Clock, OpenStore, Raftstore, RunningStore, StoreError, open};
use nokv_transport::grpc::GrpcNetwork;
use nokv_transport::{AddressBook, Network, StoreId};
use slog::Logger;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tonic_health::server::HealthReporter;

use super::disk::OpenDirectory;
use super::leaders::StoreLeaders;
use super::placed::{self, PlacedNode};
use super::quiet_raft::raft_log;
use super::reclaim::reclaim;
use super::status::{Pages, StatusServer};
use super::tell::TellOnRuntime;
use super::{BootClock, NodeError, NodeOptions, OnFatal};
use crate::admin::RegionAdmin;
use crate::auto_split::AutoSplit;
use crate::collector::{CollectMetrics, Collector, CollectorOptions};
use crate::executor::{Executor, OnFailure};
use crate::placement::{BothInboxes, PlacementHost};
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
    /// What this node has to do with placement.
    pub(super) placed: PlacedNode,
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
    pub async fn start(mut options: NodeOptions, log: Logger, on_fatal: OnFatal) -> Result<Node, NodeError> {
        let directory = OpenDirectory::open(&options.workdir, &options.rocks)?;
        let Ports { listener, status_listener, address, status_address } = Ports::bind(&options).await?;
        let link = placed::link(&options, address);
        let (oracle, ids) = (placed::oracle(&options, link.as_ref())?, placed::ids(&options, link.as_ref()));
        let disk = directory.begin(&mut options, link.as_ref(), address).await?;
        disk.log_stores(options.store, &log);
        let meeter = disk.introduce(&options, address, &log).await?;
        let meeting = meeter.meeting.clone();
        let (book, regions, addresses) = (disk.book, disk.regions, disk.addresses);
        let opened = open_store(disk.engine, disk.log, &options, &log)?;
        let runtime = tokio::runtime::Handle::current();
        let network = GrpcNetwork::start(options.store, book.clone(), options.grpc, runtime, &log);
        let hosted = PlacedNode::open(&options, &regions, address, (&book, link.as_ref()), &log)?;
        let inboxes = BothInboxes { data: opened.inbox.clone(), placement: hosted.as_ref().map(PlacementHost::inbox) };
        let raft = network.attach(Arc::new(inboxes));
        let (raftstore, opened) = (opened.handle.clone(), opened.with_teller(Arc::new(TellOnRuntime::here())));
        let stores = Arc::new(StoreLeaders::new(book.clone()));
        let executor =
            Executor::new(raftstore.clone(), options.executor, command_failure(&on_fatal)).with_leaders(stores.clone());
        let executor = oracle.into_iter().fold(executor, |executor, oracle| executor.with_oracle(oracle));
        let calls = Arc::new(Calls::default());
        let admin = RegionAdmin::new(raftstore.clone(), ids);
        let splitter = AutoSplit::new(admin.clone(), options.auto_split, log.clone());
        let placement = hosted.as_ref().map(|host| &host.placement);
        let services = (executor.clone(), admin.clone(), meeting.clone());
        let grpc = GrpcServer::new(services, raft, calls.clone(), placement, &options.grpc).await?;
        let health = grpc.health();
        let (stopping, mut stopped) = watch::channel(false);
        tokio::spawn(meeter.go_on(stopping.subscribe(), on_fatal.clone()));

        let as_network: Arc<dyn Network> = network.clone();
        let on_failure = store_failure(on_fatal);
        let running = opened.start(&as_network, &on_failure).map_err(NodeError::Threads)?;
        let myself = placed::myself(&options, options.store, address);
        let me = placed::StoreSelf { store: myself, meeting, workdir: options.workdir, addresses };
        let placed = PlacedNode::start(hosted, link, (&as_network, &on_failure), me, admin, &book, &log)?;
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
            placed,
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

/// Where a node listens.
struct Ports {
    listener: TcpListener,
    status_listener: Option<TcpListener>,
    address: SocketAddr,
    status_address: Option<SocketAddr>,
}

impl Ports {
    async fn bind(options: &NodeOptions) -> Result<Ports, NodeError> {
        let listener = bind(&options.listen, "gRPC").await?;
        let status_listener = match &options.status {
            Some(address) => Some(bind(address, "status pages").await?),
            None => None,
        };
        let address = local_address(&listener, &options.listen)?;
        let status_address = status_listener.as_ref().map(|it| local_address(it, "status pages")).transpose()?;
        Ok(Ports { listener, status_listener, address, status_address })
    }
}

/// Opens replication; the regions that this store is to lead first look for a leader at once.
fn open_store(
    engine: RocksEngine,
    raft_entries: Arc<dyn RaftLog>,
    options: &NodeOptions,
    log: &Logger,
) -> Result<OpenStore<RocksEngine>, StoreError> {
    let clock: Arc<dyn Clock> = Arc::new(BootClock);
    let mut opened = open(engine, raft_entries, options.store, options.raft.clone(), clock, &raft_log(log))?;
    for region in &options.leads_first {
        // The other loops know no such region, and a region that has had a leader is left alone.
        opened.loops.iter_mut().try_for_each(|parts| parts.store.campaign_first(*region))?;
    }
    Ok(opened)
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
