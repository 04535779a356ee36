//! A client's way to the stores: the client crate's `Rpc` over links that delay, lose and repeat. A request that was
//! sent goes on even if its client stops waiting, and may arrive seconds late; an answer may be lost, which leaves the
//! client to find out what happened.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nokv_client::{Reply, Rpc, RpcError};
use nokv_proto::kvrpcpb;
use nokv_proto::tikvpb::tikv_server::Tikv as _;
use nokv_proto::tinykvpb::tiny_kv_server::TinyKv as _;
use nokv_transport::StoreId;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tonic::{Code, Request, Response, Status};

use super::{Node, World};
use crate::random::Random;

/// How long a request that is late arrives after the others, at most.
const LATE_MS_MAX: u64 = 6_000;

/// One client's links.
pub struct ClientLink {
    world: Arc<World>,
    client: u64,
    random: Mutex<Random>,
    dead: AtomicBool,
    /// Nothing leaves the client before.
    still_until: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for ClientLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientLink").field("client", &self.client).finish_non_exhaustive()
    }
}

/// What happens to one request.
struct Fate {
    /// When it arrives; `None`: never.
    arrives: Option<Duration>,
    /// When its second copy arrives.
    again: Option<Duration>,
    /// How long the answer takes; `None`: it is lost.
    answered: Option<Duration>,
    /// Whether a loss shows as a broken connection rather than as silence.
    breaks: bool,
}

impl ClientLink {
    /// The links of client number `client`.
    pub fn new(world: &Arc<World>, client: u64) -> Arc<Self> {
        let random = Mutex::new(world.random());
        Arc::new(ClientLink {
            world: world.clone(),
            client,
            random,
            dead: AtomicBool::new(false),
            still_until: Mutex::default(),
        })
    }

    /// The client dies: nothing that it does from now on reaches anybody, and no answer reaches it.
    pub fn die(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    /// The client stands still: what it sends leaves when it goes on, and its locks get older meanwhile.
    pub fn stand_still(&self, lasts: Duration) {
        *self.still_until.lock() = Some(Instant::now() + lasts);
    }

    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    fn fate(&self, store: StoreId, name: &str) -> Fate {
        let weather = self.world.weather.lock();
        let mut random = self.random.lock();
        let faults = weather.client_links;
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let mut delay = || random.micros(micros(faults.delay_min), micros(faults.delay_max));
        let (mut there, back, again) = (delay(), delay(), delay());
        if random.chance(weather.late_permille) {
            there += random.millis(0, LATE_MS_MAX);
        }
        let cut = weather.client_cuts.contains(&(self.client, store.0));
        let drop_permille = u64::from(faults.drop_permille);
        let (lost, answer_lost) = (random.chance(drop_permille), random.chance(drop_permille));
        // No connection hands a request over twice; that copies come is harder than it must be, and nothing guards a
        // raw write against one that comes once its client knows it to be refused.
        let twice = random.chance(u64::from(faults.duplicate_permille)) && !matches!(name, "raw_put" | "raw_delete");
        let late = if twice { random.millis(0, LATE_MS_MAX) } else { Duration::ZERO };
        Fate {
            arrives: (!lost && !cut).then_some(there),
            again: (twice && !cut).then_some(again + late),
            answered: (!answer_lost && !cut).then_some(back),
            breaks: random.chance(300),
        }
    }

    /// Sends `request` to the store at `address`, where `serve` answers it.
    async fn call<Q, A, F>(
        &self,
        address: &str,
        name: &'static str,
        request: Q,
        serve: impl Fn(Arc<Node>, Q) -> F + Clone + Send + 'static,
    ) -> Result<A, RpcError>
    where
        Q: Clone + Send + 'static,
        A: Send + 'static,
        F: Future<Output = Result<Response<A>, Status>> + Send + 'static,
    {
        if self.is_dead() {
            return std::future::pending().await;
        }
        let still_until = self.still_until.lock().filter(|until| *until > Instant::now());
        if let Some(until) = still_until {
            tokio::time::sleep_until(until).await;
        }
        let store = store_at(address)?;
        let fate = self.fate(store, name);
        if let Some(again) = fate.again {
            let (answer, _) = oneshot::channel();
            self.carry(store, name, again, request.clone(), serve.clone(), answer);
        }
        let Some(arrives) = fate.arrives else { return lost(fate.breaks).await };
        let (answer, told) = oneshot::channel();
        self.carry(store, name, arrives, request, serve, answer);
        let answer = told.await.unwrap_or_else(|_| Err(RpcError::Disconnected("the store went away".to_owned())));
        let Some(back) = fate.answered else { return lost(fate.breaks).await };
        if !back.is_zero() {
            tokio::time::sleep(back).await;
        }
        if self.is_dead() {
            return std::future::pending().await;
        }
        answer
    }

    /// Takes a request to its store, in a task of its own: it travels on though nobody waits for it any more.
    fn carry<Q, A, F>(
        &self,
        store: StoreId,
        name: &'static str,
        delay: Duration,
        request: Q,
        serve: impl Fn(Arc<Node>, Q) -> F + Send + 'static,
        answer: oneshot::Sender<Result<A, RpcError>>,
    ) where
        Q: Send + 'static,
        A: Send + 'static,
        F: Future<Output = Result<Response<A>, Status>> + Send + 'static,
    {
        let (world, client) = (self.world.clone(), self.client);
        tokio::spawn(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let Some(node) = world.slot(store).and_then(super::Slot::node) else {
                world.note(format_args!("client {client}: {name} finds store {store} down"));
                let _ = answer.send(Err(RpcError::Unreachable(format!("store {store} is down"))));
                return;
            };
            world.note(format_args!("client {client}: {name} at store {store}"));
            let (here, serving) = (world.clone(), node.clone());
            node.spawn(&world, async move {
                let result = serve(serving, request).await;
                let ended = if result.is_ok() { "answered" } else { "refused" };
                here.note(format_args!("client {client}: {name} {ended} by store {store}"));
                let _ = answer.send(result.map(Response::into_inner).map_err(|status| classify(&status)));
            });
        });
    }
}

