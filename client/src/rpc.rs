//! The seam to the stores: one method for each TinyKv call that the client makes, a few of TiKV's, one of our own, and
//! how such a call may fail.
//! `GrpcRpc` answers it over the network; tests and the simulator answer it from memory.

use futures_util::future::BoxFuture;
use nokv_proto::{kvrpcpb, nokvpb, tinykvpb};

use crate::tiny_forms;

/// The future of an answer.
pub type Reply<'a, T> = BoxFuture<'a, Result<T, RpcError>>;

/// One request to one store, one answer. No retries here, and no time-outs beyond connecting: the client has both.
///
/// `address` is what the region directory gives for the store. Dropping the future gives the request up; whether the
/// store still executes it is then unknown, as after any lost answer.
pub trait Rpc: Send + Sync + 'static {
    /// Reads one key at a timestamp.
    fn kv_get<'a>(&'a self, address: &'a str, request: kvrpcpb::GetRequest) -> Reply<'a, kvrpcpb::GetResponse>;
    /// Reads the keys of one region in order, at a timestamp.
    fn kv_scan<'a>(&'a self, address: &'a str, request: kvrpcpb::ScanRequest) -> Reply<'a, kvrpcpb::ScanResponse>;
    /// Phase one: locks keys and stores their values.
    fn kv_prewrite<'a>(
        &'a self,
        address: &'a str,
        request: tinykvpb::PrewriteRequest,
    ) -> Reply<'a, kvrpcpb::PrewriteResponse>;
    /// Phase two: makes locked keys visible.
    fn kv_commit<'a>(&'a self, address: &'a str, request: kvrpcpb::CommitRequest)
    -> Reply<'a, kvrpcpb::CommitResponse>;
    /// Asks a transaction's primary what became of it, and rolls it back if its time is over.
    fn kv_check_txn_status<'a>(
        &'a self,
        address: &'a str,
        request: tinykvpb::CheckTxnStatusRequest,
    ) -> Reply<'a, tinykvpb::CheckTxnStatusResponse>;
    /// Undoes prewrites and forbids later ones of the same transaction.
    fn kv_batch_rollback<'a>(
        &'a self,
        address: &'a str,
        request: kvrpcpb::BatchRollbackRequest,
    ) -> Reply<'a, kvrpcpb::BatchRollbackResponse>;
    /// Commits or rolls back what a decided transaction left locked in a region.
    fn kv_resolve_lock<'a>(
        &'a self,
        address: &'a str,
        request: kvrpcpb::ResolveLockRequest,
    ) -> Reply<'a, kvrpcpb::ResolveLockResponse>;
    /// Lists the locks of old transactions in a region. TinyKv has no such call; TiKV's service has it.
    fn kv_scan_lock<'a>(
        &'a self,
        _address: &'a str,
        _request: kvrpcpb::ScanLockRequest,
    ) -> Reply<'a, kvrpcpb::ScanLockResponse> {
        Box::pin(std::future::ready(Err(RpcError::Unimplemented("KvScanLock".to_owned()))))
    }
    /// Tells a region the safe point of garbage collection. As [`Rpc::kv_scan_lock`], a call of TiKV's.
    fn kv_gc<'a>(&'a self, _address: &'a str, _request: kvrpcpb::GcRequest) -> Reply<'a, kvrpcpb::GcResponse> {
        Box::pin(std::future::ready(Err(RpcError::Unimplemented("KvGC".to_owned()))))
    }
    /// Reads one raw key.
    fn raw_get<'a>(&'a self, address: &'a str, request: kvrpcpb::RawGetRequest) -> Reply<'a, kvrpcpb::RawGetResponse>;
    /// Writes one raw key.
    fn raw_put<'a>(&'a self, address: &'a str, request: kvrpcpb::RawPutRequest) -> Reply<'a, kvrpcpb::RawPutResponse>;
    /// Deletes one raw key.
    fn raw_delete<'a>(
        &'a self,
        address: &'a str,
        request: kvrpcpb::RawDeleteRequest,
    ) -> Reply<'a, kvrpcpb::RawDeleteResponse>;
    /// Reads the raw keys of one region in order.
    fn raw_scan<'a>(
        &'a self,
        address: &'a str,
        request: tinykvpb::RawScanRequest,
    ) -> Reply<'a, tinykvpb::RawScanResponse>;
    /// Asks which region of the store holds a key. Only NoKV's own servers know the call.
    fn region_at<'a>(
        &'a self,
        address: &'a str,
        request: nokvpb::RegionAtRequest,
    ) -> Reply<'a, nokvpb::RegionAtResponse> {
        let unknown = format!("{address}: nothing is known of the call that asks for {:?}", request.key);
        Box::pin(std::future::ready(Err(RpcError::Unimplemented(unknown))))
    }

    /// Phase one in TiKV's form, which can ask for one phase and for an asynchronous commit. Where the store knows
    /// TinyKv only it goes there without, and the answer shows it: as this does, unless it is overridden.
    fn txn_prewrite<'a>(
        &'a self,
        address: &'a str,
        request: kvrpcpb::PrewriteRequest,
    ) -> Reply<'a, kvrpcpb::PrewriteResponse> {
        self.kv_prewrite(address, tiny_forms::prewrite(request))
    }

    /// Phase two over TiKV's service where there is one, whose errors say more.
    fn txn_commit<'a>(
        &'a self,
        address: &'a str,
        request: kvrpcpb::CommitRequest,
    ) -> Reply<'a, kvrpcpb::CommitResponse> {
        self.kv_commit(address, request)
    }

    /// Asks for a transaction's status in TiKV's form, which tells of asynchronous commits; else in TinyKv's.
    fn txn_status<'a>(
        &'a self,
        address: &'a str,
        request: kvrpcpb::CheckTxnStatusRequest,
    ) -> Reply<'a, kvrpcpb::CheckTxnStatusResponse> {
        let answer = self.kv_check_txn_status(address, tiny_forms::status(request));
        Box::pin(async move { answer.await.map(tiny_forms::status_answer) })
    }

    /// Asks whether a transaction holds its locks on keys of one region, and closes those to it that it does not.
    /// TinyKv has no such call, and no transactions that need it.
    fn check_secondary_locks<'a>(
        &'a self,
        _address: &'a str,
        _request: kvrpcpb::CheckSecondaryLocksRequest,
    ) -> Reply<'a, kvrpcpb::CheckSecondaryLocksResponse> {
        let error = RpcError::Unimplemented("the store does not know KvCheckSecondaryLocks".to_owned());
        Box::pin(std::future::ready(Err(error)))
    }
}

