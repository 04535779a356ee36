//! Which calls of `tikvpb.Tikv` are served, and by what; which are not. One table, so that a call alone and the same
//! call in a batch cannot differ.

/// Hands the table to a macro: `hot` and `served` have the batch's name, the method (which is also the counter), its
/// messages and the function that does it; `batched` are the other commands a batch may hold; `refused` the other
/// methods; `split_region`, `read_index` and `check_leader`, which are about regions and not their data, stand beside
/// the table. What is hot keeps its state within a batch's request, whose size every request pays for.
macro_rules! tikv_calls {
    ($then:ident) => {
        $then! {
            hot {
                Get kv_get(GetRequest) -> GetResponse: txn_read::get;
                RawGet raw_get(RawGetRequest) -> RawGetResponse: raw::get;
                RawPut raw_put(RawPutRequest) -> RawPutResponse: raw::put;
            }
            served {
                BatchGet kv_batch_get(BatchGetRequest) -> BatchGetResponse: txn_read::batch_get;
                Scan kv_scan(ScanRequest) -> ScanResponse: txn_read::scan;
                ScanLock kv_scan_lock(ScanLockRequest) -> ScanLockResponse: txn_read::scan_lock;
                Prewrite kv_prewrite(PrewriteRequest) -> PrewriteResponse: txn_write::prewrite;
                Commit kv_commit(CommitRequest) -> CommitResponse: txn_write::commit;
                Cleanup kv_cleanup(CleanupRequest) -> CleanupResponse: txn_write::cleanup;
                BatchRollback kv_batch_rollback(BatchRollbackRequest) -> BatchRollbackResponse:
                    txn_write::batch_rollback;
                ResolveLock kv_resolve_lock(ResolveLockRequest) -> ResolveLockResponse: txn_write::resolve_lock;
                CheckTxnStatus kv_check_txn_status(CheckTxnStatusRequest) -> CheckTxnStatusResponse:
                    txn_write::check_txn_status;
                CheckSecondaryLocks kv_check_secondary_locks(CheckSecondaryLocksRequest)
                    -> CheckSecondaryLocksResponse: txn_write::check_secondary_locks;
                TxnHeartBeat kv_txn_heart_beat(TxnHeartBeatRequest) -> TxnHeartBeatResponse:
                    txn_write::txn_heart_beat;
                Gc kv_gc(GcRequest) -> GcResponse: gc::gc;
                DeleteRange kv_delete_range(DeleteRangeRequest) -> DeleteRangeResponse: delete_range::delete_range;
                RawDeleteRange raw_delete_range(RawDeleteRangeRequest) -> RawDeleteRangeResponse:
                    delete_range::raw_delete_range;
                RawDelete raw_delete(RawDeleteRequest) -> RawDeleteResponse: raw::delete;
                RawScan raw_scan(RawScanRequest) -> RawScanResponse: raw::scan;
            }
            batched {
                Import, RawBatchGet, RawBatchPut, RawBatchDelete, RawBatchScan,
                Coprocessor, PessimisticLock, PessimisticRollback, RawCoprocessor,
                FlashbackToVersion, PrepareFlashbackToVersion, Flush, BufferBatchGet, GetHealthFeedback,
                BroadcastTxnStatus
            }
            refused {
                kv_pessimistic_lock(PessimisticLockRequest) -> PessimisticLockResponse;
                kv_pessimistic_rollback(PessimisticRollbackRequest) -> PessimisticRollbackResponse;
                kv_flush(FlushRequest) -> FlushResponse;
                kv_buffer_batch_get(BufferBatchGetRequest) -> BufferBatchGetResponse;
                broadcast_txn_status(BroadcastTxnStatusRequest) -> BroadcastTxnStatusResponse;
                kv_import(ImportRequest) -> ImportResponse;
                kv_prepare_flashback_to_version(PrepareFlashbackToVersionRequest) -> PrepareFlashbackToVersionResponse;
                kv_flashback_to_version(FlashbackToVersionRequest) -> FlashbackToVersionResponse;
                register_lock_observer(RegisterLockObserverRequest) -> RegisterLockObserverResponse;
                check_lock_observer(CheckLockObserverRequest) -> CheckLockObserverResponse;
                remove_lock_observer(RemoveLockObserverRequest) -> RemoveLockObserverResponse;
                physical_scan_lock(PhysicalScanLockRequest) -> PhysicalScanLockResponse;
                raw_batch_get(RawBatchGetRequest) -> RawBatchGetResponse;
                raw_batch_put(RawBatchPutRequest) -> RawBatchPutResponse;
                raw_batch_delete(RawBatchDeleteRequest) -> RawBatchDeleteResponse;
                raw_batch_scan(RawBatchScanRequest) -> RawBatchScanResponse;
                raw_get_key_ttl(RawGetKeyTtlRequest) -> RawGetKeyTtlResponse;
                raw_compare_and_swap(RawCasRequest) -> RawCasResponse;
                raw_checksum(RawChecksumRequest) -> RawChecksumResponse;
                raw_coprocessor(RawCoprocessorRequest) -> RawCoprocessorResponse;
                mvcc_get_by_key(MvccGetByKeyRequest) -> MvccGetByKeyResponse;
                mvcc_get_by_start_ts(MvccGetByStartTsRequest) -> MvccGetByStartTsResponse;
                get_store_safe_ts(StoreSafeTsRequest) -> StoreSafeTsResponse;
                get_lock_wait_info(GetLockWaitInfoRequest) -> GetLockWaitInfoResponse;
                get_lock_wait_history(GetLockWaitHistoryRequest) -> GetLockWaitHistoryResponse;
                get_health_feedback(GetHealthFeedbackRequest) -> GetHealthFeedbackResponse;
            }
        }
    };
}

pub(super) use tikv_calls;
