//! The answers of a command that are not what the client hoped for. They are replies, not failures: each says what the
//! client must do, and carries all that `kvrpcpb.KeyError` has a field for. Keys in them are user keys.

use bytes::Bytes;

use crate::{Assertion, LockInfo, Timestamp};

/// A reply: what was asked for, or why the keys' state does not allow it.
pub type Reply<T> = std::result::Result<T, KeyError>;

/// Why a key's state does not allow what was asked. Nothing has been written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Another transaction holds the key. Ask for its status at its primary, resolve the lock or back off, and try
    /// again.
    #[error("key \"{}\" is locked by transaction {}", .0.key.escape_ascii(), .0.start_ts)]
    Locked(LockInfo),
    /// The read, or the transaction, is older than the safe point: what it would have to see may be gone. Begin anew
    /// at a newer timestamp.
    #[error("timestamp {ts} is below the safe point {safe_point}: what was there then may be collected already")]
    BelowSafePoint {
        /// The read's version, or the transaction's start.
        ts: Timestamp,
        /// The safe point.
        safe_point: Timestamp,
    },
    /// A transaction committed the key after this one started, or this one was rolled back before. Start over at a
    /// newer timestamp.
    #[error(
        "write conflict on key \"{}\": transaction {start_ts} met a record of transaction {conflict_start_ts} at \
         {conflict_commit_ts} ({reason:?})",
        key.escape_ascii()
    )]
    WriteConflict {
        /// The refused transaction.
        start_ts: Timestamp,
        /// The transaction it met.
        conflict_start_ts: Timestamp,
        /// Where that one's record lies.
        conflict_commit_ts: Timestamp,
        /// The user key.
        key: Bytes,
        /// The refused transaction's primary, a user key.
        primary: Bytes,
        /// What kind of conflict.
        reason: ConflictReason,
    },
    /// The key to insert, or that must not exist, exists. Tell the user; trying again does not help.
    #[error("key \"{}\" already exists", key.escape_ascii())]
    AlreadyExists {
        /// The user key.
        key: Bytes,
    },
    /// An assertion about the key does not hold: the client's idea of the data is wrong. Abort and report a bug.
    #[error("assertion {assertion:?} failed on key \"{}\" in transaction {start_ts}", key.escape_ascii())]
    AssertionFailed {
        /// The refused transaction.
        start_ts: Timestamp,
        /// The user key.
        key: Bytes,
        /// What was asserted.
        assertion: Assertion,
        /// The transaction that wrote what exists; zero if nothing does.
        existing_start_ts: Timestamp,
        /// When it committed; zero if nothing exists.
        existing_commit_ts: Timestamp,
    },
    /// To be rolled back, but it has committed. Abort the rollback: the data stays.
    #[error("transaction {start_ts} is committed at {commit_ts} on key \"{}\"", key.escape_ascii())]
    Committed {
        /// The transaction.
        start_ts: Timestamp,
        /// When it committed.
        commit_ts: Timestamp,
        /// The user key.
        key: Bytes,
    },
    /// To be committed, but it is rolled back for ever. Abort: nothing of it is visible, or ever will be.
    #[error("transaction {start_ts} is rolled back on key \"{}\"", key.escape_ascii())]
    RolledBack {
        /// The transaction.
        start_ts: Timestamp,
        /// The user key.
        key: Bytes,
    },
    /// To be committed, but the key holds neither this transaction's lock nor a record of it. Its prewrite is missing
    /// or still on its way: try again, or start over.
    #[error("transaction {start_ts} has no lock on key \"{}\"", key.escape_ascii())]
    TxnLockNotFound {
        /// The transaction.
        start_ts: Timestamp,
        /// The user key.
        key: Bytes,
    },
    /// Nothing is known of the transaction at its primary, and the caller did not want that turned into a rollback.
    /// Its prewrite may yet come: ask again later, with `rollback_if_not_exist` once its time is over.
    #[error("transaction {start_ts} is not found at its primary \"{}\"", primary.escape_ascii())]
    TxnNotFound {
        /// The transaction.
        start_ts: Timestamp,
        /// The user key at which it was looked for.
        primary: Bytes,
    },
    /// A reader has pushed the transaction: it must commit later. Draw a new commit timestamp and commit again.
    #[error(
        "transaction {start_ts} cannot commit key \"{}\" at {attempted_commit_ts}: not before {min_commit_ts}",
        key.escape_ascii()
    )]
    CommitTsExpired {
        /// The transaction.
        start_ts: Timestamp,
        /// The timestamp that came too late.
        attempted_commit_ts: Timestamp,
        /// The user key.
        key: Bytes,
        /// The earliest timestamp that will do.
        min_commit_ts: Timestamp,
    },
    /// A commit timestamp must lie after the start timestamp. The client is at fault: abort.
    #[error("commit timestamp {commit_ts} is not after start timestamp {start_ts}")]
    CommitTsNotAfterStart {
        /// The transaction.
        start_ts: Timestamp,
        /// The timestamp that cannot be.
        commit_ts: Timestamp,
    },
    /// The status was asked for at a key that is not the transaction's primary. Ask at the lock's primary.
    #[error("key \"{}\" is not the primary of transaction {}", .0.key.escape_ascii(), .0.start_ts)]
    PrimaryMismatch(LockInfo),
}

/// What kind of write conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConflictReason {
    /// Another transaction's commit is newer than this transaction's start.
    Optimistic,
    /// This transaction itself was rolled back before.
    SelfRolledBack,
}
