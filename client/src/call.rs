//! What the routing needs to know of a request, whichever of the calls it is for.
//! One implementation for each request type, all of one shape.

use nokv_proto::{errorpb, kvrpcpb, tinykvpb};

use crate::rpc::{Reply, Rpc};

/// A request that carries a region context, and whose answer may be a region error.
pub(crate) trait Call: Clone + Send + Sync + 'static {
    /// Its answer.
    type Response: Send + 'static;

    /// Says for which region, epoch and peer it is.
    fn set_context(&mut self, context: kvrpcpb::Context);

    /// Sends it.
    fn send<'a>(self, rpc: &'a dyn Rpc, address: &'a str) -> Reply<'a, Self::Response>;

    /// Takes the region error out of an answer.
    fn take_region_error(response: &mut Self::Response) -> Option<Box<errorpb::Error>>;
}

macro_rules! call {
    ($request:ty, $response:ty, $method:ident) => {
        impl Call for $request {
            type Response = $response;

            fn set_context(&mut self, context: kvrpcpb::Context) {
                self.context = Some(context);
            }

            fn send<'a>(self, rpc: &'a dyn Rpc, address: &'a str) -> Reply<'a, Self::Response> {
                rpc.$method(address, self)
            }

            fn take_region_error(response: &mut Self::Response) -> Option<Box<errorpb::Error>> {
                response.region_error.take()
            }
        }
    };
}

call!(kvrpcpb::GetRequest, kvrpcpb::GetResponse, kv_get);
call!(kvrpcpb::ScanRequest, kvrpcpb::ScanResponse, kv_scan);
call!(kvrpcpb::PrewriteRequest, kvrpcpb::PrewriteResponse, txn_prewrite);
call!(kvrpcpb::CommitRequest, kvrpcpb::CommitResponse, txn_commit);
call!(kvrpcpb::CheckTxnStatusRequest, kvrpcpb::CheckTxnStatusResponse, txn_status);
call!(kvrpcpb::CheckSecondaryLocksRequest, kvrpcpb::CheckSecondaryLocksResponse, check_secondary_locks);
call!(kvrpcpb::BatchRollbackRequest, kvrpcpb::BatchRollbackResponse, kv_batch_rollback);
call!(kvrpcpb::ResolveLockRequest, kvrpcpb::ResolveLockResponse, kv_resolve_lock);
call!(kvrpcpb::ScanLockRequest, kvrpcpb::ScanLockResponse, kv_scan_lock);
call!(kvrpcpb::GcRequest, kvrpcpb::GcResponse, kv_gc);
call!(kvrpcpb::RawGetRequest, kvrpcpb::RawGetResponse, raw_get);
call!(kvrpcpb::RawPutRequest, kvrpcpb::RawPutResponse, raw_put);
call!(kvrpcpb::RawDeleteRequest, kvrpcpb::RawDeleteResponse, raw_delete);
call!(tinykvpb::RawScanRequest, tinykvpb::RawScanResponse, raw_scan);
