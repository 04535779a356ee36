//! The contract on the gRPC network, over loopback.
//! Each store has a runtime of its own, so that killing one closes its sockets as the end of its process would.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nokv_transport::grpc::{GrpcNetwork, GrpcOptions, RaftTransportService, server};
use nokv_transport::{AddressBook, Network, StoreId};
use slog::{Discard, Logger, o};
use tokio::runtime::{Builder, Runtime};
use tokio_stream::wrappers::TcpListenerStream;

use crate::contract::{QUEUE_MESSAGES_MAX, Rig, contract};
use crate::recorder::{Bell, Recorder};

/// Only a failing test lasts this long.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
/// One tick, as a raft loop might have.
const TICK: Duration = Duration::from_millis(10);

pub struct GrpcRig {
    pub options: GrpcOptions,
    pub book: AddressBook,
    nodes: BTreeMap<StoreId, Node>,
    addresses: BTreeMap<StoreId, SocketAddr>,
    black_holes: Vec<TcpListener>,
    bell: Arc<Bell>,
    began: Instant,
}

pub struct Node {
    pub network: Arc<GrpcNetwork>,
    pub service: RaftTransportService,
    pub recorder: Arc<Recorder>,
    runtime: Runtime,
}

impl GrpcRig {
    pub fn with(options: GrpcOptions) -> GrpcRig {
        GrpcRig {
            options,
            book: AddressBook::new(),
            nodes: BTreeMap::new(),
            addresses: BTreeMap::new(),
            black_holes: Vec::new(),
            bell: Arc::default(),
            began: Instant::now(),
        }
    }

    pub fn node(&self, store: StoreId) -> &Node {
        &self.nodes[&store]
    }

    /// Where `store` listens, or did before it was killed.
    pub fn address(&self, store: StoreId) -> SocketAddr {
        self.addresses[&store]
    }

    /// The value of a counter of `store`'s network, over all stores that it sends to.
    pub fn counter(&self, store: StoreId, name: &str, reason: Option<&str>) -> u64 {
        let samples = self.nodes[&store].network.samples();
        let mut matching = samples.iter().filter(|sample| sample.name == name && sample.reason == reason).peekable();
        assert!(matching.peek().is_some(), "no sample is called {name}, {reason:?}");
        matching.map(|sample| sample.value).sum()
    }

    /// Starts `store` without entering it into the book.
    pub fn start_unlisted(&mut self, store: StoreId) {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let logger = Logger::root(Discard, o!());
        let network = GrpcNetwork::start(store, self.book.clone(), self.options, runtime.handle().clone(), &logger);
        let recorder = Recorder::new(&self.bell);
        let inbox: Arc<Recorder> = Arc::clone(&recorder);
        let service = network.attach(inbox);
        let address = self.addresses.get(&store).copied().unwrap_or((Ipv4Addr::LOCALHOST, 0).into());
        let listener = runtime.block_on(tokio::net::TcpListener::bind(address)).unwrap();
        self.addresses.insert(store, listener.local_addr().unwrap());
        let served = server(&self.options)
            .add_service(service.clone().into_server())
            .serve_with_incoming(TcpListenerStream::new(listener));
        runtime.spawn(served);
        self.nodes.insert(store, Node { network, service, recorder, runtime });
    }
}

/// What a rig that gave up shows.
impl fmt::Debug for GrpcRig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (store, node) in &self.nodes {
            writeln!(f, "store {store}: {:?} {:?}", node.network, node.recorder)?;
            for sample in node.network.samples().iter().filter(|sample| sample.value > 0) {
                writeln!(f, "  {sample:?}")?;
            }
        }
        Ok(())
    }
}

impl Node {
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }
}

impl Rig for GrpcRig {
    fn new() -> GrpcRig {
        GrpcRig::with(GrpcOptions { queue_messages_max: QUEUE_MESSAGES_MAX, ..GrpcOptions::default() })
    }

    fn start(&mut self, store: StoreId) {
        self.start_unlisted(store);
        self.book.set(store, &self.addresses[&store].to_string()).unwrap();
    }

    fn kill(&mut self, store: StoreId) {
        let node = self.nodes.remove(&store).expect("only a store that runs is killed");
        node.runtime.shutdown_timeout(GIVE_UP_AFTER);
    }

    fn black_hole(&mut self, store: StoreId) {
        // The kernel completes the handshake; nobody ever reads.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        self.book.set(store, &listener.local_addr().unwrap().to_string()).unwrap();
        self.black_holes.push(listener);
    }

    fn network(&self, store: StoreId) -> Arc<dyn Network> {
        let network: Arc<GrpcNetwork> = Arc::clone(&self.nodes[&store].network);
        network
    }

    fn inbox(&self, store: StoreId) -> Arc<Recorder> {
        Arc::clone(&self.nodes[&store].recorder)
    }

    fn queued(&self, from: StoreId, to: StoreId) -> usize {
        let links = self.nodes[&from].network.links();
        links.iter().find(|link| link.store == to).map_or(0, |link| link.queued_messages)
    }

    fn tick(&mut self) {
        assert!(self.began.elapsed() < GIVE_UP_AFTER, "what is waited for does not happen: {self:?}");
        self.bell.wait(TICK);
    }
}

contract!(GrpcRig);
