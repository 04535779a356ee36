//! The naive model: maps of locks, of versions and of marks, no encoding, no cursors. It says in the plainest words
//! what each command must answer and change; the crate must agree in every byte of every reply.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use nokv_percolator::*;

type UserKey = &'static str;

/// What a commit did to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Put(Bytes),
    Delete,
    Lock,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub start_ts: Timestamp,
    pub change: Change,
    pub primary: UserKey,
    pub ttl_ms: u64,
    pub min_commit_ts: Timestamp,
    /// The other keys, if it commits asynchronously.
    pub async_commit: Option<Vec<Bytes>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub start_ts: Timestamp,
    pub change: Change,
}

/// All there is to know of a region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    pub locks: BTreeMap<UserKey, Held>,
    /// By key, then by commit timestamp.
    pub versions: BTreeMap<UserKey, BTreeMap<Timestamp, Version>>,
    pub rolled_back: BTreeSet<(UserKey, Timestamp)>,
}

/// A mutation in the model's terms.
#[derive(Clone, Debug)]
pub struct Wish {
    pub key: UserKey,
    pub op: MutationOp,
    pub assertion: Assertion,
}

#[derive(Clone, Debug)]
pub struct Claim {
    pub start_ts: Timestamp,
    pub primary: UserKey,
    pub ttl_ms: u64,
    pub min_commit_ts: Timestamp,
    pub commit_by: CommitBy,
    pub wishes: Vec<Wish>,
}

fn bytes(key: UserKey) -> Bytes {
    Bytes::from_static(key.as_bytes())
}

impl Held {
    pub fn kind(&self) -> LockKind {
        match self.change {
            Change::Put(_) => LockKind::Put,
            Change::Delete => LockKind::Delete,
            Change::Lock => LockKind::Lock,
        }
    }

    fn info(&self, key: UserKey) -> LockInfo {
        LockInfo {
            key: bytes(key),
            primary: bytes(self.primary),
            start_ts: self.start_ts,
            ttl_ms: self.ttl_ms,
            kind: self.kind(),
            txn_size: 0,
            for_update_ts: Timestamp::ZERO,
            min_commit_ts: self.min_commit_ts,
            use_async_commit: self.async_commit.is_some(),
            secondaries: self.async_commit.clone().unwrap_or_default(),
        }
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now == Timestamp::MAX || self.start_ts.physical_ms() + self.ttl_ms <= now.physical_ms()
    }
}

impl Model {
    pub fn committed(&self, key: UserKey, start_ts: Timestamp) -> Option<Timestamp> {
        let versions = self.versions.get(key)?;
        versions.iter().find(|(_, version)| version.start_ts == start_ts).map(|(at, _)| *at)
    }

    fn own_lock(&self, key: UserKey, start_ts: Timestamp) -> Option<&Held> {
        self.locks.get(key).filter(|lock| lock.start_ts == start_ts)
    }

    /// The newest value up to `version`, with its commit.
    fn visible(&self, key: UserKey, version: Timestamp) -> Option<(Timestamp, &Version, &Bytes)> {
        let changes = self.versions.get(key)?.range(..=version).rev();
        let (at, newest) = changes.into_iter().find(|(_, version)| version.change != Change::Lock)?;
        match &newest.change {
            Change::Put(value) => Some((*at, newest, value)),
            _ => None,
        }
    }

    /// Forgets what nobody at `safe_point` or above can tell from its never having been.
    pub fn collect(&mut self, safe_point: Timestamp) {
        for versions in self.versions.values_mut() {
            let changes = versions.range(..=safe_point).rev();
            let newest = changes.into_iter().find(|(_, version)| version.change != Change::Lock).map(|(at, _)| *at);
            let is_seen =
                |at: &Timestamp, version: &Version| Some(*at) == newest && matches!(version.change, Change::Put(_));
            versions.retain(|at, version| *at >= safe_point || is_seen(at, version));
        }
        self.versions.retain(|_, versions| !versions.is_empty());
        // A mark that lies within a commit's record stays as long as that.
        let lies_within = |key: UserKey, at: Timestamp| self.versions.get(key).is_some_and(|all| all.contains_key(&at));
        self.rolled_back.retain(|(key, at)| *at >= safe_point || lies_within(key, *at));
    }

