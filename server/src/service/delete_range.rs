//! KvDeleteRange, RawDeleteRange and UnsafeDestroyRange: ranges that nobody uses any more go at once.
//! In a transactional range both keys are user keys; UnsafeDestroyRange takes them as regions' bounds are kept, as
//! TiKV's does, and is about one store: a client asks all of them.

use bytes::Bytes;
use nokv_engine::Engine;
use nokv_percolator::Key;
use nokv_proto::kvrpcpb::{
    DeleteRangeRequest, DeleteRangeResponse, RawDeleteRangeRequest, RawDeleteRangeResponse, UnsafeDestroyRangeRequest,
    UnsafeDestroyRangeResponse,
};
use tonic::Status;

use super::answer::answer;
use super::context::request_context;
use super::raw::refuse_cf;
use super::region_error::KeySpace;
use crate::executor::{DoomedRange, Executor, RangeKind};

pub(super) async fn delete_range<E: Engine>(
    executor: &Executor<E>,
    request: DeleteRangeRequest,
) -> Result<DeleteRangeResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    if request.notify_only {
        return Err(Status::invalid_argument("notify_only is not served: nobody here is notified; leave it out"));
    }
    check_order(&request.start_key, &request.end_key)?;
    let bound = |key: &Bytes| if key.is_empty() { Bytes::new() } else { Key::encode(key).into_encoded() };
    let range = DoomedRange {
        lower: bound(&request.start_key),
        upper: bound(&request.end_key),
        kind: RangeKind::Transactional,
    };
    let result = executor.delete_range(&context, &range).await;
    answer(result, KeySpace::Transactional, |()| DeleteRangeResponse::default())
}

pub(super) async fn raw_delete_range<E: Engine>(
    executor: &Executor<E>,
    request: RawDeleteRangeRequest,
) -> Result<RawDeleteRangeResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    if let Some(error) = refuse_cf(&request.cf) {
        return Ok(RawDeleteRangeResponse { error, ..Default::default() });
    }
    check_order(&request.start_key, &request.end_key)?;
    let range = DoomedRange { lower: request.start_key, upper: request.end_key, kind: RangeKind::Raw };
    let result = executor.delete_range(&context, &range).await;
    answer(result, KeySpace::Raw, |()| RawDeleteRangeResponse::default())
}

/// On this store's part only; the region in the context, if any, says nothing.
pub(super) async fn unsafe_destroy_range<E: Engine>(
    executor: &Executor<E>,
    request: UnsafeDestroyRangeRequest,
) -> Result<UnsafeDestroyRangeResponse, Status> {
    check_order(&request.start_key, &request.end_key)?;
    let range = DoomedRange { lower: request.start_key, upper: request.end_key, kind: RangeKind::Transactional };
    let result = executor.destroy_range(&range).await;
    answer(result, KeySpace::Raw, |()| UnsafeDestroyRangeResponse::default())
}

/// A range that ends where it begins is a mistake; taken as "everything behind" it would be a bad one.
fn check_order(start: &[u8], end: &[u8]) -> Result<(), Status> {
    if end.is_empty() || start < end {
        return Ok(());
    }
    Err(Status::invalid_argument("end_key does not lie behind start_key"))
}