/// Why a request has no answer. What matters most is whether the store may have executed it all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    /// No connection could be made: the request never left. Try another peer.
    #[error("cannot connect: {0}")]
    Unreachable(String),
    /// The connection broke with the request under way; it may have been executed. Try another peer.
    #[error("connection lost: {0}")]
    Disconnected(String),
    /// No answer in time; it may have been executed, or still be. Try another peer.
    #[error("no answer within {0} ms")]
    Timeout(u128),
    /// The store does not know the call. Final.
    #[error("not implemented: {0}")]
    Unimplemented(String),
    /// The store finds the request wrong, or not permitted. Final.
    #[error("refused: {0}")]
    Refused(String),
    /// The request or the answer is larger than a message may be. Final.
    #[error("message too large: {0}")]
    TooLarge(String),
    /// Anything else that the store answered; it may have been executed. Try again.
    #[error("{0}")]
    Other(String),
}

impl RpcError {
    /// Whether the store may have executed the request although there is no answer.
    pub fn may_have_run(&self) -> bool {
        matches!(self, RpcError::Disconnected(_) | RpcError::Timeout(_) | RpcError::Other(_) | RpcError::TooLarge(_))
    }

    /// Whether asking again, or elsewhere, cannot help.
    pub fn is_final(&self) -> bool {
        matches!(self, RpcError::Unimplemented(_) | RpcError::Refused(_) | RpcError::TooLarge(_))
    }
}