    pub fn get(&self, key: UserKey, read: &ReadPoint) -> Reply<Option<Found>> {
        if let Some(lock) = self.locks.get(key) {
            let may_change_it = lock.start_ts <= read.version && lock.change != Change::Lock;
            let known_not_to = read.bypass_locks.contains(&lock.start_ts)
                || ((lock.primary == key || lock.async_commit.is_some()) && lock.min_commit_ts > read.version);
            if read.isolation == Isolation::Snapshot && may_change_it && !known_not_to {
                return Err(KeyError::Locked(lock.info(key)));
            }
        }
        let found = self.visible(key, read.version);
        Ok(found.map(|(commit_ts, _, value)| Found { value: value.clone(), commit_ts }))
    }

    /// What a scan over these keys, in this order, gives.
    pub fn scan(&self, keys: impl Iterator<Item = UserKey>, read: &ReadPoint, limit: usize) -> Vec<Pair> {
        let pairs =
            keys.filter_map(|key| self.get(key, read).transpose().map(|result| Pair { key: bytes(key), result }));
        pairs.take(limit).collect()
    }

    pub fn prewrite(&mut self, claim: &Claim) -> PrewriteReply {
        let last: BTreeMap<UserKey, &Wish> = claim.wishes.iter().map(|wish| (wish.key, wish)).collect();
        let checked: Vec<(&Wish, Reply<bool>)> =
            last.into_values().map(|wish| (wish, self.check(claim, wish))).collect();
        let errors: Vec<KeyError> = checked.iter().filter_map(|(_, check)| check.clone().err()).collect();
        if !errors.is_empty() {
            return PrewriteReply { errors, ..PrewriteReply::default() };
        }
        let bound = claim.min_commit_ts.max(claim.start_ts.next());
        let any_new = checked.iter().any(|(_, check)| *check == Ok(true));
        let all_new = checked.iter().all(|(_, check)| *check == Ok(true));
        let one_phase = claim.commit_by == CommitBy::OnePhase && all_new;
        let keys: Vec<UserKey> = checked.iter().map(|(wish, _)| wish.key).collect();
        for (wish, check) in checked {
            let change = match &wish.op {
                MutationOp::Put(value) | MutationOp::Insert(value) => Change::Put(value.clone()),
                MutationOp::Delete => Change::Delete,
                MutationOp::Lock => Change::Lock,
                MutationOp::CheckNotExists => continue,
            };
            if check == Ok(true) {
                let Claim { start_ts, primary, ttl_ms, .. } = *claim;
                if one_phase {
                    let before = self.versions.entry(wish.key).or_default().insert(bound, Version { start_ts, change });
                    assert_eq!(before, None, "a commit was overwritten");
                    continue;
                }
                let async_commit = match &claim.commit_by {
                    CommitBy::Async { secondaries } if wish.key == primary => Some(secondaries.clone()),
                    CommitBy::Async { .. } => Some(Vec::new()),
                    _ => None,
                };
                let bounded = async_commit.is_some() || claim.min_commit_ts != Timestamp::ZERO;
                let min_commit_ts = if bounded { bound } else { Timestamp::ZERO };
                self.locks.insert(wish.key, Held { start_ts, change, primary, ttl_ms, min_commit_ts, async_commit });
            }
        }
        let mut reply = PrewriteReply::default();
        if one_phase {
            reply.commit_ts = bound;
            return reply;
        }
        reply.commit_ts =
            keys.iter().filter_map(|key| self.committed(key, claim.start_ts)).next_back().unwrap_or_default();
        let own: Vec<&Held> = keys.iter().filter_map(|key| self.own_lock(key, claim.start_ts)).collect();
        let new_are_async = !any_new || matches!(claim.commit_by, CommitBy::Async { .. });
        if new_are_async && own.iter().all(|lock| lock.async_commit.is_some()) {
            // What is only checked counts like a lock: the bound is the whole request's.
            let bounds = own.iter().map(|lock| lock.min_commit_ts).chain(any_new.then_some(bound));
            reply.min_commit_ts = bounds.max().unwrap_or_default();
        }
        reply
    }

