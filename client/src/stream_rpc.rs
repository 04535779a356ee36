//! The stores over streams that carry many requests each (`tikvpb.Tikv/BatchCommands`): a request costs a fraction of a
//! call of its own, and whatever is queued while a frame is on its way is the next frame. A store that does not know
//! such streams is asked by unary calls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nokv_proto::{kvrpcpb, nokvpb};
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::grpc::{GrpcOptions, GrpcRpc};
use crate::rpc::{Reply, Rpc, RpcError};
use crate::stream_call::Streamed;
use crate::stream_drive::Driver;
use crate::stream_link::{Link, LinkBounds, Lost, STOPPED};

/// How streams are made and bounded.
#[derive(Clone, Debug)]
pub struct StreamOptions {
    /// How their connections are made and watched, and how large requests and answers may be; and, for stores that know
    /// no streams, the connections of unary calls.
    pub grpc: GrpcOptions,
    /// Streams to each store, used in turn, each with a connection of its own. More of them share the work among
    /// processors, fewer make larger frames. Default 1.
    pub streams_per_store: usize,
    /// Requests queued or unanswered on a stream; beyond it a request waits for its turn. Default 1,024.
    pub requests_max: usize,
    /// Requests in one frame. Default 256.
    pub frame_requests_max: usize,
    /// Bytes of requests in one frame; a larger request has a frame to itself. Default 1 MiB.
    pub frame_bytes_max: usize,
    /// The pause after a stream could not be opened, in which requests fail at once; it doubles with each further
    /// failure. Default 50 ms.
    pub pause_min: Duration,
    /// The longest such pause. Default 1 s.
    pub pause_max: Duration,
}

impl Default for StreamOptions {
    fn default() -> Self {
        StreamOptions {
            grpc: GrpcOptions::default(),
            streams_per_store: 1,
            requests_max: 1_024,
            frame_requests_max: 256,
            frame_bytes_max: 1 << 20,
            pause_min: Duration::from_millis(50),
            pause_max: Duration::from_secs(1),
        }
    }
}

/// The stores over streams, without encryption. Streams are opened when first needed, by tasks of the runtime on which
/// that is, and end when this is dropped.
#[derive(Debug)]
pub struct StreamRpc {
    options: StreamOptions,
    unary: GrpcRpc,
    stores: Mutex<BTreeMap<String, Arc<Store>>>,
}

/// The streams to one store.
#[derive(Debug)]
struct Store {
    streams: Vec<(Arc<Link>, AbortHandle)>,
    turn: AtomicUsize,
}

impl StreamRpc {
    /// Streams made and bounded as `options` say. Nothing is dialled yet.
    pub fn new(options: StreamOptions) -> Self {
        StreamRpc { unary: GrpcRpc::new(options.grpc.clone()), options, stores: Mutex::default() }
    }

    /// The next stream to `address` in turn.
    fn link(&self, address: &str) -> Result<Arc<Link>, RpcError> {
        let mut stores = self.stores.lock();
        if !stores.contains_key(address) {
            stores.insert(address.to_owned(), Arc::new(self.open(address)?));
        }
        let link = stores.get(address).and_then(|store| store.next());
        link.ok_or_else(|| RpcError::Unreachable("no stream is configured".to_owned()))
    }

    fn open(&self, address: &str) -> Result<Store, RpcError> {
        let StreamOptions { grpc, requests_max, frame_requests_max, frame_bytes_max, .. } = &self.options;
        let bounds = LinkBounds {
            requests_max: *requests_max,
            frame_requests_max: *frame_requests_max,
            frame_bytes_max: *frame_bytes_max,
            request_bytes_max: grpc.request_bytes_max,
        };
        let driver = Driver {
            endpoint: grpc.endpoint(address)?,
            answer_bytes_max: grpc.answer_bytes_max,
            frame_bytes_max: (*frame_bytes_max).max(grpc.request_bytes_max),
            pause_min: self.options.pause_min,
            pause_max: self.options.pause_max,
        };
        let streams = (0..self.options.streams_per_store.max(1)).map(|_| {
            let link = Arc::new(Link::new(bounds));
            let task = tokio::spawn(driver.clone().run(link.clone())).abort_handle();
            (link, task)
        });
        Ok(Store { streams: streams.collect(), turn: AtomicUsize::new(0) })
    }
}

impl Default for StreamRpc {
    fn default() -> Self {
        StreamRpc::new(StreamOptions::default())
    }
}

impl Store {
    fn next(&self) -> Option<Arc<Link>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.streams.get(turn % self.streams.len().max(1)).map(|(link, _)| link.clone())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        for (link, task) in &self.streams {
            task.abort();
            link.lose(STOPPED);
        }
    }
}

macro_rules! stream {
    (tiny { $($tiny:tt)* } tikv { $($tikv:tt)* }) => { stream! { $($tiny)* $($tikv)* } };
    ($($method:ident: $request:ty => $response:ty;)*) => {
        impl Rpc for StreamRpc {
            // Seldom, and each on its own.
            fn kv_scan_lock<'a>(
                &'a self,
                address: &'a str,
                request: kvrpcpb::ScanLockRequest,
            ) -> Reply<'a, kvrpcpb::ScanLockResponse> {
                self.unary.kv_scan_lock(address, request)
            }

            fn kv_gc<'a>(&'a self, address: &'a str, request: kvrpcpb::GcRequest) -> Reply<'a, kvrpcpb::GcResponse> {
                self.unary.kv_gc(address, request)
            }

            $(fn $method<'a>(&'a self, address: &'a str, request: $request) -> Reply<'a, $response> {
                Box::pin(async move {
                    let link = self.link(address)?;
                    if link.is_unserved() {
                        return self.unary.$method(address, request).await;
                    }
                    // Kept only until it is known that the store takes streams.
                    let spare = (!link.is_served()).then(|| request.clone());
                    match (link.ask(request.into_command()).await, spare) {
                        (Ok(reply), _) => <$request>::answer(reply),
                        (Err(Lost::Unserved), Some(request)) => self.unary.$method(address, request).await,
                        (Err(Lost::Unserved), None) => {
                            Err(RpcError::Unreachable("the store takes no streams any more".to_owned()))
                        }
                        (Err(Lost::Failed(error)), _) => Err(error),
                    }
                })
            })*

            fn region_at<'a>(
                &'a self,
                address: &'a str,
                request: nokvpb::RegionAtRequest,
            ) -> Reply<'a, nokvpb::RegionAtResponse> {
                self.unary.region_at(address, request)
            }
        }
    };
}

nokv_proto::for_tiny_kv_calls! {
    stream
    tikv {
        txn_prewrite: kvrpcpb::PrewriteRequest => kvrpcpb::PrewriteResponse;
        txn_commit: kvrpcpb::CommitRequest => kvrpcpb::CommitResponse;
        txn_status: kvrpcpb::CheckTxnStatusRequest => kvrpcpb::CheckTxnStatusResponse;
        check_secondary_locks: kvrpcpb::CheckSecondaryLocksRequest => kvrpcpb::CheckSecondaryLocksResponse;
    }
}
