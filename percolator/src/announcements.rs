//! What lets a transaction choose its own commit timestamp, in one phase or asynchronously: the largest timestamp at
//! which this store has read, and the locks that are decided but not yet readable as records.
//!
//! ```text
//!   reader at V:   max_ts := max(max_ts, V) ──▶ an announced lock that may commit up to V? wait ──▶ view ──▶ read
//!   prewrite:      view ──▶ announce: bound := max(max_ts, start_ts, asked) + 1 ──▶ decide ──▶ replicate ──▶ withdrawn
//! ```
//!
//! A reader that looked before the announcement has raised `max_ts`, so the bound lies above it; one that looks later
//! sees the announcement, until its effects are in every view. So no transaction commits at or below a timestamp at
//! which its keys were read without it. (TiKV keeps the same two things in its concurrency manager.)
//!
//! Memory of one store only: whoever begins to serve a range must first raise `max_ts` above all that its earlier
//! leaders may have read at, by a fresh timestamp of the oracle.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use futures_channel::oneshot;
use nokv_engine::{KeyRange, is_planted};
use parking_lot::Mutex;

use crate::{Isolation, Key, LockInfo, LockKind, MutationOp, Prewrite, ReadPoint, Result, Timestamp};

/// The announcements of one store. Cheap to clone: clones share them.
#[derive(Clone, Debug, Default)]
pub struct Announcements {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    max_ts: AtomicU64,
    /// How many locks are announced; counted before `max_ts` is read, so that a reader that sees none has raised
    /// `max_ts` early enough.
    announced: AtomicUsize,
    /// By encoded key; latches see to it that each has one owner.
    locks: Mutex<BTreeMap<Bytes, Announced>>,
}

#[derive(Debug)]
struct Announced {
    kind: LockKind,
    prewrite: Arc<Owner>,
    waiting: Vec<oneshot::Sender<()>>,
}

/// What all locks of one prewrite have in common.
#[derive(Debug)]
struct Owner {
    primary: Bytes,
    start_ts: Timestamp,
    ttl_ms: u64,
    txn_size: u64,
    min_commit_ts: Timestamp,
}

/// An announced lock in a reader's way.
#[derive(Debug)]
pub struct Blocked {
    /// The lock, for a reader that cannot wait.
    pub lock: LockInfo,
    /// Resolves (or is cancelled, which means the same) once the lock is withdrawn: a view taken then shows what became
    /// of it.
    pub gone: oneshot::Receiver<()>,
}

/// Announced locks; withdrawn when this is dropped. It must live until the prewrite's effects are applied, or refused.
#[must_use = "dropping it withdraws the locks"]
pub struct Announcement {
    shared: Arc<Shared>,
    keys: Vec<Bytes>,
}

impl Announcements {
    /// The largest timestamp at which anything was read here.
    pub fn max_ts(&self) -> Timestamp {
        Timestamp(self.shared.max_ts.load(Ordering::SeqCst))
    }

    /// Notes that something was read, or may have been, at `version`. [`Timestamp::MAX`] stands for "now", at no
    /// particular timestamp, and is not counted.
    pub fn raise(&self, version: Timestamp) {
        if version == Timestamp::MAX || is_planted("reads do not raise max_ts") {
            return;
        }
        // Most reads find it raised already, and need not take the cache line from the others.
        if self.shared.max_ts.load(Ordering::SeqCst) < version.0 {
            self.shared.max_ts.fetch_max(version.0, Ordering::SeqCst);
        }
    }

