//! MVCC and the transaction commands.
#![allow(missing_docs)]
mod commands;
mod effects;
mod error;
mod field_codec;
mod key;
mod key_error;
mod latches;
mod lock;
mod lock_walk;
mod mutation;
mod outcome;
mod read_point;
mod timestamp;
mod versions;
mod write_record;

pub use commands::*;
pub use error::{Error, Result};
pub use key::Key;
pub use key_error::{ConflictReason, KeyError, Reply};
pub use latches::{Acquire, LatchGuard, Latches};
pub use lock::{Lock, LockInfo, LockKind};
pub use mutation::{Assertion, AssertionLevel, Mutation, MutationOp};
pub use outcome::Outcome;
pub use read_point::{Isolation, ReadPoint};
pub use timestamp::Timestamp;
pub use versions::Found;
pub use write_record::{WriteKind, WriteRecord};

/// Values up to this size are kept within lock and write records; larger ones in `Cf::Default`.
pub const SHORT_VALUE_BYTES_MAX: usize = 255;
