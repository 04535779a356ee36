//! The stores over gRPC: a few connections each, made when first needed, watched by HTTP/2 pings.
//! Says of every failure whether the request can have been executed.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use nokv_proto::nokvpb::admin_client::AdminClient;
use nokv_proto::tikvpb::tikv_client::TikvClient;
use nokv_proto::tinykvpb::tiny_kv_client::TinyKvClient;
use nokv_proto::{kvrpcpb, nokvpb};
use parking_lot::Mutex;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, ConnectError, Request, Response, Status};

use crate::rpc::{Reply, Rpc, RpcError};
use crate::tiny_forms;

/// How connections are made and watched.
#[derive(Clone, Debug)]
pub struct GrpcOptions {
    /// Connections to each store, used in turn. One carries about 30,000 small requests a second. Default 2.
    pub connections_per_store: usize,
    /// How long connecting may take. Default 1 s.
    pub connect_timeout: Duration,
    /// A ping is sent after so long without a sign from the store. Default 3 s.
    pub keepalive_interval: Duration,
    /// Without an answer to the ping after so long the connection is given up. Default 2 s.
    pub keepalive_timeout: Duration,
    /// The largest answer in bytes. Default 64 MiB.
    pub answer_bytes_max: usize,
    /// The largest request in bytes. Default 16 MiB.
    pub request_bytes_max: usize,
}

impl Default for GrpcOptions {
    fn default() -> Self {
        GrpcOptions {
            connections_per_store: 2,
            connect_timeout: Duration::from_secs(1),
            keepalive_interval: Duration::from_secs(3),
            keepalive_timeout: Duration::from_secs(2),
            answer_bytes_max: 64 << 20,
            request_bytes_max: 16 << 20,
        }
    }
}

impl GrpcOptions {
    /// How a store is connected to.
    pub(crate) fn endpoint(&self, address: &str) -> Result<Endpoint, RpcError> {
        let uri = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        let endpoint = Endpoint::from_shared(uri).map_err(|error| RpcError::Unreachable(error.to_string()))?;
        Ok(endpoint
            .connect_timeout(self.connect_timeout)
            .http2_keep_alive_interval(self.keepalive_interval)
            .keep_alive_timeout(self.keepalive_timeout)
            .http2_adaptive_window(true)
            .tcp_nodelay(true))
    }
}

/// TinyKv, and TiKV's calls where the store has them, over gRPC, without encryption.
#[derive(Debug, Default)]
pub struct GrpcRpc {
    options: GrpcOptions,
    pools: Mutex<BTreeMap<String, Arc<Pool>>>,
}

/// The connections to one store.
#[derive(Debug)]
struct Pool {
    channels: Vec<Channel>,
    turn: AtomicUsize,
    /// Whether the store serves TiKV's calls: [`NOT_KNOWN`], [`SERVED`] or [`UNSERVED`].
    tikv: AtomicU8,
}

const NOT_KNOWN: u8 = 0;
const SERVED: u8 = 1;
const UNSERVED: u8 = 2;

impl GrpcRpc {
    /// Connections made and watched as `options` say. Nothing is dialled yet.
    pub fn new(options: GrpcOptions) -> Self {
        GrpcRpc { options, pools: Mutex::default() }
    }

    /// The next connection to `address` in turn. A broken one reconnects by itself with its next request.
    fn channel(&self, address: &str) -> Result<Channel, RpcError> {
        self.pool(address)?.next()
    }

    fn pool(&self, address: &str) -> Result<Arc<Pool>, RpcError> {
        let mut pools = self.pools.lock();
        if let Some(pool) = pools.get(address) {
            return Ok(pool.clone());
        }
        let pool = Arc::new(self.dial(address)?);
        pools.insert(address.to_owned(), pool.clone());
        Ok(pool)
    }