    /// Whether there is anything to do, or what is in the way.
    fn check(&self, claim: &Claim, wish: &Wish) -> Reply<bool> {
        let (key, start_ts) = (wish.key, claim.start_ts);
        if self.own_lock(key, start_ts).is_some() || self.committed(key, start_ts).is_some() {
            return Ok(false);
        }
        let conflict = |by: Timestamp, at: Timestamp, reason| KeyError::WriteConflict {
            start_ts,
            conflict_start_ts: by,
            conflict_commit_ts: at,
            key: bytes(key),
            primary: bytes(claim.primary),
            reason,
        };
        if self.rolled_back.contains(&(key, start_ts)) {
            return Err(conflict(start_ts, start_ts, ConflictReason::SelfRolledBack));
        }
        if let Some(lock) = self.locks.get(key) {
            return Err(KeyError::Locked(lock.info(key)));
        }
        if let Some((at, newest)) = self.versions.get(key).and_then(|versions| versions.last_key_value())
            && *at >= start_ts
        {
            return Err(conflict(newest.start_ts, *at, ConflictReason::Optimistic));
        }
        let existing = self.visible(key, Timestamp::MAX);
        if wish.op.wants_absence() && existing.is_some() {
            return Err(KeyError::AlreadyExists { key: bytes(key) });
        }
        let fails = match wish.assertion {
            Assertion::None => false,
            Assertion::Exist => existing.is_none(),
            Assertion::NotExist => existing.is_some(),
        };
        if fails {
            return Err(KeyError::AssertionFailed {
                start_ts,
                key: bytes(key),
                assertion: wish.assertion,
                existing_start_ts: existing.map_or(Timestamp::ZERO, |(_, version, _)| version.start_ts),
                existing_commit_ts: existing.map_or(Timestamp::ZERO, |(at, ..)| at),
            });
        }
        Ok(true)
    }

    fn commit_lock(&mut self, key: UserKey, commit_ts: Timestamp) {
        let lock = self.locks.remove(key).expect("looked up before");
        let version = Version { start_ts: lock.start_ts, change: lock.change };
        let replaced = self.versions.entry(key).or_default().insert(commit_ts, version);
        assert_eq!(replaced, None, "a commit was overwritten");
    }

    pub fn commit(&mut self, keys: &BTreeSet<UserKey>, start_ts: Timestamp, commit_ts: Timestamp) -> Reply<()> {
        if commit_ts <= start_ts {
            return Err(KeyError::CommitTsNotAfterStart { start_ts, commit_ts });
        }
        for key in keys {
            if let Some(lock) = self.own_lock(key, start_ts) {
                Self::check_bound(key, lock, commit_ts)?;
            } else if self.rolled_back.contains(&(*key, start_ts)) {
                return Err(KeyError::RolledBack { start_ts, key: bytes(key) });
            } else if self.committed(key, start_ts).is_none() {
                return Err(KeyError::TxnLockNotFound { start_ts, key: bytes(key) });
            }
        }
        for key in keys {
            if self.own_lock(key, start_ts).is_some() {
                self.commit_lock(key, commit_ts);
            }
        }
        Ok(())
    }

    fn check_bound(key: UserKey, lock: &Held, attempted_commit_ts: Timestamp) -> Reply<()> {
        let Held { start_ts, min_commit_ts, .. } = *lock;
        if attempted_commit_ts >= min_commit_ts {
            return Ok(());
        }
        Err(KeyError::CommitTsExpired { start_ts, attempted_commit_ts, key: bytes(key), min_commit_ts })
    }

    pub fn roll_back(&mut self, keys: &BTreeSet<UserKey>, start_ts: Timestamp) -> Reply<()> {
        for key in keys {
            if let Some(commit_ts) = self.committed(key, start_ts) {
                return Err(KeyError::Committed { start_ts, commit_ts, key: bytes(key) });
            }
        }
        for key in keys {
            if self.own_lock(key, start_ts).is_some() {
                self.locks.remove(key);
            }
            self.rolled_back.insert((key, start_ts));
        }
        Ok(())
    }

    pub fn cleanup(&mut self, key: UserKey, start_ts: Timestamp, now: Timestamp) -> Reply<()> {
        match self.own_lock(key, start_ts) {
            Some(lock) if lock.async_commit.is_some() || (now != Timestamp::ZERO && !lock.is_over(now)) => {
                Err(KeyError::Locked(lock.info(key)))
            }
            _ => self.roll_back(&BTreeSet::from([key]), start_ts),
        }
    }

