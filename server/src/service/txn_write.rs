//! The calls that write transactional keys: prewrite, commit, rollback, status, resolving, and older clients' clean-up.
//! They are kvproto's; `tinykv_forms` turns TinyKV's own messages into these.
//! Each turns its request into a command, and the reply into the response; the rules are percolator's.

use nokv_engine::Engine;
use nokv_percolator::{
    Assertion, AssertionLevel, BatchRollback, CheckSecondaryLocks, CheckTxnStatus, Cleanup, Commit, CommitBy, Key,
    KeyError, Mutation, MutationOp, Prewrite, SecondaryLocks, StatusAction, Timestamp, TxnHeartBeat, TxnStatus,
};
use nokv_proto::kvrpcpb::{
    self, Action, BatchRollbackRequest, BatchRollbackResponse, CheckSecondaryLocksRequest, CheckSecondaryLocksResponse,
    CheckTxnStatusRequest, CheckTxnStatusResponse, CleanupRequest, CleanupResponse, CommitRequest, CommitResponse, Op,
    PrewriteRequest, PrewriteResponse, ResolveLockRequest, ResolveLockResponse, TxnHeartBeatRequest,
    TxnHeartBeatResponse,
};
use tonic::Status;

use super::answer::answer;
use super::context::{check_write_key, request_context, write_keys};
use super::key_error;
use super::region_error::KeySpace;
use crate::executor::{Executor, ResolveRegion};

pub(super) async fn prewrite<E: Engine>(
    executor: &Executor<E>,
    request: PrewriteRequest,
) -> Result<PrewriteResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    check_served(&request)?;
    if !request.mutations.is_empty() {
        check_write_key(&request.primary_lock, "primary_lock")?;
    }
    let assertion_level = match request.assertion_level() {
        kvrpcpb::AssertionLevel::Off => AssertionLevel::Off,
        kvrpcpb::AssertionLevel::Fast => AssertionLevel::Fast,
        kvrpcpb::AssertionLevel::Strict => AssertionLevel::Strict,
    };
    let commit_by = if request.try_one_pc {
        CommitBy::OnePhase
    } else if request.use_async_commit {
        CommitBy::Async { secondaries: request.secondaries }
    } else {
        CommitBy::TwoPhases
    };
    let mutations = request.mutations.into_iter().enumerate().map(mutation).collect::<Result<_, _>>()?;
    let command = Prewrite {
        mutations,
        primary: request.primary_lock,
        start_ts: Timestamp(request.start_version),
        ttl_ms: request.lock_ttl,
        txn_size: request.txn_size,
        min_commit_ts: Timestamp(request.min_commit_ts),
        commit_by,
        assertion_level,
    };
    let result = executor.prewrite(&context, command, Timestamp(request.max_commit_ts)).await;
    // Where neither min_commit_ts nor one_pc_commit_ts is set, who asked for an asynchronous commit, or for one phase,
    // is told by that to commit in two. That the transaction is committed already is told to everybody.
    answer(result, KeySpace::Transactional, |reply| PrewriteResponse {
        errors: reply.errors.into_iter().map(key_error::to_wire).collect(),
        min_commit_ts: reply.min_commit_ts.0,
        one_pc_commit_ts: reply.commit_ts.0,
        ..Default::default()
    })
}

/// Refuses what would be a misunderstanding to leave out.
fn check_served(request: &PrewriteRequest) -> Result<(), Status> {
    let pessimistic = request.for_update_ts != 0 || request.pessimistic_actions.iter().any(|action| *action != 0);
    let unserved = if pessimistic {
        "pessimistic transactions are not served; leave out for_update_ts and pessimistic_actions"
    } else if request.skip_constraint_check {
        "skip_constraint_check is not served; leave it out"
    } else if !request.txn_file_chunks.is_empty() {
        "txn_file_chunks are not served; send mutations"
    } else {
        return Ok(());
    };
    Err(Status::invalid_argument(unserved))
}

