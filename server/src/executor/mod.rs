//! Where the two cores meet: transactions decide, replication carries the effects. No gRPC and no threads in here, and
//! of tokio only its time and its yielding, so that the simulator runs it as the node does.
//!
//! ```text
//!   read:   admit ──► announced locks? wait ──► view ──► command ──► answer
//!           (a follower: the leader's read index ──► applied here? ──► view)
//!   write:  admit ──► budget ──► latches ──► view ──► command ──► empty batch? answer
//!                                                       └──► propose (held: latches, budget) ──► applied ──► answer
//! ```
//!
//! | file | what |
//! | --- | --- |
//! | `admit.rs` | is this request for this peer; the order of region errors |
//! | `read.rs` | get, batch get, scan |
//! | `replica.rs` | reads where this store follows: [`Leaders`] |
//! | `settled.rs` | the same as of the past, asking nobody: [`Settled`] |
//! | `write.rs` | every command that writes, in one path; [`WriteCommand`] |
//! | `prewrite.rs` | prewrites that choose their own commit timestamp |
//! | `freshness.rs` | whether it is known how far earlier leaders read |
//! | `resolve_lock.rs` | a whole region's locks of one transaction, in bounded batches |
//! | `scan_lock.rs` | the locks of old transactions |
//! | `safe_point.rs` | raising it, and refusing what comes from below it |
//! | `collect.rs` | a region's garbage, a turn at a time |
//! | `delete_range.rs` | whole ranges at once |
//! | `raw.rs` | plain keys |
//! | `budget.rs` | how much may be under way |
//! | `error.rs` | why there is no answer |
//! | `tests/` | `order`, `bounds`, `latches`, `announced`, `collect`, `counted`: one store in memory whose log waits |
//!
//! What was read or is about to be written is counted at its region (`nokv_raftstore::RegionLoad`), right where it is.
//!
//! Invariants: latches are held from the view to the applied write, by the proposal itself, so that a request that is
//! given up releases nothing early; a transactional read tells its version to the announcements before its view; a
//! batch is proposed under the term and epoch of its view; a failure of this machine is told to the node before anybody
//! is answered.

mod admit;
mod budget;
mod collect;
mod delete_range;
mod error;
mod freshness;
mod prewrite;
mod raw;
mod read;
mod replica;
mod resolve_lock;
mod safe_point;
mod scan_lock;
mod settled;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use nokv_client::TimestampOracle;
use nokv_engine::{Engine, Error as EngineError};
use nokv_percolator::{Announcements, Error as MvccError, Latches};
use nokv_raftstore::Raftstore;

use self::budget::Budget;
pub use self::collect::{CollectTurn, Collected};
pub use self::delete_range::{DoomedRange, RangeKind};
pub use self::error::ExecuteError;
use self::freshness::Freshness;
pub use self::raw::{RawPair, RawRange};
pub use self::read::RegionScan;
pub use self::replica::Leaders;
pub use self::resolve_lock::ResolveRegion;
pub use self::scan_lock::RegionLocks;
use self::settled::SettledTimes;
pub use self::settled::{Claim, Settled};
pub use self::write::WriteCommand;

/// Told when this machine, and not a command, has failed: the node must stop at once, answering nobody.
pub type OnFailure = Arc<dyn Fn(&MvccError) + Send + Sync>;

/// Bounds of the executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecutorOptions {
    /// Slots of the latch table; many times `write_commands_max`, so that different keys seldom share one.
    pub latch_slots: usize,
    /// Writes under way, those that wait for latches included; beyond it: `server_is_busy`.
    pub write_commands_max: usize,
    /// Bytes of their keys and values; beyond it: `server_is_busy`.
    pub write_bytes_max: usize,
    /// How long a write waits for the latches of its keys before `server_is_busy`.
    pub latch_wait_max: Duration,
    /// How long a read waits for writes that chose their commit timestamp before it came, and are not applied yet.
    pub announced_wait_max: Duration,
    /// How long a replica that follows may take to apply what a read needs, before `server_is_busy`.
    pub replica_wait_max: Duration,
    /// How long a proposed write is waited for before `stale_command`. A leader without a quorum steps down long
    /// before; this is what is left if even that fails.
    pub write_wait_max: Duration,
    /// Keys and values of one scan's answer, in bytes. A scan that finds more is refused, never cut short: an
    /// answer cannot say that there is more.
    pub scan_bytes_max: usize,
    /// A scan lets other tasks of its thread run after so many bytes.
    pub scan_step_bytes: usize,
    /// Keys of one batch of resolved locks.
    pub resolve_keys_max: usize,
    /// Bytes of those keys.
    pub resolve_bytes_max: usize,
}

