//! The calls that read transactional keys: KvGet, KvBatchGet, KvScan, KvScanLock.
//! None of them latches anything or leaves a log entry.
//! Each turns its request into a command, and the reply into the response; the rules are percolator's.

use bytes::Bytes;
use nokv_engine::Engine;
use nokv_percolator::{BatchGet, Get, Key, Pair, Timestamp};
use nokv_proto::kvrpcpb::{
    BatchGetRequest, BatchGetResponse, GetRequest, GetResponse, KvPair, ScanLockRequest, ScanLockResponse, ScanRequest,
    ScanResponse,
};
use tonic::Status;

use super::answer::answer;
use super::context::{read_point, request_context};
use super::key_error;
use super::region_error::KeySpace;
use crate::executor::{Executor, RegionLocks, RegionScan};

pub(super) async fn get<E: Engine>(executor: &Executor<E>, request: GetRequest) -> Result<GetResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    let read = read_point(request.context.as_ref(), request.version);
    let command = Get { key: Key::encode(&request.key), read };
    let result = executor.get(&context, &command).await;
    answer(result, KeySpace::Transactional, |reply| match reply {
        Ok(Some(found)) => {
            let commit_ts = if request.need_commit_ts { found.commit_ts.0 } else { 0 };
            GetResponse { value: found.value, commit_ts, ..Default::default() }
        }
        Ok(None) => GetResponse { not_found: true, ..Default::default() },
        Err(error) => GetResponse { error: key_error::of_reply::<()>(Err(error)), ..Default::default() },
    })
}

pub(super) async fn batch_get<E: Engine>(
    executor: &Executor<E>,
    request: BatchGetRequest,
) -> Result<BatchGetResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    let read = read_point(request.context.as_ref(), request.version);
    let command = BatchGet { keys: request.keys.iter().map(|key| Key::encode(key)).collect(), read };
    let result = executor.batch_get(&context, &command).await;
    let with_commit_ts = request.need_commit_ts;
    answer(result, KeySpace::Transactional, |reply| {
        let pairs = match reply {
            Ok(pairs) => pairs,
            Err(error) => {
                let error = key_error::of_reply::<()>(Err(error));
                return BatchGetResponse { error, ..Default::default() };
            }
        };
        let pair = |pair: Pair| {
            let commit_ts = pair.result.as_ref().map_or(0, |found| found.commit_ts.0);
            KvPair { commit_ts: if with_commit_ts { commit_ts } else { 0 }, ..pair_to_wire(pair) }
        };
        BatchGetResponse { pairs: pairs.into_iter().map(pair).collect(), ..Default::default() }
    })
}

pub(super) async fn scan<E: Engine>(executor: &Executor<E>, request: ScanRequest) -> Result<ScanResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    if request.sample_step != 0 {
        return Err(Status::invalid_argument("sample_step is not served; leave it out"));
    }
    let (lower, upper) = if request.reverse {
        (bound(&request.end_key), bound(&request.start_key))
    } else {
        (Key::encode(&request.start_key).into_encoded(), bound(&request.end_key))
    };
    let scan = RegionScan {
        lower,
        upper,
        read: read_point(request.context.as_ref(), request.version),
        limit: usize::try_from(request.limit).unwrap_or(usize::MAX),
        key_only: request.key_only,
        reverse: request.reverse,
    };
    let result = executor.scan(&context, &scan).await;
    answer(result, KeySpace::Transactional, |reply| match reply {
        Ok(pairs) => ScanResponse { pairs: pairs.into_iter().map(pair_to_wire).collect(), ..Default::default() },
        Err(error) => ScanResponse { error: key_error::of_reply::<()>(Err(error)), ..Default::default() },
    })
}

pub(super) async fn scan_lock<E: Engine>(
    executor: &Executor<E>,
    request: ScanLockRequest,
) -> Result<ScanLockResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let locks = RegionLocks {
        lower: bound(&request.start_key),
        upper: bound(&request.end_key),
        max_ts: Timestamp(request.max_version),
        // In TiKV's call no limit is none at all.
        limit: if limit == 0 { usize::MAX } else { limit },
    };
    let result = executor.scan_locks(&context, &locks).await;
    answer(result, KeySpace::Transactional, |locks| ScanLockResponse {
        locks: locks.into_iter().map(key_error::lock_to_wire).collect(),
        ..Default::default()
    })
}

/// A bound that is absent if it is empty.
fn bound(user_key: &[u8]) -> Bytes {
    if user_key.is_empty() { Bytes::new() } else { Key::encode(user_key).into_encoded() }
}

fn pair_to_wire(pair: Pair) -> KvPair {
    match pair.result {
        Ok(found) => KvPair { key: pair.key, value: found.value, ..Default::default() },
        Err(error) => KvPair { key: pair.key, error: key_error::of_reply::<()>(Err(error)), ..Default::default() },
    }
}
