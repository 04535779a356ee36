//! The calls on plain keys: RawGet, RawPut, RawDelete, RawScan. There is one key space for them, which TinyKv's clients
//! call `default` or nothing; any other column family is refused in the response, as TinyKV does.

use bytes::Bytes;
use nokv_engine::Engine;
use nokv_proto::kvrpcpb::{
    KvPair, RawDeleteRequest, RawDeleteResponse, RawGetRequest, RawGetResponse, RawPutRequest, RawPutResponse,
};
use nokv_proto::tinykvpb::{RawScanRequest, RawScanResponse};
use tonic::Status;

use super::answer::answer;
use super::context::{check_write_key, request_context};
use super::region_error::KeySpace;
use crate::executor::{Executor, RawRange};

/// What is wrong with a column family's name, if anything.
fn refuse_cf(cf: &str) -> Option<String> {
    let served = cf.is_empty() || cf == "default";
    (!served).then(|| format!("there is no column family {cf:?} of plain keys; use \"default\" or leave it out"))
}

pub(super) async fn get<E: Engine>(executor: &Executor<E>, request: RawGetRequest) -> Result<RawGetResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    if let Some(error) = refuse_cf(&request.cf) {
        return Ok(RawGetResponse { error, ..Default::default() });
    }
    let result = executor.raw_get(&context, &request.key).await;
    answer(result, KeySpace::Raw, |value| RawGetResponse {
        not_found: value.is_none(),
        value: value.unwrap_or_default(),
        ..Default::default()
    })
}

pub(super) async fn put<E: Engine>(executor: &Executor<E>, request: RawPutRequest) -> Result<RawPutResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    check_write_key(&request.key, "key")?;
    if request.ttl != 0 {
        return Err(Status::invalid_argument(
            "ttl is not served; leave it out, and delete the key when its time is over",
        ));
    }
    if let Some(error) = refuse_cf(&request.cf) {
        return Ok(RawPutResponse { error, ..Default::default() });
    }
    let result = executor.raw_put(&context, &request.key, &request.value).await;
    answer(result, KeySpace::Raw, |()| RawPutResponse::default())
}

pub(super) async fn delete<E: Engine>(
    executor: &Executor<E>,
    request: RawDeleteRequest,
) -> Result<RawDeleteResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    check_write_key(&request.key, "key")?;
    if let Some(error) = refuse_cf(&request.cf) {
        return Ok(RawDeleteResponse { error, ..Default::default() });
    }
    let result = executor.raw_delete(&context, &request.key).await;
    answer(result, KeySpace::Raw, |()| RawDeleteResponse::default())
}

pub(super) async fn scan<E: Engine>(
    executor: &Executor<E>,
    request: RawScanRequest,
) -> Result<RawScanResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    if let Some(error) = refuse_cf(&request.cf) {
        return Ok(RawScanResponse { error, ..Default::default() });
    }
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let range = RawRange { lower: request.start_key, upper: Bytes::new(), limit };
    let result = executor.raw_scan(&context, &range).await;
    answer(result, KeySpace::Raw, |pairs| RawScanResponse {
        kvs: pairs.into_iter().map(|(key, value)| KvPair { key, value, ..Default::default() }).collect(),
        ..Default::default()
    })
}
