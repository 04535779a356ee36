//! The service `tinykvpb.TinyKv`: each call is counted and handed to the file that serves it.
//! Nothing is decided in this file, so that a call's rules stand in one place.

use std::fmt;
use std::sync::Arc;

use nokv_engine::Engine;
use nokv_proto::coprocessor;
use nokv_proto::kvrpcpb::{
    BatchRollbackRequest, BatchRollbackResponse, CommitRequest, CommitResponse, GetRequest, GetResponse,
    PrewriteResponse, RawDeleteRequest, RawDeleteResponse, RawGetRequest, RawGetResponse, RawPutRequest,
    RawPutResponse, ResolveLockRequest, ResolveLockResponse, ScanRequest, ScanResponse,
};
use nokv_proto::raft_serverpb::{Done, RaftMessage, SnapshotChunk};
use nokv_proto::tinykvpb::tiny_kv_server::TinyKv;
use nokv_proto::tinykvpb::{
    CheckTxnStatusRequest, CheckTxnStatusResponse, PrewriteRequest, RawScanRequest, RawScanResponse,
};
use nokv_transport::grpc::RaftTransportService;
use tonic::{Request, Response, Status, Streaming};

use super::calls::Calls;
use super::{raw, tinykv_forms, txn_read, txn_write};
use crate::executor::Executor;

/// Answers TinyKv's clients, and the streams that TinyKV's nodes would send.
pub struct TinyKvService<E: Engine> {
    executor: Executor<E>,
    raft: RaftTransportService,
    calls: Arc<Calls>,
}

impl<E: Engine> TinyKvService<E> {
    /// The service on an executor; `raft` takes the streams of other nodes.
    pub fn new(executor: Executor<E>, raft: RaftTransportService, calls: Arc<Calls>) -> Self {
        Self { executor, raft, calls }
    }
}

impl<E: Engine> fmt::Debug for TinyKvService<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TinyKvService").field("executor", &self.executor).finish_non_exhaustive()
    }
}

type Answered<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl<E: Engine> TinyKv for TinyKvService<E> {
    async fn kv_get(&self, request: Request<GetRequest>) -> Answered<GetResponse> {
        self.calls.kv_get.measure(txn_read::get(&self.executor, request.into_inner())).await.map(Response::new)
    }

    async fn kv_scan(&self, request: Request<ScanRequest>) -> Answered<ScanResponse> {
        self.calls.kv_scan.measure(txn_read::scan(&self.executor, request.into_inner())).await.map(Response::new)
    }

    async fn kv_prewrite(&self, request: Request<PrewriteRequest>) -> Answered<PrewriteResponse> {
        self.calls
            .kv_prewrite
            .measure(tinykv_forms::prewrite(&self.executor, request.into_inner()))
            .await
            .map(Response::new)
    }

    async fn kv_commit(&self, request: Request<CommitRequest>) -> Answered<CommitResponse> {
        self.calls
            .kv_commit
            .measure(tinykv_forms::commit(&self.executor, request.into_inner()))
            .await
            .map(Response::new)
    }

    async fn kv_check_txn_status(&self, request: Request<CheckTxnStatusRequest>) -> Answered<CheckTxnStatusResponse> {
        let call = tinykv_forms::check_txn_status(&self.executor, request.into_inner());
        self.calls.kv_check_txn_status.measure(call).await.map(Response::new)
    }

    async fn kv_batch_rollback(&self, request: Request<BatchRollbackRequest>) -> Answered<BatchRollbackResponse> {
        let call = txn_write::batch_rollback(&self.executor, request.into_inner());
        self.calls.kv_batch_rollback.measure(call).await.map(Response::new)
    }

    async fn kv_resolve_lock(&self, request: Request<ResolveLockRequest>) -> Answered<ResolveLockResponse> {
        self.calls
            .kv_resolve_lock
            .measure(tinykv_forms::resolve_lock(&self.executor, request.into_inner()))
            .await
            .map(Response::new)
    }

    async fn raw_get(&self, request: Request<RawGetRequest>) -> Answered<RawGetResponse> {
        self.calls.raw_get.measure(raw::get(&self.executor, request.into_inner())).await.map(Response::new)
    }

    async fn raw_put(&self, request: Request<RawPutRequest>) -> Answered<RawPutResponse> {
        self.calls.raw_put.measure(raw::put(&self.executor, request.into_inner())).await.map(Response::new)
    }

    async fn raw_delete(&self, request: Request<RawDeleteRequest>) -> Answered<RawDeleteResponse> {
        self.calls.raw_delete.measure(raw::delete(&self.executor, request.into_inner())).await.map(Response::new)
    }

    async fn raw_scan(&self, request: Request<RawScanRequest>) -> Answered<RawScanResponse> {
        self.calls.raw_scan.measure(raw::scan_tiny(&self.executor, request.into_inner())).await.map(Response::new)
    }

    async fn raft(&self, request: Request<Streaming<RaftMessage>>) -> Answered<Done> {
        self.raft.accept_raft_stream(request.into_inner()).await.map(Response::new)
    }

    async fn snapshot(&self, _request: Request<Streaming<SnapshotChunk>>) -> Answered<Done> {
        Err(self.raft.refuse_image_stream())
    }

    async fn coprocessor(&self, _request: Request<coprocessor::Request>) -> Answered<coprocessor::Response> {
        Err(Status::unimplemented("Coprocessor is not served: nothing is computed on the store; read with KvScan"))
    }
}