fn mutation((at, mutation): (usize, kvrpcpb::Mutation)) -> Result<Mutation, Status> {
    check_write_key(&mutation.key, &format!("mutations[{at}].key"))?;
    let assertion = match mutation.assertion() {
        kvrpcpb::Assertion::None => Assertion::None,
        kvrpcpb::Assertion::Exist => Assertion::Exist,
        kvrpcpb::Assertion::NotExist => Assertion::NotExist,
    };
    let op = match Op::try_from(mutation.op) {
        Ok(Op::Put) => MutationOp::Put(mutation.value),
        Ok(Op::Del) => MutationOp::Delete,
        Ok(Op::Lock) => MutationOp::Lock,
        Ok(Op::Insert) => MutationOp::Insert(mutation.value),
        Ok(Op::CheckNotExists) => MutationOp::CheckNotExists,
        _ => {
            let known = "Put 0, Del 1, Lock 2, Insert 4, CheckNotExists 6";
            let text = format!("mutations[{at}].op is {}; served are {known}", mutation.op);
            return Err(Status::invalid_argument(text));
        }
    };
    Ok(Mutation { key: Key::encode(&mutation.key), op, assertion })
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
    request: CheckTxnStatusRequest,
) -> Result<CheckTxnStatusResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    check_write_key(&request.primary_key, "primary_key")?;
    if request.resolving_pessimistic_lock {
        return Err(Status::invalid_argument("there are no pessimistic locks; leave out resolving_pessimistic_lock"));
    }
    let command = CheckTxnStatus {
        primary: Key::encode(&request.primary_key),
        lock_ts: Timestamp(request.lock_ts),
        caller_start_ts: Timestamp(request.caller_start_ts),
        current_ts: Timestamp(request.current_ts),
        rollback_if_not_exist: request.rollback_if_not_exist,
        verify_is_primary: request.verify_is_primary,
        force_sync_commit: request.force_sync_commit,
    };
    let result = executor.write(&context, &command).await;
    answer(result, KeySpace::Transactional, |reply| {
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) => {
                let error = key_error::of_reply::<()>(Err(error));
                return CheckTxnStatusResponse { error, ..Default::default() };
            }
        };
        let mut answer = CheckTxnStatusResponse { action: action(reply.action).into(), ..Default::default() };
        match reply.status {
            TxnStatus::Alive(lock) => {
                answer.lock_ttl = lock.ttl_ms;
                answer.lock_info = Some(key_error::lock_to_wire(lock));
            }
            TxnStatus::Committed(commit_ts) => answer.commit_version = commit_ts.0,
            TxnStatus::RolledBack => {}
        }
        answer
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

pub(super) async fn check_secondary_locks<E: Engine>(
    executor: &Executor<E>,
    request: CheckSecondaryLocksRequest,
) -> Result<CheckSecondaryLocksResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    let command =
        CheckSecondaryLocks { keys: write_keys(&request.keys, "keys")?, start_ts: Timestamp(request.start_version) };
    let result = executor.write(&context, &command).await;
    // Fewer locks than keys mean that it is decided: committed if there is a timestamp, else rolled back.
    answer(result, KeySpace::Transactional, |reply| match reply {
        SecondaryLocks::AllLocked(locks) => CheckSecondaryLocksResponse {
            locks: locks.into_iter().map(key_error::lock_to_wire).collect(),
            ..Default::default()
        },
        SecondaryLocks::Committed(at) => CheckSecondaryLocksResponse { commit_ts: at.0, ..Default::default() },
        SecondaryLocks::RolledBack => CheckSecondaryLocksResponse::default(),
    })
}

pub(super) async fn cleanup<E: Engine>(
    executor: &Executor<E>,
    request: CleanupRequest,
) -> Result<CleanupResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    check_write_key(&request.key, "key")?;
    let command = Cleanup {
        key: Key::encode(&request.key),
        start_ts: Timestamp(request.start_version),
        current_ts: Timestamp(request.current_ts),
    };
    let result = executor.write(&context, &command).await;
    answer(result, KeySpace::Transactional, |reply| match reply {
        // That it has committed is what was asked, not an error.
        Err(KeyError::Committed { commit_ts, .. }) => {
            CleanupResponse { commit_version: commit_ts.0, ..Default::default() }
        }
        reply => CleanupResponse { error: key_error::of_reply(reply), ..Default::default() },
    })
}

pub(super) async fn txn_heart_beat<E: Engine>(
    executor: &Executor<E>,
    request: TxnHeartBeatRequest,
) -> Result<TxnHeartBeatResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    check_write_key(&request.primary_lock, "primary_lock")?;
    let command = TxnHeartBeat {
        primary: Key::encode(&request.primary_lock),
        start_ts: Timestamp(request.start_version),
        advise_ttl_ms: request.advise_lock_ttl,
        min_commit_ts: Timestamp(request.min_commit_ts),
    };
    let result = executor.write(&context, &command).await;
    answer(result, KeySpace::Transactional, |reply| match reply {
        Ok(lock_ttl) => TxnHeartBeatResponse { lock_ttl, ..Default::default() },
        Err(error) => TxnHeartBeatResponse { error: key_error::of_reply::<()>(Err(error)), ..Default::default() },
    })
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
