//! Transactions over a multi-version key space, as the Percolator paper has them and TiKV and TinyKV refined them.
//! This crate is pure: a read view and a command go in, a write batch and a reply come out. It knows nothing of
//! regions, of replication, of clocks, threads or sockets.
//!
//! ```text
//!            keys                                    command
//!             │                                         │
//!   executor: ▼                                         ▼
//!        ┌─────────┐  guard   ┌──────┐  view  ┌───────────────────┐   Outcome   ┌───────────┐
//!        │ Latches │ ───────▶ │ view │ ─────▶ │ command.execute() │ ──────────▶ │ replicate │ ─▶ reply, guard dropped
//!        └─────────┘          └──────┘        └───────────────────┘ batch+reply └───────────┘
//!                                reads ─────▶ Get, BatchGet, Scan: no latch, no batch
//!
//!   one key's records       Cf::Lock      user key              → who holds it, and what will become of it
//!                           Cf::Write     user key, timestamp ↓ → commits (at commit_ts), rollback marks (at start_ts)
//!                           Cf::Default   user key, start_ts  ↓ → values too long for the records
//! ```
//!
//! A transaction is prewritten on all its keys, then committed on its primary, which decides, then on the others.
//! Whoever meets its lock asks for its status at the primary, and resolves.
//!
//! # Map
//! | file | what it holds |
//! | --- | --- |
//! | `timestamp.rs`, `key.rs` | time, and keys as the engine orders them |
//! | `lock.rs`, `write_record.rs`, `field_codec.rs` | the records and their bytes |
//! | `mutation.rs`, `read_point.rs` | what a user asks: changes, and as of when to read |
//! | `commands/` | the commands, one file each |
//! | `versions.rs` | reading one key's records: what is visible, what became of a transaction |
//! | `effects.rs` | writing them: claim, commit, roll back |
//! | `garbage.rs` | which records of a key nobody needs any more |
//! | `lock_walk.rs` | walking a range's locks, a bounded number at a time |
//! | `outcome.rs`, `key_error.rs`, `error.rs` | what comes out: effects, answers, failures |
//! | `latches/` | who may read and then write which keys |
//! | `announcements.rs` | which locks are on their way to being records; how far this store has read |
//!
//! # Invariants
//! 1. A commit lies above its transaction's start. (Checked by [`Commit`] and [`ResolveLock`].)
//! 2. On one key a transaction is committed, or rolled back, or neither; never both, and never differently later.
//! 3. A rollback mark forbids its transaction's prewrite for ever. None is collapsed, and where one falls on another
//!    transaction's commit, that record carries both. It goes only below the safe point, where no prewrite is let in.
//! 4. A value in `Cf::Default` belongs to exactly one lock or put record.
//! 5. A command that refuses writes nothing at all; one that comes twice changes nothing the second time.
//! 6. Rollback marks and Lock records hide nothing from a reader.
//! 7. Latches on all keys of a writing command are held from before its view to after its batch is applied; without
//!    them none of the above holds.
//! 8. A record that this version does not wholly understand is an [`Error`], never a guess.
//! 9. No transaction commits at or below a timestamp at which its keys were read without it: one whose timestamp is not
//!    drawn after its prewrites gets it from [`Announcements`], which every read has told its version before its view.
//! 10. A lock that commits asynchronously keeps its bound: no push, no heartbeat, no age changes it.
//!
//! `tests/scripts` shows each rule as a trace; `tests/model` holds all commands against a naive map of versions.
//!
//! # Deliberately absent
//! Pessimistic locks: their places in the record formats are kept, and until a version fills them such a record is
//! refused. Raw keys: they are no transaction's business.
//! Checks of region, epoch and range, and bounds on the number of keys: the caller's.

mod announcements;
mod commands;
mod effects;
mod error;
mod field_codec;
mod garbage;
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

pub use announcements::{Announcement, Announcements, Blocked};
pub use commands::*;
pub use error::{Error, Result};
pub use garbage::{Judge, Verdict};
pub use key::Key;
pub use key_error::{ConflictReason, KeyError, Reply};
pub use latches::{Acquire, LatchGuard, Latches};
pub use lock::{Lock, LockInfo, LockKind};
pub use mutation::{Assertion, AssertionLevel, Mutation, MutationOp};
#[doc(hidden)]
pub use nokv_engine::is_planted;
pub use outcome::Outcome;
pub use read_point::{Isolation, ReadPoint};
pub use timestamp::Timestamp;
pub use versions::Found;
pub use write_record::{WriteKind, WriteRecord};

/// Values up to this size are kept within lock and write records; larger ones in `Cf::Default`.
pub const SHORT_VALUE_BYTES_MAX: usize = 255;
