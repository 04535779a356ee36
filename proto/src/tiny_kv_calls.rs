//! The calls of TinyKv's service that have one request and one answer, in one list for all who treat them alike.
//! It is a macro, because each has types of its own.

/// Hands the calls to the macro `$then`, in a group `tiny`, each as `method: Request => Response;`. Further tokens are
/// handed over behind it as they are.
///
/// ```
/// macro_rules! names {
///     (tiny { $($method:ident: $request:ty => $response:ty;)* }) => { [$(stringify!($method)),*] };
/// }
/// let names = nokv_proto::for_tiny_kv_calls!(names);
/// assert!(names.contains(&"kv_prewrite"));
/// ```
#[macro_export]
macro_rules! for_tiny_kv_calls {
    ($then:ident $($more:tt)*) => {
        $then! {
            tiny {
                kv_get: $crate::kvrpcpb::GetRequest => $crate::kvrpcpb::GetResponse;
                kv_scan: $crate::kvrpcpb::ScanRequest => $crate::kvrpcpb::ScanResponse;
                kv_prewrite: $crate::tinykvpb::PrewriteRequest => $crate::kvrpcpb::PrewriteResponse;
                kv_commit: $crate::kvrpcpb::CommitRequest => $crate::kvrpcpb::CommitResponse;
                kv_check_txn_status:
                    $crate::tinykvpb::CheckTxnStatusRequest => $crate::tinykvpb::CheckTxnStatusResponse;
                kv_batch_rollback: $crate::kvrpcpb::BatchRollbackRequest => $crate::kvrpcpb::BatchRollbackResponse;
                kv_resolve_lock: $crate::kvrpcpb::ResolveLockRequest => $crate::kvrpcpb::ResolveLockResponse;
                raw_get: $crate::kvrpcpb::RawGetRequest => $crate::kvrpcpb::RawGetResponse;
                raw_put: $crate::kvrpcpb::RawPutRequest => $crate::kvrpcpb::RawPutResponse;
                raw_delete: $crate::kvrpcpb::RawDeleteRequest => $crate::kvrpcpb::RawDeleteResponse;
                raw_scan: $crate::tinykvpb::RawScanRequest => $crate::tinykvpb::RawScanResponse;
            }
            $($more)*
        }
    };
}