impl Default for ExecutorOptions {
    fn default() -> Self {
        Self {
            latch_slots: 1 << 16,
            write_commands_max: 8_192,
            write_bytes_max: 256 << 20,
            latch_wait_max: Duration::from_secs(5),
            announced_wait_max: Duration::from_secs(1),
            replica_wait_max: Duration::from_secs(2),
            write_wait_max: Duration::from_secs(10),
            scan_bytes_max: 15 << 20,
            scan_step_bytes: 256 << 10,
            resolve_keys_max: 256,
            resolve_bytes_max: 1 << 20,
        }
    }
}

/// Runs commands against the regions of this store. Cheap to clone; clones share latches and budget.
pub struct Executor<E: Engine> {
    raftstore: Raftstore<E>,
    latches: Latches,
    announcements: Announcements,
    freshness: Arc<Freshness>,
    budget: Arc<Budget>,
    options: ExecutorOptions,
    leaders: Option<Arc<dyn Leaders>>,
    settled: Arc<SettledTimes>,
    on_failure: OnFailure,
}

impl<E: Engine> Executor<E> {
    /// An executor on the regions of `raftstore`. There must be one only for a store: latches are its own.
    pub fn new(raftstore: Raftstore<E>, options: ExecutorOptions, on_failure: OnFailure) -> Self {
        let budget = Arc::new(Budget::new(options.write_commands_max, options.write_bytes_max));
        Self {
            raftstore,
            latches: Latches::new(options.latch_slots),
            announcements: Announcements::default(),
            freshness: Arc::new(Freshness::new(None)),
            budget,
            options,
            leaders: None,
            settled: Arc::default(),
            on_failure,
        }
    }

    /// Transactions may choose their own commit timestamp, where this store has learned from `oracle` how far it was
    /// read before it led.
    pub fn with_oracle(self, oracle: Arc<dyn TimestampOracle>) -> Self {
        Self { freshness: Arc::new(Freshness::new(Some(oracle))), ..self }
    }

    /// The same, able to serve reads also where it follows: `leaders` asks those that lead.
    pub fn with_leaders(self, leaders: Arc<dyn Leaders>) -> Self {
        Self { leaders: Some(leaders), ..self }
    }

    /// The regions that it works on.
    pub fn raftstore(&self) -> &Raftstore<E> {
        &self.raftstore
    }

    /// Writes under way, and their bytes.
    pub fn writes_under_way(&self) -> (usize, usize) {
        self.budget.in_use()
    }

    /// Passes a command's result on, and tells the node first if this machine has failed.
    fn checked<T>(&self, result: nokv_percolator::Result<T>) -> Result<T, ExecuteError> {
        result.map_err(|error| {
            // A closed engine is a node that is stopping, not one that has failed.
            if !matches!(error, MvccError::Engine(EngineError::Closed)) {
                (self.on_failure)(&error);
            }
            ExecuteError::Machine(error)
        })
    }
}

impl<E: Engine> Clone for Executor<E> {
    fn clone(&self) -> Self {
        Self {
            raftstore: self.raftstore.clone(),
            latches: self.latches.clone(),
            announcements: self.announcements.clone(),
            freshness: self.freshness.clone(),
            budget: self.budget.clone(),
            options: self.options,
            leaders: self.leaders.clone(),
            settled: self.settled.clone(),
            on_failure: self.on_failure.clone(),
        }
    }
}

impl<E: Engine> fmt::Debug for Executor<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("store", &self.raftstore.store_id()).finish_non_exhaustive()
    }
}
