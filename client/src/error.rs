//! What can go wrong, sorted by what the caller must do about it.
//! Every failure of the client is one of seven; text is for people, variants are for code.

use std::time::Duration;

use bytes::Bytes;
use nokv_percolator::Timestamp;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation failed. The variant says what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The input breaks a rule or a bound. Nothing was sent. Fix the input; asking again cannot help.
    #[error("bad input: {0}")]
    InvalidInput(InvalidInput),

    /// The transaction did not commit and never will; nothing of it is or becomes visible. Begin a new transaction
    /// and run its reads and writes again. What it left behind is cleaned up in the background.
    #[error("transaction {start_ts} was aborted, begin it again: {reason}")]
    Aborted {
        /// Start timestamp of the transaction.
        start_ts: Timestamp,
        /// What was in its way.
        reason: AbortReason,
    },

    /// The write may or may not have taken effect, and the deadline passed before that could be found out. It is
    /// neither a success nor a failure: read the keys (from a new transaction) to find out. Never just write again
    /// what is not idempotent.
    #[error("outcome of {operation} is unknown, read to find out: {last}")]
    Undetermined {
        /// What was under way.
        operation: &'static str,
        /// Start timestamp of the transaction, or `None` for a raw write.
        start_ts: Option<Timestamp>,
        /// The last thing that went wrong.
        last: String,
    },

    /// The deadline passed while nobody could serve the request. A read has no answer; a write has certainly not
    /// taken effect and will not. Ask again later, or with a longer deadline.
    #[error("{operation} was not served within {} ms: {last}", .waited.as_millis())]
    Unavailable {
        /// What was under way.
        operation: &'static str,
        /// How long it was tried.
        waited: Duration,
        /// The last thing that went wrong.
        last: String,
    },

    /// A read waited until its deadline for a transaction that is alive and has not decided. Ask again later; the
    /// lock goes away when its owner commits or its time to live ends.
    #[error("key {} stayed locked by the live transaction {owner} for {} ms", .key.escape_ascii(), .waited.as_millis())]
    Locked {
        /// The locked user key.
        key: Bytes,
        /// Start timestamp of the lock's owner.
        owner: Timestamp,
        /// How long the read waited.
        waited: Duration,
    },

    /// A server refuses for good what it was asked (it does not know the call, or finds the request wrong).
    /// Asking again cannot help: look at versions and limits of client and server.
    #[error("refused by the server at {address}: {reason}")]
    Refused {
        /// The server's address.
        address: String,
        /// Its words.
        reason: String,
    },

    /// An answer breaks the protocol. A defect of the server or the timestamp oracle: report it, do not go on.
    #[error("broken answer: {0}")]
    Protocol(String),
}

impl Error {
    /// Whether running the whole transaction (or the read) again, from a new timestamp, is safe and may succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Error::Aborted { .. } | Error::Unavailable { .. } | Error::Locked { .. })
    }

    /// Whether the write may have taken effect all the same.
    pub fn is_undetermined(&self) -> bool {
        matches!(self, Error::Undetermined { .. })
    }
}

impl From<InvalidInput> for Error {
    fn from(input: InvalidInput) -> Self {
        Error::InvalidInput(input)
    }
}

/// What is wrong with the caller's input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInput {
    /// A key to read or write must not be empty.
    #[error("the key is empty")]
    EmptyKey,
    /// The key is too long.
    #[error("a key of {bytes} bytes is longer than {bytes_max}")]
    KeyTooLong {
        /// Its length.
        bytes: usize,
        /// The bound ([`crate::Options::key_bytes_max`]).
        bytes_max: usize,
    },
    /// The value is too large.
    #[error("the value of {bytes} bytes for key {} is larger than {bytes_max}", .key.escape_ascii())]
    ValueTooLarge {
        /// The key.
        key: Bytes,
        /// Size of the value.
        bytes: usize,
        /// The bound ([`crate::Options::value_bytes_max`]).
        bytes_max: usize,
    },
    /// The transaction writes more than one transaction may. Split it.
    #[error(
        "a transaction of {keys} keys and {bytes} bytes exceeds the bound of {keys_max} keys and {bytes_max} bytes"
    )]
    TransactionTooLarge {
        /// Keys it writes.
        keys: usize,
        /// Bytes of keys and values.
        bytes: usize,
        /// The bound ([`crate::Options::transaction_keys_max`]).
        keys_max: usize,
        /// The bound ([`crate::Options::transaction_bytes_max`]).
        bytes_max: usize,
    },
    /// The store takes no write of this size, though the client's bounds allow it. Write less at once.
    #[error("region {region} refuses a write of {entry_bytes} bytes as too large")]
    WriteTooLarge {
        /// The region.
        region: u64,
        /// Size of the log entry that would be needed.
        entry_bytes: u64,
    },
    /// A request or its answer is larger than a message may be. Write or read less at once. (Scans do so by themselves
    /// until a single row is too large.)
    #[error("message to or from {address} is too large: {reason}")]
    MessageTooLarge {
        /// The store's address.
        address: String,
        /// Who says so, and the bound.
        reason: String,
    },
    /// Nothing to commit.
    #[error("there is no mutation")]
    NoMutations,
    /// The primary must be one of the mutated keys.
    #[error("primary key {} is not among the mutations", .primary.escape_ascii())]
    PrimaryNotMutated {
        /// The primary given.
        primary: Bytes,
    },
    /// A timestamp of 0, or commit timestamp not above the start timestamp.
    #[error("timestamps are out of order: start {start_ts}, commit {commit_ts}")]
    Timestamps {
        /// Start timestamp given.
        start_ts: Timestamp,
        /// Commit timestamp given.
        commit_ts: Timestamp,
    },
    /// A safe point has to lie in the past.
    #[error("the safe point {safe_point} does not lie before the present, {now}")]
    SafePoint {
        /// The safe point given.
        safe_point: Timestamp,
        /// The present.
        now: Timestamp,
    },
    /// A range whose end does not lie after its start.
    #[error("the range ends before it starts")]
    EmptyRange,
    /// The topology does not make sense.
    #[error("topology: {0}")]
    Topology(String),
    /// An address or URL that cannot be parsed.
    #[error("address {address}: {reason}")]
    Address {
        /// The text given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a transaction was aborted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AbortReason {
    /// Another transaction committed a key after this one began.
    #[error("key {} was written by transaction {by} in the meantime", .key.escape_ascii())]
    Conflict {
        /// The user key.
        key: Bytes,
        /// Start timestamp of the transaction that came first.
        by: Timestamp,
    },
    /// Another transaction, alive, held a key's lock for longer than a writer waits.
    #[error("key {} is locked by the live transaction {owner}", .key.escape_ascii())]
    Locked {
        /// The user key.
        key: Bytes,
        /// Start timestamp of the lock's owner.
        owner: Timestamp,
    },
    /// Another client found this transaction's locks expired (or its primary missing) and rolled it back.
    #[error("another client rolled it back: {0}")]
    RolledBack(String),
    /// The store refused it for a reason of its own.
    #[error("{0}")]
    Refused(String),
}