    /// To be called before a read of `keys` (encoded) takes its view: what has to be waited for first.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub fn before_get<'k>(&self, read: &ReadPoint, keys: impl IntoIterator<Item = &'k [u8]>) -> Result<Vec<Blocked>> {
        let Some(mut locks) = self.locks_to_heed(read) else { return Ok(Vec::new()) };
        let mut blocked = Vec::new();
        for key in keys {
            if let Some((key, lock)) = locks.get_key_value(key).map(|(key, lock)| (key.clone(), lock))
                && lock.blocks(read)
                && let Some(lock) = locks.get_mut(&key)
            {
                blocked.push(lock.wait(&key)?);
            }
        }
        Ok(blocked)
    }

    /// As [`Announcements::before_get`], for all keys of a range.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub fn before_scan(&self, read: &ReadPoint, range: KeyRange<'_>) -> Result<Vec<Blocked>> {
        let Some(mut locks) = self.locks_to_heed(read) else { return Ok(Vec::new()) };
        let end = if range.end.is_empty() { Bound::Unbounded } else { Bound::Excluded(range.end) };
        if !range.end.is_empty() && range.start >= range.end {
            return Ok(Vec::new());
        }
        let within = locks.range_mut::<[u8], _>((Bound::Included(range.start), end));
        within.filter(|(_, lock)| lock.blocks(read)).map(|(key, lock)| lock.wait(key)).collect()
    }

    fn locks_to_heed(&self, read: &ReadPoint) -> Option<parking_lot::MutexGuard<'_, BTreeMap<Bytes, Announced>>> {
        self.raise(read.version);
        let passes = read.isolation == Isolation::ReadCommitted || read.version == Timestamp::MAX;
        // A read at no particular timestamp sees whatever is applied; what is only announced has not happened yet.
        if passes || self.shared.announced.load(Ordering::SeqCst) == 0 || is_planted("hide announced locks") {
            return None;
        }
        Some(self.shared.locks.lock())
    }

    /// Announces the locks of `prewrite`, whose latches are held, and chooses its bound: the transaction commits there
    /// or later. `None` if that would be above `max_commit_ts` (zero: no limit): then it cannot choose for itself.
    pub fn announce(&self, prewrite: &Prewrite, max_commit_ts: Timestamp) -> Option<(Timestamp, Announcement)> {
        let shared = self.shared.clone();
        let written = prewrite.mutations.iter().filter_map(|mutation| Some((&mutation.key, kind_of(&mutation.op)?)));
        let mut locks = shared.locks.lock();
        shared.announced.fetch_add(prewrite.mutations.len(), Ordering::SeqCst);
        let min_commit_ts = self.max_ts().max(prewrite.start_ts).next().max(prewrite.min_commit_ts);
        if min_commit_ts == Timestamp::MAX || (!max_commit_ts.is_zero() && min_commit_ts > max_commit_ts) {
            shared.announced.fetch_sub(prewrite.mutations.len(), Ordering::SeqCst);
            return None;
        }
        let owner = Arc::new(Owner {
            primary: prewrite.primary.clone(),
            start_ts: prewrite.start_ts,
            ttl_ms: prewrite.ttl_ms,
            txn_size: prewrite.txn_size,
            min_commit_ts,
        });
        let mut keys = Vec::with_capacity(prewrite.mutations.len());
        for (key, kind) in written {
            let key = key.clone().into_encoded();
            let lock = Announced { kind, prewrite: owner.clone(), waiting: Vec::new() };
            // Of several mutations of one key the last counts.
            if locks.insert(key.clone(), lock).is_none() {
                keys.push(key);
            }
        }
        shared.announced.fetch_sub(prewrite.mutations.len() - keys.len(), Ordering::SeqCst);
        drop(locks);
        Some((min_commit_ts, Announcement { shared, keys }))
    }
}

/// What a reader must heed of a mutation.
fn kind_of(op: &MutationOp) -> Option<LockKind> {
    match op {
        MutationOp::Put(_) | MutationOp::Insert(_) => Some(LockKind::Put),
        MutationOp::Delete => Some(LockKind::Delete),
        MutationOp::Lock | MutationOp::CheckNotExists => None,
    }
}

impl Announced {
    /// Whether it may become visible at the read's version or below.
    fn blocks(&self, read: &ReadPoint) -> bool {
        self.prewrite.min_commit_ts <= read.version && !read.bypass_locks.contains(&self.prewrite.start_ts)
    }

    fn wait(&mut self, key: &Bytes) -> Result<Blocked> {
        let (gone, told) = oneshot::channel();
        self.waiting.push(gone);
        let Owner { primary, start_ts, ttl_ms, txn_size, min_commit_ts } = self.prewrite.as_ref();
        let lock = LockInfo {
            key: Key::from_encoded(key.clone()).decode()?.into(),
            primary: primary.clone(),
            start_ts: *start_ts,
            ttl_ms: *ttl_ms,
            kind: self.kind,
            txn_size: *txn_size,
            for_update_ts: Timestamp::ZERO,
            min_commit_ts: *min_commit_ts,
            use_async_commit: false,
            secondaries: Vec::new(),
        };
        Ok(Blocked { lock, gone: told })
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        let mut withdrawn = Vec::with_capacity(self.keys.len());
        let mut locks = self.shared.locks.lock();
        withdrawn.extend(self.keys.iter().filter_map(|key| locks.remove(key)));
        self.shared.announced.fetch_sub(self.keys.len(), Ordering::SeqCst);
        drop(locks);
        // Dropping the senders wakes who waits, outside of the mutex.
        drop(withdrawn);
    }
}

