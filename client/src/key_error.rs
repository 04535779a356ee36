//! A store's key error, in the client's words.
//! It says why a transaction must end, and what its owner can do about that.

use bytes::Bytes;
use nokv_percolator::Timestamp;
use nokv_proto::kvrpcpb::KeyError;
use nokv_proto::kvrpcpb::write_conflict::Reason;

use crate::error::AbortReason;

/// Why a transaction cannot go on after this error.
pub(crate) fn reason(error: KeyError) -> AbortReason {
    if let Some(lock) = error.locked {
        return AbortReason::Locked { key: lock.key, owner: Timestamp(lock.lock_version) };
    }
    if let Some(conflict) = error.conflict {
        if conflict.reason() == Reason::SelfRolledBack {
            return AbortReason::RolledBack(format!("key {} bears its rollback mark", show(&conflict.key)));
        }
        return AbortReason::Conflict { key: conflict.key, by: Timestamp(conflict.conflict_ts) };
    }
    if let Some(missing) = error.txn_lock_not_found {
        return AbortReason::RolledBack(format!("its lock of key {} is gone", show(&missing.key)));
    }
    if let Some(expired) = error.commit_ts_expired {
        return AbortReason::Refused(format!(
            "commit timestamp {} of key {} is below {}",
            expired.attempted_commit_ts,
            show(&expired.key),
            expired.min_commit_ts
        ));
    }
    if !error.abort.is_empty() {
        return AbortReason::RolledBack(error.abort);
    }
    AbortReason::Refused(words(&error))
}

/// What the store says about it, or else all that it holds.
pub(crate) fn words(error: &KeyError) -> String {
    match error {
        KeyError { abort, .. } if !abort.is_empty() => abort.clone(),
        KeyError { retryable, .. } if !retryable.is_empty() => retryable.clone(),
        _ => format!("{error:?}"),
    }
}

fn show(key: &Bytes) -> String {
    key.escape_ascii().to_string()
}