    fn dial(&self, address: &str) -> Result<Pool, RpcError> {
        let endpoint = self.options.endpoint(address)?;
        let channels = (0..self.options.connections_per_store.max(1)).map(|_| endpoint.connect_lazy());
        Ok(Pool { channels: channels.collect(), turn: AtomicUsize::new(0), tikv: AtomicU8::new(NOT_KNOWN) })
    }
}

impl Pool {
    fn next(&self) -> Result<Channel, RpcError> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let channel = self.channels.get(turn % self.channels.len().max(1)).cloned();
        channel.ok_or_else(|| RpcError::Unreachable("no connection is configured".to_owned()))
    }
}

/// How the words of a status begin that is not the server's, but made of an HTTP/2 error.
const HTTP2_ERROR: &str = "h2 protocol error";

/// What a gRPC status means for the request.
pub(crate) fn classify(status: &Status) -> RpcError {
    let message = status.message().to_owned();
    if never_left(status) {
        return RpcError::Unreachable(innermost(status));
    }
    match status.code() {
        Code::Unimplemented => RpcError::Unimplemented(message),
        Code::InvalidArgument | Code::PermissionDenied | Code::Unauthenticated => RpcError::Refused(message),
        // A server that ends a connection because too much was asked of it says nothing of this request's size.
        Code::ResourceExhausted if message.starts_with(HTTP2_ERROR) => RpcError::Disconnected(message),
        Code::OutOfRange | Code::ResourceExhausted => RpcError::TooLarge(message),
        // A status with a source was made here, of a connection that broke; one without came from the store.
        Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled if status.source().is_some() => {
            RpcError::Disconnected(innermost(status))
        }
        code => RpcError::Other(format!("{code:?}: {message}")),
    }
}

/// Whether the request failed because there was no connection to send it over.
fn never_left(status: &Status) -> bool {
    causes(status).any(|cause| cause.is::<ConnectError>())
}

/// The words of the first cause: those of the errors around it only say that something failed.
pub(crate) fn innermost(error: &dyn StdError) -> String {
    causes(error).last().map_or_else(|| error.to_string(), |cause| cause.to_string())
}

fn causes(error: &dyn StdError) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |cause: &&(dyn StdError + 'static)| (*cause).source())
}

macro_rules! forward {
    (
        tiny { $($method:ident: $request:ty => $response:ty;)* }
        tikv { $($call:ident, $tikv_method:ident: $asked:ty => $told:ty, else $fallback:expr;)* }
    ) => {
        impl Rpc for GrpcRpc {
            $(fn $method<'a>(&'a self, address: &'a str, request: $request) -> Reply<'a, $response> {
                Box::pin(async move {
                    let mut client = TinyKvClient::new(self.channel(address)?)
                        .max_decoding_message_size(self.options.answer_bytes_max)
                        .max_encoding_message_size(self.options.request_bytes_max);
                    let answer = client.$method(Request::new(request)).await;
                    answer.map(Response::into_inner).map_err(|status| classify(&status))
                })
            })*

            fn region_at<'a>(
                &'a self,
                address: &'a str,
                request: nokvpb::RegionAtRequest,
            ) -> Reply<'a, nokvpb::RegionAtResponse> {
                Box::pin(async move {
                    let answer = AdminClient::new(self.channel(address)?).region_at(Request::new(request)).await;
                    answer.map(Response::into_inner).map_err(|status| classify(&status))
                })
            }

            fn kv_scan_lock<'a>(
                &'a self,
                address: &'a str,
                request: kvrpcpb::ScanLockRequest,
            ) -> Reply<'a, kvrpcpb::ScanLockResponse> {
                Box::pin(async move {
                    let mut client = TikvClient::new(self.channel(address)?)
                        .max_decoding_message_size(self.options.answer_bytes_max);
                    let answer = client.kv_scan_lock(Request::new(request)).await;
                    answer.map(Response::into_inner).map_err(|status| classify(&status))
                })
            }

            fn kv_gc<'a>(&'a self, address: &'a str, request: kvrpcpb::GcRequest) -> Reply<'a, kvrpcpb::GcResponse> {
                Box::pin(async move {
                    let answer = TikvClient::new(self.channel(address)?).kv_gc(Request::new(request)).await;
                    answer.map(Response::into_inner).map_err(|status| classify(&status))
                })
            }

            $(fn $call<'a>(&'a self, address: &'a str, request: $asked) -> Reply<'a, $told> {
                Box::pin(async move {
                    let pool = self.pool(address)?;
                    let known = pool.tikv.load(Ordering::Relaxed);
                    if known == UNSERVED {
                        return $fallback(self, address, request).await;
                    }
                    let mut client = TikvClient::new(pool.next()?)
                        .max_decoding_message_size(self.options.answer_bytes_max)
                        .max_encoding_message_size(self.options.request_bytes_max);
                    // Kept only until it is known that the store has the call.
                    let spare = (known == NOT_KNOWN).then(|| request.clone());
                    match (client.$tikv_method(Request::new(request)).await, spare) {
                        (Ok(answer), _) => {
                            pool.tikv.store(SERVED, Ordering::Relaxed);
                            Ok(answer.into_inner())
                        }
                        (Err(status), Some(request)) if status.code() == Code::Unimplemented => {
                            pool.tikv.store(UNSERVED, Ordering::Relaxed);
                            $fallback(self, address, request).await
                        }
                        (Err(status), _) => Err(classify(&status)),
                    }
                })
            })*
        }
    };
}

