//! TinyKV's messages where they differ from kvproto's, turned into those and back. Both services share what follows.
//! What a client sent is refused in the numbers that it used.

use nokv_engine::Engine;
use nokv_proto::kvrpcpb::{self, PrewriteResponse};
use nokv_proto::tinykvpb;
use tonic::Status;

use super::txn_write;
use crate::executor::Executor;

pub(super) async fn prewrite<E: Engine>(
    executor: &Executor<E>,
    request: tinykvpb::PrewriteRequest,
) -> Result<PrewriteResponse, Status> {
    let tinykvpb::PrewriteRequest { context, mutations, primary_lock, start_version, lock_ttl } = request;
    let mutations = mutations.into_iter().enumerate().map(mutation).collect::<Result<_, _>>()?;
    let request =
        kvrpcpb::PrewriteRequest { context, mutations, primary_lock, start_version, lock_ttl, ..Default::default() };
    txn_write::prewrite(executor, request).await
}

fn mutation((at, mutation): (usize, tinykvpb::Mutation)) -> Result<kvrpcpb::Mutation, Status> {
    let op = match tinykvpb::Op::try_from(mutation.op) {
        Ok(tinykvpb::Op::Put) => kvrpcpb::Op::Put,
        Ok(tinykvpb::Op::Del) => kvrpcpb::Op::Del,
        Ok(tinykvpb::Op::Lock) => kvrpcpb::Op::Lock,
        Ok(tinykvpb::Op::Rollback) => {
            let text = format!("mutations[{at}].op is Rollback, which is no mutation; call KvBatchRollback");
            return Err(Status::invalid_argument(text));
        }
        Err(_) => {
            let text = format!("mutations[{at}].op is {}; known are Put 0, Del 1, Lock 3", mutation.op);
            return Err(Status::invalid_argument(text));
        }
    };
    Ok(kvrpcpb::Mutation { op: op.into(), key: mutation.key, value: mutation.value, ..Default::default() })
}

/// TinyKV's clients know no `commit_ts_expired`: to them it is an error to try again after, with a later timestamp.
pub(super) async fn commit<E: Engine>(
    executor: &Executor<E>,
    request: kvrpcpb::CommitRequest,
) -> Result<kvrpcpb::CommitResponse, Status> {
    let mut answer = txn_write::commit(executor, request).await?;
    answer.error = answer.error.map(retryable_if_expired);
    Ok(answer)
}

/// As [`commit`], for locks that somebody else left.
pub(super) async fn resolve_lock<E: Engine>(
    executor: &Executor<E>,
    request: kvrpcpb::ResolveLockRequest,
) -> Result<kvrpcpb::ResolveLockResponse, Status> {
    let mut answer = txn_write::resolve_lock(executor, request).await?;
    answer.error = answer.error.map(retryable_if_expired);
    Ok(answer)
}

fn retryable_if_expired(mut error: Box<kvrpcpb::KeyError>) -> Box<kvrpcpb::KeyError> {
    if let Some(expired) = error.commit_ts_expired.take() {
        let kvrpcpb::CommitTsExpired { start_ts, attempted_commit_ts, key, min_commit_ts } = expired;
        error.retryable = format!(
            "transaction {start_ts} cannot commit key \"{}\" at {attempted_commit_ts}: not before {min_commit_ts}",
            key.escape_ascii()
        );
    }
    error
}

/// TinyKv's call knows no reader to push past, and turns "nothing there" into a rollback.
pub(super) async fn check_txn_status<E: Engine>(
    executor: &Executor<E>,
    request: tinykvpb::CheckTxnStatusRequest,
) -> Result<tinykvpb::CheckTxnStatusResponse, Status> {
    let tinykvpb::CheckTxnStatusRequest { context, primary_key, lock_ts, current_ts } = request;
    let rollback_if_not_exist = true;
    let request = kvrpcpb::CheckTxnStatusRequest {
        context,
        primary_key,
        lock_ts,
        current_ts,
        rollback_if_not_exist,
        ..Default::default()
    };
    let answer = txn_write::check_txn_status(executor, request).await?;
    if let Some(error) = answer.error {
        // Only the flags that are off above lead here, and TinyKV's response has no field for it.
        return Err(Status::internal(format!("{error:?}")));
    }
    let kvrpcpb::CheckTxnStatusResponse { region_error, lock_ttl, commit_version, action, .. } = answer;
    Ok(tinykvpb::CheckTxnStatusResponse { region_error, lock_ttl, commit_version, action })
}