/// A store's address says which it is.
fn store_at(address: &str) -> Result<StoreId, RpcError> {
    let number = address.strip_prefix("store-").and_then(|number| number.parse().ok());
    number.map(StoreId).ok_or_else(|| RpcError::Unreachable(format!("{address} is no address")))
}

async fn lost<A>(breaks: bool) -> Result<A, RpcError> {
    if !breaks {
        return std::future::pending().await;
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    Err(RpcError::Disconnected("the connection broke".to_owned()))
}

/// As the gRPC client does with a status that came from the store.
fn classify(status: &Status) -> RpcError {
    let message = status.message().to_owned();
    match status.code() {
        Code::Unimplemented => RpcError::Unimplemented(message),
        Code::InvalidArgument | Code::PermissionDenied | Code::Unauthenticated => RpcError::Refused(message),
        Code::OutOfRange | Code::ResourceExhausted => RpcError::TooLarge(message),
        code => RpcError::Other(format!("{code:?}: {message}")),
    }
}

macro_rules! calls {
    (
        tiny { $($method:ident: $request:ty => $response:ty;)* }
        tikv { $($call:ident, $tikv_method:ident: $asked:ty => $told:ty;)* }
    ) => {
        impl Rpc for ClientLink {
            $(fn $call<'a>(&'a self, address: &'a str, request: $asked) -> Reply<'a, $told> {
                Box::pin(self.call(address, stringify!($call), request, |node: Arc<Node>, request| async move {
                    node.tikv.$tikv_method(Request::new(request)).await
                }))
            })*

            $(fn $method<'a>(&'a self, address: &'a str, request: $request) -> Reply<'a, $response> {
                Box::pin(self.call(address, stringify!($method), request, |node: Arc<Node>, request| async move {
                    node.service.$method(Request::new(request)).await
                }))
            })*
        }
    };
}

nokv_proto::for_tiny_kv_calls! {
    calls
    tikv {
        txn_prewrite, kv_prewrite: kvrpcpb::PrewriteRequest => kvrpcpb::PrewriteResponse;
        txn_commit, kv_commit: kvrpcpb::CommitRequest => kvrpcpb::CommitResponse;
        txn_status, kv_check_txn_status: kvrpcpb::CheckTxnStatusRequest => kvrpcpb::CheckTxnStatusResponse;
        check_secondary_locks, kv_check_secondary_locks:
            kvrpcpb::CheckSecondaryLocksRequest => kvrpcpb::CheckSecondaryLocksResponse;
    }
}
