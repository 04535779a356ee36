//! The commands, one file each. A read takes a view and answers; a write takes a view and returns an
//! [`Outcome`](crate::Outcome): what to replicate, and what to answer once that is applied.
//!
//! | file | what |
//! | --- | --- |
//! | `get.rs`, `batch_get.rs` | reads of keys that are known |
//! | `scan.rs`, `scan_cursors.rs` | reads of a range: its bounds, and how the cursors move |
//! | `prewrite.rs`, `commit.rs` | the two phases |
//! | `batch_rollback.rs`, `cleanup.rs` | giving a transaction up; the same if its time is over |
//! | `check_txn_status.rs`, `txn_heart_beat.rs` | what became of it, asked at its primary; giving it more time |
//! | `check_secondary_locks.rs` | whether it holds all its locks, where that decides |
//! | `resolve_lock.rs`, `scan_lock.rs` | ending the locks that it left; listing old ones |
//! | `collect.rs` | removing what nobody needs any more |
//! | `mvcc_by_key.rs` | everything that is stored of one key |

mod batch_get;
mod batch_rollback;
mod check_secondary_locks;
mod check_txn_status;
mod cleanup;
mod collect;
mod commit;
mod get;
mod mvcc_by_key;
mod prewrite;
mod resolve_lock;
mod scan;
mod scan_cursors;
mod scan_lock;
mod txn_heart_beat;

pub use batch_get::BatchGet;
pub use batch_rollback::BatchRollback;
pub use check_secondary_locks::{CheckSecondaryLocks, SecondaryLocks};
pub use check_txn_status::{CheckTxnStatus, CheckTxnStatusReply, StatusAction, TxnStatus};
pub use cleanup::Cleanup;
pub use collect::{Collect, CollectPosition, CollectReply};
pub use commit::Commit;
pub use get::Get;
pub use mvcc_by_key::{MvccByKey, MvccInfo, MvccWrite};
pub use prewrite::{CommitBy, Prewrite, PrewriteReply};
pub use resolve_lock::{FindTxnLocks, FindTxnLocksReply, ResolveLock};
pub use scan::{Pair, Scan, ScanReply};
pub use scan_lock::{ScanLock, ScanLockReply};
pub use txn_heart_beat::TxnHeartBeat;
