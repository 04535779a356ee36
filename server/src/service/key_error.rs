//! Answers about keys in the wire's words. The wire has a message for most of them; where it has only a text, it is
//! `retryable` or `abort` by what the client is to do.

use nokv_percolator::{Assertion, ConflictReason, KeyError, LockInfo, LockKind};
use nokv_proto::kvrpcpb;
use nokv_proto::kvrpcpb::write_conflict::Reason;

/// A key error as clients know it; exactly one of its fields is set.
pub(super) fn to_wire(error: KeyError) -> kvrpcpb::KeyError {
    let text = error.to_string();
    let mut out = kvrpcpb::KeyError::default();
    match error {
        KeyError::Locked(lock) => out.locked = Some(lock_to_wire(lock)),
        KeyError::WriteConflict { start_ts, conflict_start_ts, conflict_commit_ts, key, primary, reason } => {
            let reason = match reason {
                ConflictReason::Optimistic => Reason::Optimistic,
                ConflictReason::SelfRolledBack => Reason::SelfRolledBack,
            };
            out.conflict = Some(kvrpcpb::WriteConflict {
                start_ts: start_ts.0,
                conflict_ts: conflict_start_ts.0,
                key,
                primary,
                conflict_commit_ts: conflict_commit_ts.0,
                reason: reason.into(),
            });
        }
        KeyError::AlreadyExists { key } => out.already_exist = Some(kvrpcpb::AlreadyExist { key }),
        KeyError::AssertionFailed { start_ts, key, assertion, existing_start_ts, existing_commit_ts } => {
            out.assertion_failed = Some(kvrpcpb::AssertionFailed {
                start_ts: start_ts.0,
                key,
                assertion: assertion_to_wire(assertion).into(),
                existing_start_ts: existing_start_ts.0,
                existing_commit_ts: existing_commit_ts.0,
            });
        }
        KeyError::TxnLockNotFound { .. } => out.retryable = text,
        KeyError::BelowSafePoint { .. }
        | KeyError::Committed { .. }
        | KeyError::RolledBack { .. }
        | KeyError::CommitTsNotAfterStart { .. } => {
            out.abort = text;
        }
        KeyError::TxnNotFound { start_ts, primary } => {
            out.txn_not_found = Some(kvrpcpb::TxnNotFound { start_ts: start_ts.0, primary_key: primary });
        }
        KeyError::CommitTsExpired { start_ts, attempted_commit_ts, key, min_commit_ts } => {
            out.commit_ts_expired = Some(kvrpcpb::CommitTsExpired {
                start_ts: start_ts.0,
                attempted_commit_ts: attempted_commit_ts.0,
                key,
                min_commit_ts: min_commit_ts.0,
            });
        }
        KeyError::PrimaryMismatch(lock) => {
            out.primary_mismatch = Some(kvrpcpb::PrimaryMismatch { lock_info: Some(lock_to_wire(lock)) });
        }
    }
    out
}

/// The error of a reply, if it has one, as responses carry it.
pub(super) fn of_reply<T>(reply: Result<T, KeyError>) -> Option<Box<kvrpcpb::KeyError>> {
    reply.err().map(|error| Box::new(to_wire(error)))
}

/// A lock as clients know it.
pub(super) fn lock_to_wire(lock: LockInfo) -> kvrpcpb::LockInfo {
    let kind = match lock.kind {
        LockKind::Put => kvrpcpb::Op::Put,
        LockKind::Delete => kvrpcpb::Op::Del,
        LockKind::Lock => kvrpcpb::Op::Lock,
    };
    kvrpcpb::LockInfo {
        primary_lock: lock.primary,
        lock_version: lock.start_ts.0,
        key: lock.key,
        lock_ttl: lock.ttl_ms,
        txn_size: lock.txn_size,
        lock_type: kind.into(),
        lock_for_update_ts: lock.for_update_ts.0,
        min_commit_ts: lock.min_commit_ts.0,
        use_async_commit: lock.use_async_commit,
        secondaries: lock.secondaries,
        ..Default::default()
    }
}

fn assertion_to_wire(assertion: Assertion) -> kvrpcpb::Assertion {
    match assertion {
        Assertion::None => kvrpcpb::Assertion::None,
        Assertion::Exist => kvrpcpb::Assertion::Exist,
        Assertion::NotExist => kvrpcpb::Assertion::NotExist,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use nokv_percolator::Timestamp;

    use super::*;

    #[test]
    fn what_the_client_must_do_decides_between_retryable_and_abort() {
        let (start_ts, key) = (Timestamp(7), Bytes::from_static(b"k"));
        let wire = to_wire(KeyError::TxnLockNotFound { start_ts, key: key.clone() });
        assert!(wire.retryable.contains("no lock") && wire.abort.is_empty());
        for error in [
            KeyError::RolledBack { start_ts, key: key.clone() },
            KeyError::Committed { start_ts, commit_ts: Timestamp(8), key },
            KeyError::CommitTsNotAfterStart { start_ts, commit_ts: Timestamp(7) },
        ] {
            let wire = to_wire(error);
            assert!(!wire.abort.is_empty() && wire.retryable.is_empty(), "{wire:?}");
        }
    }

    #[test]
    fn a_lock_keeps_the_wires_numbers_of_kinds() {
        // kvproto's Lock is 2; TinyKV's 2 is Rollback, but no TinyKV client looks at a lock's kind.
        let lock = LockInfo {
            key: Bytes::from_static(b"k"),
            primary: Bytes::from_static(b"p"),
            start_ts: Timestamp(5),
            ttl_ms: 3_000,
            kind: LockKind::Lock,
            txn_size: 0,
            for_update_ts: Timestamp::ZERO,
            min_commit_ts: Timestamp::ZERO,
            use_async_commit: true,
            secondaries: vec![Bytes::from_static(b"q")],
        };
        let wire = to_wire(KeyError::Locked(lock)).locked.unwrap();
        assert_eq!((wire.lock_version, wire.lock_ttl, wire.lock_type), (5, 3_000, 2));
        assert_eq!((wire.key.as_ref(), wire.primary_lock.as_ref()), (&b"k"[..], &b"p"[..]));
        assert_eq!((wire.use_async_commit, wire.secondaries.concat()), (true, b"q".to_vec()));
    }
}
