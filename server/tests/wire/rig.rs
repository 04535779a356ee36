//! One store in memory, served over gRPC on a free port, and a client that speaks TinyKv to it.
//! Its answers come as responses of the protocol: what a test asserts is what a stranger's client would see.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use nokv_client::{OracleError, Timestamp, TimestampOracle};
use nokv_engine::{MemoryEngine, RaftLog, SharedRaftLog};
use nokv_percolator::Key;
use nokv_proto::kvrpcpb::{self, Context, KeyError, KvPair};
use nokv_proto::metapb::{Peer, Region, RegionEpoch};
use nokv_proto::tinykvpb::tiny_kv_client::TinyKvClient;
use nokv_proto::tinykvpb::{self, Mutation, Op};
use nokv_raftstore::{Config, Raftstore, RequestContext, RunningStore, StoreError, bootstrap, open};
use nokv_server::admin::{Meeting, RegionAdmin};
use nokv_server::executor::{Executor, ExecutorOptions};
use nokv_server::node::BootClock;
use nokv_server::region_ids::RegionIds;
use nokv_server::service::{Calls, GrpcServer};
use nokv_transport::grpc::{GrpcNetwork, GrpcOptions};
use nokv_transport::{AddressBook, Network, RegionId, StoreId};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;

pub const STORE: u64 = 1;
/// Locks live for this long, in milliseconds.
pub const TTL_MS: u64 = 3_000;

/// Timestamps in step with nothing but themselves.
pub struct Counter(AtomicU64);

impl Counter {
    /// The first one is of this time.
    pub fn from_ms(physical: u64) -> Counter {
        Counter(ms(physical).into())
    }
}

impl TimestampOracle for Counter {
    fn timestamps(&self, count: u32) -> BoxFuture<'_, Result<Timestamp, OracleError>> {
        let first = self.0.fetch_add(u64::from(count), Ordering::SeqCst);
        Box::pin(std::future::ready(Ok(Timestamp(first))))
    }
}

