//! The calls that read transactional keys: KvGet, KvScan.
//! Each turns its request into a command, and the reply into the response; the rules are percolator's.

use bytes::Bytes;
use nokv_engine::Engine;
use nokv_percolator::{Get, Key, Pair};
use nokv_proto::kvrpcpb::{GetRequest, GetResponse, KvPair, ScanRequest, ScanResponse};
use tonic::Status;

use super::answer::answer;
use super::context::{read_point, request_context};
use super::key_error;
use super::region_error::KeySpace;
use crate::executor::{Executor, RegionScan};

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
    answer(result, KeySpace::Transactional, |pairs| ScanResponse {
        pairs: pairs.into_iter().map(pair_to_wire).collect(),
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
