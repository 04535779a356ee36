//! The calls that write transactional keys: prewrite, commit, rollback, status, resolving.
//! Each turns its request into a command, and the reply into the response; the rules are percolator's.

use nokv_engine::Engine;
use nokv_percolator::{
    Assertion, AssertionLevel, BatchRollback, CheckTxnStatus, Commit, Key, Mutation, MutationOp, Prewrite,
    StatusAction, Timestamp, TxnStatus,
};
use nokv_proto::kvrpcpb::{
    Action, BatchRollbackRequest, BatchRollbackResponse, CommitRequest, CommitResponse, PrewriteResponse,
    ResolveLockRequest, ResolveLockResponse,
};
use nokv_proto::tinykvpb;
use tonic::Status;

use super::answer::answer;
use super::context::{check_write_key, request_context, write_keys};
use super::key_error;
use super::region_error::KeySpace;
use crate::executor::{Executor, ResolveRegion};

pub(super) async fn prewrite<E: Engine>(
    executor: &Executor<E>,
    request: tinykvpb::PrewriteRequest,
) -> Result<PrewriteResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    if !request.mutations.is_empty() {
        check_write_key(&request.primary_lock, "primary_lock")?;
    }
    let mutations = request.mutations.into_iter().enumerate().map(mutation).collect::<Result<_, _>>()?;
    let command = Prewrite {
        mutations,
        primary: request.primary_lock,
        start_ts: Timestamp(request.start_version),
        ttl_ms: request.lock_ttl,
        txn_size: 0,
        min_commit_ts: Timestamp::ZERO,
        assertion_level: AssertionLevel::Off,
    };
    let result = executor.write(&context, &command).await;
    answer(result, KeySpace::Transactional, |reply| PrewriteResponse {
        errors: reply.errors.into_iter().map(key_error::to_wire).collect(),
        ..Default::default()
    })
}

fn mutation((at, mutation): (usize, tinykvpb::Mutation)) -> Result<Mutation, Status> {
    check_write_key(&mutation.key, &format!("mutations[{at}].key"))?;
    let op = match tinykvpb::Op::try_from(mutation.op) {
        Ok(tinykvpb::Op::Put) => MutationOp::Put(mutation.value),
        Ok(tinykvpb::Op::Del) => MutationOp::Delete,
        Ok(tinykvpb::Op::Lock) => MutationOp::Lock,
        Ok(tinykvpb::Op::Rollback) => {
            let text = format!("mutations[{at}].op is Rollback, which is no mutation; call KvBatchRollback");
            return Err(Status::invalid_argument(text));
        }
        Err(_) => {
            let text = format!("mutations[{at}].op is {}; known are Put 0, Del 1, Lock 3", mutation.op);
            return Err(Status::invalid_argument(text));
        }
    };
    Ok(Mutation { key: Key::encode(&mutation.key), op, assertion: Assertion::None })
}

pub(super) async fn commit<E: Engine>(
    executor: &Executor<E>,
    request: CommitRequest,
) -> Result<CommitResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    let command = Commit {
        keys: write_keys(&request.keys, "keys")?,
        start_ts: Timestamp(request.start_version),
        commit_ts: Timestamp(request.commit_version),
    };
    let result = executor.write(&context, &command).await;
    answer(result, KeySpace::Transactional, |reply| CommitResponse {
        error: key_error::of_reply(reply),
        ..Default::default()
    })
}

pub(super) async fn batch_rollback<E: Engine>(
    executor: &Executor<E>,
    request: BatchRollbackRequest,
) -> Result<BatchRollbackResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    let keys = write_keys(&request.keys, "keys")?;
    let command = BatchRollback { keys, start_ts: Timestamp(request.start_version) };
    let result = executor.write(&context, &command).await;
    answer(result, KeySpace::Transactional, |reply| BatchRollbackResponse {
        error: key_error::of_reply(reply),
        ..Default::default()
    })
}

pub(super) async fn check_txn_status<E: Engine>(
    executor: &Executor<E>,
    request: tinykvpb::CheckTxnStatusRequest,
) -> Result<tinykvpb::CheckTxnStatusResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    check_write_key(&request.primary_key, "primary_key")?;
    // TinyKV's call knows no reader to push past, and turns "nothing there" into a rollback.
    let command = CheckTxnStatus {
        primary: Key::encode(&request.primary_key),
        lock_ts: Timestamp(request.lock_ts),
        caller_start_ts: Timestamp::ZERO,
        current_ts: Timestamp(request.current_ts),
        rollback_if_not_exist: true,
        verify_is_primary: false,
    };
    let result = match executor.write(&context, &command).await {
        Ok(Ok(reply)) => Ok(reply),
        // Only the flags that are off above lead here, and TinyKV's response has no field for it.
        Ok(Err(error)) => return Err(Status::internal(error.to_string())),
        Err(error) => Err(error),
    };
    answer(result, KeySpace::Transactional, |reply| {
        let (lock_ttl, commit_version) = match reply.status {
            TxnStatus::Alive(lock) => (lock.ttl_ms, 0),
            TxnStatus::Committed(commit_ts) => (0, commit_ts.0),
            TxnStatus::RolledBack => (0, 0),
        };
        let action = action(reply.action).into();
        tinykvpb::CheckTxnStatusResponse { region_error: None, lock_ttl, commit_version, action }
    })
}

fn action(action: StatusAction) -> Action {
    match action {
        StatusAction::None => Action::NoAction,
        StatusAction::TtlExpireRollback => Action::TtlExpireRollback,
        StatusAction::LockNotExistRollback => Action::LockNotExistRollback,
        StatusAction::MinCommitTsPushed => Action::MinCommitTsPushed,
    }
}

/// TinyKV knows the form for a whole region only; kvproto's two others come with the message.
pub(super) async fn resolve_lock<E: Engine>(
    executor: &Executor<E>,
    request: ResolveLockRequest,
) -> Result<ResolveLockResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    let keys = write_keys(&request.keys, "keys")?;
    let one =
        ResolveRegion { start_ts: Timestamp(request.start_version), commit_ts: Timestamp(request.commit_version) };
    let result = if !keys.is_empty() {
        executor.resolve_keys(&context, one, keys).await
    } else if request.txn_infos.is_empty() {
        executor.resolve_region(&context, one).await
    } else {
        let mut result = Ok(Ok(()));
        for info in request.txn_infos {
            let each = ResolveRegion { start_ts: Timestamp(info.txn), commit_ts: Timestamp(info.status) };
            result = executor.resolve_region(&context, each).await;
            if !matches!(result, Ok(Ok(()))) {
                break;
            }
        }
        result
    };
    answer(result, KeySpace::Transactional, |reply| ResolveLockResponse {
        error: key_error::of_reply(reply),
        ..Default::default()
    })
}
