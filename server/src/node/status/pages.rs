//! What the pages look at, and the smallest of them.
//! The larger ones have files of their own beside this one.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use nokv_engine::{Engine, RocksEngine};
use nokv_transport::grpc::GrpcNetwork;
use prometheus::Registry;
use tokio::sync::watch;

use crate::auto_split::AutoSplitState;
use crate::collector::CollectMetrics;
use crate::executor::Executor;
use crate::service::Calls;

/// What the pages look at. Cheap to clone.
pub(in crate::node) struct Pages<E: Engine> {
    pub(super) executor: Executor<E>,
    pub(super) network: Arc<GrpcNetwork>,
    pub(super) registry: Registry,
    pub(super) address: SocketAddr,
    stopping: watch::Receiver<bool>,
    pub(super) auto_split: AutoSplitState,
}

impl<E: Engine> Pages<E> {
    /// Pages about a node that answers gRPC at `address`.
    pub(in crate::node) fn new(
        executor: Executor<E>,
        network: Arc<GrpcNetwork>,
        calls: &Calls,
        collecting: &CollectMetrics,
        address: SocketAddr,
        stopping: watch::Receiver<bool>,
        auto_split: AutoSplitState,
    ) -> Self {
        let registry = Registry::new();
        let collectors = executor.raftstore().metrics().collectors().into_iter();
        let collectors = collectors.chain(calls.collectors()).chain(collecting.collectors());
        for collector in collectors {
            registry.register(collector).expect("names and labels are constant and differ from each other");
        }
        Self { executor, network, registry, address, stopping, auto_split }
    }
}

impl<E: Engine> Clone for Pages<E> {
    fn clone(&self) -> Self {
        Self {
            executor: self.executor.clone(),
            network: self.network.clone(),
            registry: self.registry.clone(),
            address: self.address,
            stopping: self.stopping.clone(),
            auto_split: self.auto_split,
        }
    }
}

impl<E: Engine> fmt::Debug for Pages<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("address", &self.address).finish_non_exhaustive()
    }
}

pub(super) async fn health(State(pages): State<Pages<RocksEngine>>) -> Response {
    if *pages.stopping.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(serde_json::json!({ "status": "stopping" }))).into_response();
    }
    Json(serde_json::json!({ "status": "ok" })).into_response()
}

pub(super) async fn unknown_path(uri: Uri) -> Response {
    let pages = "/health, /status, /metrics and /digest?region=ID";
    refuse(StatusCode::NOT_FOUND, &format!("nothing is served at {}; there are {pages}", uri.path()))
}

pub(super) fn refuse(status: StatusCode, problem: &str) -> Response {
    (status, Json(serde_json::json!({ "error": problem }))).into_response()
}
