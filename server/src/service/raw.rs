//! The calls on plain keys: RawGet, RawPut, RawDelete, RawScan. There is one key space for them, which TinyKv's clients
//! call `default` or nothing; any other column family is refused in the response, as TinyKV does.

use bytes::Bytes;
use nokv_engine::Engine;
use nokv_proto::kvrpcpb::{
    KvPair, RawDeleteRequest, RawDeleteResponse, RawGetRequest, RawGetResponse, RawPutRequest, RawPutResponse,
};
use nokv_proto::{errorpb, kvrpcpb, tinykvpb};
use tonic::Status;

use super::answer::{Answer as _, answer};
use super::context::{check_write_key, request_context};
use super::region_error::{self, KeySpace};
use super::tikv_refusal::Refusable as _;
use crate::executor::{Executor, RawRange};

/// What is wrong with a column family's name, if anything.
pub(super) fn refuse_cf(cf: &str) -> Option<String> {
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

/// TinyKv's RawScan.
pub(super) async fn scan_tiny<E: Engine>(
    executor: &Executor<E>,
    request: tinykvpb::RawScanRequest,
) -> Result<tinykvpb::RawScanResponse, Status> {
    let tinykvpb::RawScanRequest { context, start_key, limit, cf } = request;
    let request = kvrpcpb::RawScanRequest { context, start_key, limit, cf, ..Default::default() };
    Ok(match pairs(executor, request).await? {
        Scanned::Pairs(kvs) => tinykvpb::RawScanResponse { kvs, ..Default::default() },
        Scanned::NoSuchCf(error) => tinykvpb::RawScanResponse { error, ..Default::default() },
        Scanned::Region(error) => tinykvpb::RawScanResponse::refused(error),
    })
}

/// TiKV's RawScan, whose answer has no place for an error but in a pair.
pub(super) async fn scan<E: Engine>(
    executor: &Executor<E>,
    request: kvrpcpb::RawScanRequest,
) -> Result<kvrpcpb::RawScanResponse, Status> {
    Ok(match pairs(executor, request).await? {
        Scanned::Pairs(kvs) => kvrpcpb::RawScanResponse { kvs, ..Default::default() },
        Scanned::NoSuchCf(error) => kvrpcpb::RawScanResponse::because(error),
        Scanned::Region(error) => kvrpcpb::RawScanResponse::refused(error),
    })
}

enum Scanned {
    Pairs(Vec<KvPair>),
    NoSuchCf(String),
    Region(Box<errorpb::Error>),
}

async fn pairs<E: Engine>(executor: &Executor<E>, request: kvrpcpb::RawScanRequest) -> Result<Scanned, Status> {
    let context = request_context(request.context.as_ref())?;
    if request.reverse {
        return Err(Status::invalid_argument("reverse is not served for plain keys; leave it out"));
    }
    if let Some(error) = refuse_cf(&request.cf) {
        return Ok(Scanned::NoSuchCf(error));
    }
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let range = RawRange { lower: request.start_key, upper: request.end_key, limit };
    match executor.raw_scan(&context, &range).await {
        Ok(pairs) => {
            let value_of = |value| if request.key_only { Bytes::new() } else { value };
            let pair = |(key, value)| KvPair { key, value: value_of(value), ..Default::default() };
            Ok(Scanned::Pairs(pairs.into_iter().map(pair).collect()))
        }
        Err(error) => region_error::to_wire(error, KeySpace::Raw).map(Scanned::Region),
    }
}