/// For the one call that TinyKv has no form of.
fn unserved<'a>(
    _: &'a GrpcRpc,
    _: &'a str,
    _: kvrpcpb::CheckSecondaryLocksRequest,
) -> Reply<'a, kvrpcpb::CheckSecondaryLocksResponse> {
    let error = RpcError::Unimplemented("the store does not know KvCheckSecondaryLocks".to_owned());
    Box::pin(std::future::ready(Err(error)))
}

fn tiny_prewrite<'a>(
    rpc: &'a GrpcRpc,
    address: &'a str,
    request: kvrpcpb::PrewriteRequest,
) -> Reply<'a, kvrpcpb::PrewriteResponse> {
    rpc.kv_prewrite(address, tiny_forms::prewrite(request))
}

fn tiny_status<'a>(
    rpc: &'a GrpcRpc,
    address: &'a str,
    request: kvrpcpb::CheckTxnStatusRequest,
) -> Reply<'a, kvrpcpb::CheckTxnStatusResponse> {
    let answer = rpc.kv_check_txn_status(address, tiny_forms::status(request));
    Box::pin(async move { answer.await.map(tiny_forms::status_answer) })
}

nokv_proto::for_tiny_kv_calls! {
    forward
    tikv {
        txn_prewrite, kv_prewrite: kvrpcpb::PrewriteRequest => kvrpcpb::PrewriteResponse, else tiny_prewrite;
        txn_commit, kv_commit: kvrpcpb::CommitRequest => kvrpcpb::CommitResponse, else GrpcRpc::kv_commit;
        txn_status, kv_check_txn_status: kvrpcpb::CheckTxnStatusRequest => kvrpcpb::CheckTxnStatusResponse,
            else tiny_status;
        check_secondary_locks, kv_check_secondary_locks:
            kvrpcpb::CheckSecondaryLocksRequest => kvrpcpb::CheckSecondaryLocksResponse, else unserved;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_is_cut_off_is_no_message_that_is_too_large() {
        let cut_off = Status::resource_exhausted("h2 protocol error: error reading a body from connection");
        assert_eq!(classify(&cut_off), RpcError::Disconnected(cut_off.message().to_owned()));
        let large = Status::resource_exhausted("decoded message length too large");
        assert_eq!(classify(&large), RpcError::TooLarge(large.message().to_owned()));
    }
}