/// The store, and a client of it.
pub struct Rig {
    pub client: TinyKvClient<Channel>,
    pub address: SocketAddr,
    raftstore: Raftstore<MemoryEngine>,
    network: Arc<GrpcNetwork>,
    running: RunningStore,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Rig {
    /// A rig whose two regions have leaders.
    pub async fn start() -> Rig {
        let engine = MemoryEngine::new();
        let log: Arc<dyn RaftLog> = Arc::new(SharedRaftLog::new(engine.clone()));
        let regions = [region(1, "", "m"), region(2, "m", "")];
        bootstrap(&engine, log.as_ref(), StoreId(STORE), &regions).unwrap();
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let config = Config { seed: 11, ..Config::default() };
        let mut opened = open(engine, log, StoreId(STORE), config, Arc::new(BootClock), &logger).unwrap();
        for parts in &mut opened.loops {
            parts.store.campaign_first(RegionId(1)).unwrap();
            parts.store.campaign_first(RegionId(2)).unwrap();
        }
        let raftstore = opened.handle.clone();
        let options = GrpcOptions::default();
        let runtime = tokio::runtime::Handle::current();
        let network = GrpcNetwork::start(StoreId(STORE), AddressBook::new(), options, runtime, &logger);
        let raft = network.attach(Arc::new(opened.inbox.clone()));
        let as_network: Arc<dyn Network> = network.clone();
        let running = opened.start(&as_network, &never_fails()).unwrap();
        let on_failure = Arc::new(|error: &nokv_percolator::Error| -> () { panic!("{error}") });
        let executor = Executor::new(raftstore.clone(), ExecutorOptions::default(), on_failure);
        let meeting = Meeting::new(raftstore.engine().clone(), AddressBook::new()).unwrap();
        let admin =
            RegionAdmin::new(raftstore.clone(), Some(RegionIds::new(Arc::new(Counter::from_ms(1_790_000_000_000)))));
        let server = GrpcServer::new((executor, admin, meeting), raft, Arc::new(Calls::default()), None, &options)
            .await
            .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.serve(listener, async {
            let _ = stopped.await;
        }));
        for region in [1, 2] {
            let context = RequestContext { region_id: RegionId(region), ..Default::default() };
            while raftstore.view(&context).await.is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        Rig { client: connect(address).await, address, raftstore, network, running, stop, serving }
    }

    /// Ends it, and with it every thread.
    pub async fn stop(self) {
        drop(self.client);
        self.network.shutdown();
        let _ = self.stop.send(());
        self.serving.await.unwrap().unwrap();
        self.raftstore.stop();
        tokio::task::spawn_blocking(|| self.running.join()).await.unwrap();
    }

    /// Prewrites puts, which must succeed.
    pub async fn lock(&mut self, region: u64, start: u64, pairs: &[(&str, &str)]) {
        let mutations = pairs.iter().map(|(key, value)| put(key, value)).collect();
        let errors = self.prewrite(region, start, mutations).await;
        assert!(errors.is_empty(), "{errors:?}");
    }

    /// Prewrites with the first mutation's key as the primary, and returns the errors.
    pub async fn prewrite(&mut self, region: u64, start: u64, mutations: Vec<Mutation>) -> Vec<KeyError> {
        let primary_lock = mutations.first().map(|first| first.key.clone()).unwrap_or_default();
        let request = tinykvpb::PrewriteRequest {
            context: Some(context(region)),
            mutations,
            primary_lock,
            start_version: start,
            lock_ttl: TTL_MS,
        };
        let response = self.client.kv_prewrite(request).await.unwrap().into_inner();
        assert_eq!(response.region_error, None);
        response.errors
    }

    /// Commits, and returns the error.
    pub async fn commit(&mut self, region: u64, start: u64, commit: u64, keys: &[&str]) -> Option<KeyError> {
        let request = kvrpcpb::CommitRequest {
            context: Some(context(region)),
            start_version: start,
            commit_version: commit,
            keys: bytes_of(keys),
            ..Default::default()
        };
        let response = self.client.kv_commit(request).await.unwrap().into_inner();
        assert_eq!(response.region_error, None);
        response.error.map(|error| *error)
    }

    /// Writes pairs as one transaction, which must succeed.
    pub async fn write(&mut self, region: u64, start: u64, commit: u64, pairs: &[(&str, &str)]) {
        self.lock(region, start, pairs).await;
        let keys: Vec<&str> = pairs.iter().map(|(key, _)| *key).collect();
        assert_eq!(self.commit(region, start, commit, &keys).await, None);
    }

    /// Rolls back, and returns the error.
    pub async fn roll_back(&mut self, region: u64, start: u64, keys: &[&str]) -> Option<KeyError> {
        let request = kvrpcpb::BatchRollbackRequest {
            context: Some(context(region)),
            start_version: start,
            keys: bytes_of(keys),
            ..Default::default()
        };
        let response = self.client.kv_batch_rollback(request).await.unwrap().into_inner();
        assert_eq!(response.region_error, None);
        response.error.map(|error| *error)
    }

    /// Asks for a transaction's status: (lock_ttl, commit_version, action).
    pub async fn status(&mut self, region: u64, primary: &str, lock_ts: u64, now: u64) -> (u64, u64, i32) {
        let request = tinykvpb::CheckTxnStatusRequest {
            context: Some(context(region)),
            primary_key: key(primary),
            lock_ts,
            current_ts: now,
        };
        let response = self.client.kv_check_txn_status(request).await.unwrap().into_inner();
        assert_eq!(response.region_error, None);
        (response.lock_ttl, response.commit_version, response.action)
    }

    /// Resolves a transaction's locks in a region, and returns the error.
    pub async fn resolve(&mut self, region: u64, start: u64, commit: u64) -> Option<KeyError> {
        let request = kvrpcpb::ResolveLockRequest {
            context: Some(context(region)),
            start_version: start,
            commit_version: commit,
            ..Default::default()
        };
        let response = self.client.kv_resolve_lock(request).await.unwrap().into_inner();
        assert_eq!(response.region_error, None);
        response.error.map(|error| *error)
    }

    /// Reads a key, and returns the whole response without a region error.
    pub async fn get(&mut self, region: u64, name: &str, version: u64) -> kvrpcpb::GetResponse {
        let request =
            kvrpcpb::GetRequest { context: Some(context(region)), key: key(name), version, ..Default::default() };
        let response = self.client.kv_get(request).await.unwrap().into_inner();
        assert_eq!(response.region_error, None);
        response
    }

    /// What a reader sees: the value, `-` for nothing, `locked` for a lock.
    pub async fn read(&mut self, region: u64, key: &str, version: u64) -> String {
        let response = self.get(region, key, version).await;
        match response.error {
            Some(error) => error.locked.map_or("error", |_| "locked").to_owned(),
            None if response.not_found => "-".to_owned(),
            None => text(&response.value),
        }
    }

    /// Scans, and returns the pairs.
    pub async fn scan(&mut self, region: u64, start: &str, limit: u32, version: u64) -> Vec<KvPair> {
        let request = kvrpcpb::ScanRequest {
            context: Some(context(region)),
            start_key: key(start),
            limit,
            version,
            ..Default::default()
        };
        let response = self.client.kv_scan(request).await.unwrap().into_inner();
        assert_eq!((response.region_error, response.error), (None, None));
        response.pairs
    }
}

pub async fn connect(address: SocketAddr) -> TinyKvClient<Channel> {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    TinyKvClient::new(channel)
}

/// A region with one peer, on the rig's store.
pub fn region(id: u64, start: &str, end: &str) -> Region {
    Region {
        id,
        start_key: bound(start),
        end_key: bound(end),
        region_epoch: Some(RegionEpoch { conf_ver: 1, version: 1 }),
        peers: vec![Peer { id: 100 + id, store_id: STORE, ..Default::default() }],
        ..Default::default()
    }
}

/// A region's bound as regions are kept; empty for none.
pub fn bound(key: &str) -> Bytes {
    if key.is_empty() { Bytes::new() } else { Key::encode(key.as_bytes()).into_encoded() }
}

/// The context of a request that knows the region well.
pub fn context(region: u64) -> Context {
    Context {
        region_id: region,
        region_epoch: Some(RegionEpoch { conf_ver: 1, version: 1 }),
        peer: Some(Peer { id: 100 + region, store_id: STORE, ..Default::default() }),
        ..Default::default()
    }
}

pub fn key(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub fn bytes_of(keys: &[&str]) -> Vec<Bytes> {
    keys.iter().map(|name| key(name)).collect()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub fn put(name: &str, value: &str) -> Mutation {
    Mutation { op: Op::Put.into(), key: key(name), value: key(value) }
}

pub fn delete(name: &str) -> Mutation {
    Mutation { op: Op::Del.into(), key: key(name), value: Bytes::new() }
}

/// TinyKV's own number of the mutation that only locks.
pub fn lock_only(name: &str) -> Mutation {
    Mutation { op: 3, key: key(name), value: Bytes::new() }
}

/// A timestamp whose physical part is so many milliseconds.
pub fn ms(physical: u64) -> u64 {
    physical << 18
}

/// A store that cannot go on is a failed test.
fn never_fails() -> Arc<dyn Fn(StoreError) + Send + Sync> {
    Arc::new(|error| -> () { panic!("{error}") })
}