impl fmt::Debug for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announcement").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Assertion, AssertionLevel, CommitBy, Mutation};

    fn prewrite(keys: &[&str], start_ts: u64) -> Prewrite {
        let mutation = |key: &&str| Mutation {
            key: Key::encode(key.as_bytes()),
            op: MutationOp::Put(Bytes::from_static(b"v")),
            assertion: Assertion::None,
        };
        Prewrite {
            mutations: keys.iter().map(mutation).collect(),
            primary: Bytes::from_static(b"a"),
            start_ts: Timestamp(start_ts),
            ttl_ms: 3,
            txn_size: 0,
            min_commit_ts: Timestamp::ZERO,
            commit_by: CommitBy::OnePhase,
            assertion_level: AssertionLevel::Off,
        }
    }

    fn at(version: u64) -> ReadPoint {
        ReadPoint::snapshot(Timestamp(version))
    }

    fn get(announcements: &Announcements, key: &str, read: &ReadPoint) -> usize {
        announcements.before_get(read, [Key::encode(key.as_bytes()).as_encoded()]).unwrap().len()
    }

    #[test]
    fn a_bound_lies_above_every_read_the_start_and_what_was_asked() {
        let announcements = Announcements::default();
        let bound =
            |prewrite: &Prewrite, max| announcements.announce(prewrite, Timestamp(max)).map(|(bound, _)| bound.0);
        assert_eq!(bound(&prewrite(&["a"], 5), 0), Some(6));
        assert_eq!(get(&announcements, "zzz", &at(9)), 0);
        assert_eq!(bound(&prewrite(&["a"], 5), 0), Some(10), "any key's read counts");
        assert_eq!(bound(&Prewrite { min_commit_ts: Timestamp(12), ..prewrite(&["a"], 5) }, 0), Some(12));
        assert_eq!(get(&announcements, "a", &ReadPoint::snapshot(Timestamp::MAX)), 0);
        assert_eq!(announcements.max_ts().0, 9, "the newest there is, is no timestamp");
        assert_eq!((bound(&prewrite(&["a"], 5), 10), bound(&prewrite(&["a"], 5), 9)), (Some(10), None));
        announcements.raise(Timestamp(u64::MAX - 1));
        assert_eq!(bound(&prewrite(&["a"], 5), 0), None, "nobody commits at the end of time");
        assert_eq!(announcements.shared.announced.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn readers_wait_for_what_may_commit_up_to_their_version_and_for_nothing_else() {
        let announcements = Announcements::default();
        let mut two = prewrite(&["a", "b", "b", "c"], 5);
        two.mutations[3].op = MutationOp::Lock;
        let (bound, announcement) = announcements.announce(&two, Timestamp::ZERO).unwrap();
        assert_eq!(bound.0, 6);
        for (key, version, blocked) in [("a", 5, 0), ("a", 6, 1), ("b", 9, 1), ("c", 9, 0), ("d", 9, 0)] {
            assert_eq!(get(&announcements, key, &at(version)), blocked, "{key} at {version}");
        }
        let passing = [
            ReadPoint { isolation: Isolation::ReadCommitted, ..at(9) },
            ReadPoint { bypass_locks: vec![Timestamp(5)], ..at(9) },
            ReadPoint::snapshot(Timestamp::MAX),
        ];
        for read in passing {
            assert_eq!(get(&announcements, "a", &read), 0, "{read:?}");
        }
        let scan = |from: &str, to: &str| {
            let bound =
                |user: &str| if user.is_empty() { vec![] } else { Key::encode(user.as_bytes()).as_encoded().to_vec() };
            announcements.before_scan(&at(9), KeyRange::new(&bound(from), &bound(to))).unwrap().len()
        };
        assert_eq!((scan("", ""), scan("b", ""), scan("", "b"), scan("aa", "b"), scan("c", "b")), (2, 1, 1, 0, 0));

        let mut blocked = announcements.before_get(&at(9), [Key::encode(b"a").as_encoded()]).unwrap().remove(0);
        let lock = &blocked.lock;
        assert_eq!(
            (&lock.key[..], &lock.primary[..], lock.start_ts.0, lock.min_commit_ts.0),
            (&b"a"[..], &b"a"[..], 5, 6)
        );
        assert_eq!(blocked.gone.try_recv(), Ok(None));
        drop(announcement);
        assert!(blocked.gone.try_recv().is_err(), "who waits is woken");
        assert_eq!((get(&announcements, "a", &at(9)), scan("", "")), (0, 0));
        assert_eq!(announcements.shared.announced.load(Ordering::SeqCst), 0);
    }
}