    pub fn status(&mut self, ask: &CheckTxnStatus, key: UserKey) -> Reply<CheckTxnStatusReply> {
        let start_ts = ask.lock_ts;
        let answer = |status, action| Ok(CheckTxnStatusReply { status, action });
        if let Some(lock) = self.locks.get_mut(key).filter(|lock| lock.start_ts == start_ts) {
            let is_primary = lock.primary == key;
            if ask.verify_is_primary && !is_primary {
                return Err(KeyError::PrimaryMismatch(lock.info(key)));
            }
            if lock.async_commit.is_some() && !ask.force_sync_commit {
                let info = LockInfo { ttl_ms: lock.ttl_ms.max(1), ..lock.info(key) };
                return answer(TxnStatus::Alive(info), StatusAction::None);
            }
            if lock.is_over(ask.current_ts) {
                self.roll_back(&BTreeSet::from([key]), start_ts)?;
                return answer(TxnStatus::RolledBack, StatusAction::TtlExpireRollback);
            }
            let pushes = is_primary
                && lock.async_commit.is_none()
                && lock.min_commit_ts != Timestamp::ZERO
                && ![Timestamp::ZERO, Timestamp::MAX].contains(&ask.caller_start_ts);
            if pushes && lock.min_commit_ts <= ask.caller_start_ts {
                lock.min_commit_ts = ask.caller_start_ts.next().max(ask.current_ts);
            }
            let info = LockInfo { ttl_ms: lock.ttl_ms.max(1), ..lock.info(key) };
            let action = if pushes { StatusAction::MinCommitTsPushed } else { StatusAction::None };
            return answer(TxnStatus::Alive(info), action);
        }
        if let Some(at) = self.committed(key, start_ts) {
            return answer(TxnStatus::Committed(at), StatusAction::None);
        }
        if self.rolled_back.contains(&(key, start_ts)) {
            return answer(TxnStatus::RolledBack, StatusAction::None);
        }
        if !ask.rollback_if_not_exist {
            return Err(KeyError::TxnNotFound { start_ts, primary: bytes(key) });
        }
        self.rolled_back.insert((key, start_ts));
        answer(TxnStatus::RolledBack, StatusAction::LockNotExistRollback)
    }

    pub fn heart_beat(
        &mut self,
        key: UserKey,
        start_ts: Timestamp,
        ttl_ms: u64,
        min_commit_ts: Timestamp,
    ) -> Reply<u64> {
        let Some(lock) = self.locks.get_mut(key).filter(|lock| lock.start_ts == start_ts) else {
            return Err(KeyError::TxnNotFound { start_ts, primary: bytes(key) });
        };
        lock.ttl_ms = lock.ttl_ms.max(ttl_ms);
        if lock.min_commit_ts != Timestamp::ZERO && lock.primary == key && lock.async_commit.is_none() {
            lock.min_commit_ts = lock.min_commit_ts.max(min_commit_ts);
        }
        Ok(lock.ttl_ms)
    }

    pub fn secondaries(&mut self, keys: &BTreeSet<UserKey>, start_ts: Timestamp) -> SecondaryLocks {
        let mut locks = Vec::new();
        for key in keys {
            if let Some(lock) = self.own_lock(key, start_ts) {
                locks.push(lock.info(key));
            } else if let Some(at) = self.committed(key, start_ts) {
                return SecondaryLocks::Committed(at);
            } else {
                self.rolled_back.insert((key, start_ts));
                return SecondaryLocks::RolledBack;
            }
        }
        SecondaryLocks::AllLocked(locks)
    }

    pub fn locked_by(&self, start_ts: Timestamp) -> Vec<UserKey> {
        self.locks.iter().filter(|(_, lock)| lock.start_ts == start_ts).map(|(key, _)| *key).collect()
    }

    /// `commit_ts` zero = roll back.
    pub fn resolve(&mut self, keys: &BTreeSet<UserKey>, start_ts: Timestamp, commit_ts: Timestamp) -> Reply<()> {
        let commits = commit_ts != Timestamp::ZERO;
        if commits && commit_ts <= start_ts {
            return Err(KeyError::CommitTsNotAfterStart { start_ts, commit_ts });
        }
        let held: BTreeSet<UserKey> = self.locked_by(start_ts).into_iter().filter(|key| keys.contains(key)).collect();
        if !commits {
            return self.roll_back(&held, start_ts);
        }
        for key in &held {
            let lock = &self.locks[key];
            if lock.primary == *key {
                Self::check_bound(key, lock, commit_ts)?;
            }
        }
        for key in held {
            self.commit_lock(key, commit_ts);
        }
        Ok(())
    }

    pub fn scan_lock(&self, max_ts: Timestamp) -> Vec<LockInfo> {
        let old = self.locks.iter().filter(|(_, lock)| lock.start_ts <= max_ts);
        old.map(|(key, lock)| lock.info(key)).collect()
    }
}
