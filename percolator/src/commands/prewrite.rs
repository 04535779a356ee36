//! The first phase: claims every key for the transaction and lays down its values, if no other transaction stands in
//! the way. Percolator's paper, section 2.2; refusals as TiKV's, with TinyKV's stricter rule that a commit *at* the
//! start timestamp conflicts too.

use bytes::Bytes;
use nokv_engine::{Cf, ReadView, WriteBatch};

use crate::effects::{load_lock, put_lock, user_key};
use crate::versions::{TxnRecord, Versions, find_txn_record};
use crate::{
    Assertion, AssertionLevel, ConflictReason, Key, KeyError, Lock, LockKind, Mutation, MutationOp, Outcome, Reply,
    Result, SHORT_VALUE_BYTES_MAX, Timestamp, WriteKind, WriteRecord,
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
    /// In two phases: not zero = the client agrees to commit at this timestamp or later and to be pushed further by
    /// readers (it handles [`KeyError::CommitTsExpired`]); zero = readers have to wait for it. Otherwise: the bound
    /// that [`crate::Announcements::announce`] chose.
    pub min_commit_ts: Timestamp,
    /// How the transaction is to be committed.
    pub commit_by: CommitBy,
    /// How hard the mutations' assertions are checked.
    pub assertion_level: AssertionLevel,
}

/// How a transaction is to be committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CommitBy {
    /// By a second request, with a timestamp that is drawn after all its prewrites.
    #[default]
    TwoPhases,
    /// By its last prewrite: it is committed as soon as all its keys are locked, at the largest of their bounds.
    Async {
        /// All its keys but the primary, if that is among the mutations (user keys).
        secondaries: Vec<Bytes>,
    },
    /// By this prewrite, which has all its keys: records are written in place of locks, at the bound. If one of them is
    /// locked by the transaction already, an earlier try went otherwise, and this one follows it: two phases.
    OnePhase,
}

/// What became of a prewrite.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrewriteReply {
    /// One error for each key that is in the way, in key order. If there is any, nothing has been written.
    pub errors: Vec<KeyError>,
    /// The bound of all these locks, if every one of them commits asynchronously; else zero: commit in two phases.
    pub min_commit_ts: Timestamp,
    /// When the transaction committed, by this command or before; zero = it has not, or not on these keys.
    pub commit_ts: Timestamp,
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
        let mut findings = Vec::with_capacity(self.mutations.len());
        let mut reply = PrewriteReply::default();
        for mutation in self.last_of_each_key() {
            match self.check(view, mutation)? {
                Err(error) => reply.errors.push(error),
                Ok(finding) => findings.push((mutation, finding)),
            }
        }
        if !reply.errors.is_empty() {
            return Ok(Outcome::unchanged(reply));
        }
        let mut batch = WriteBatch::new();
        let is_free = |finding: &Finding| matches!(finding, Finding::Free { .. });
        let at_once = self.commit_by == CommitBy::OnePhase && findings.iter().all(|(_, finding)| is_free(finding));
        // What counts is what the locks say: an earlier try may have been granted what this one does not ask for.
        let mut is_async = true;
        for (mutation, finding) in &findings {
            match finding {
                Finding::Committed(at) => reply.commit_ts = *at,
                Finding::Locked(lock) => {
                    is_async &= lock.async_commit.is_some();
                    reply.min_commit_ts = reply.min_commit_ts.max(lock.min_commit_ts);
                }
                Finding::Free { mark_at_bound } if at_once => self.commit_now(&mut batch, mutation, *mark_at_bound),
                Finding::Free { .. } => {
                    is_async &= matches!(self.commit_by, CommitBy::Async { .. });
                    self.claim(&mut batch, mutation);
                    reply.min_commit_ts = reply.min_commit_ts.max(self.bound());
                }
            }
        }
        if !is_async {
            reply.min_commit_ts = Timestamp::ZERO;
        }
        if at_once {
            reply.commit_ts = self.bound();
        }
        Ok(Outcome { batch, reply })
    }

    /// Its answer once the safe point lies above its start. What it would decide by may be gone, so it claims nothing
    /// any more; but an earlier try that committed is told, if that can still be seen.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub fn refuse_below<V: ReadView>(&self, view: &V, safe_point: Timestamp) -> Result<PrewriteReply> {
        for mutation in &self.mutations {
            if let TxnRecord::Committed(commit_ts) = find_txn_record(view, &mutation.key, self.start_ts)? {
                return Ok(PrewriteReply { commit_ts, ..PrewriteReply::default() });
            }
        }
        let error = KeyError::BelowSafePoint { ts: self.start_ts, safe_point };
        Ok(PrewriteReply { errors: vec![error], ..PrewriteReply::default() })
    }

    /// The earliest timestamp at which the transaction can commit: a bound at or below the start says nothing.
    fn bound(&self) -> Timestamp {
        self.min_commit_ts.max(self.start_ts.next())
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
                return Ok(Ok(Finding::Locked(lock)));
            }
            return Ok(match find_txn_record(view, key, self.start_ts)? {
                TxnRecord::Committed(at) => Ok(Finding::Committed(at)),
                TxnRecord::RolledBack => Err(self.rolled_back(key)?),
                TxnRecord::None => Err(KeyError::Locked(lock.info(key)?)),
            });
        }
        let mut versions = Versions::of(view, key, Timestamp::MAX)?;
        let mut conflict = None;
        let mut mark_at_bound = false;
        while let Some((at, record)) = versions.record()? {
            if at < self.start_ts {
                break;
            }
            if record.commits(self.start_ts) {
                return Ok(Ok(Finding::Committed(at)));
            }
            if record.rolls_back(at, self.start_ts) {
                return Ok(Err(self.rolled_back(key)?));
            }
            // Another transaction's rollback mark changed nothing and stands in nobody's way.
            if record.kind != WriteKind::Rollback {
                conflict.get_or_insert((at, record.start_ts));
            }
            mark_at_bound |= at == self.bound();
            versions.older()?;
        }
        if let Some((at, by)) = conflict.filter(|_| !nokv_engine::is_planted("overlook newer commits")) {
            return Ok(Err(self.conflict(key, at, by, ConflictReason::Optimistic)?));
        }
        Ok(self.check_existence(mutation, versions)?.map(|()| Finding::Free { mark_at_bound }))
    }

    /// Looks at the value before this transaction, if the mutation says anything of it.
    fn check_existence<V: ReadView>(&self, mutation: &Mutation, mut versions: Versions<'_, V>) -> Result<Reply<()>> {
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
            return Ok(Ok(()));
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
        Ok(Ok(()))
    }

    fn claim(&self, batch: &mut WriteBatch, mutation: &Mutation) {
        let kind = match mutation.op {
            MutationOp::Put(_) | MutationOp::Insert(_) => LockKind::Put,
            MutationOp::Delete => LockKind::Delete,
            MutationOp::Lock => LockKind::Lock,
            MutationOp::CheckNotExists => return,
        };
        let async_commit = match &self.commit_by {
            CommitBy::Async { secondaries } if mutation.key == Key::encode(&self.primary) => Some(secondaries.clone()),
            CommitBy::Async { .. } => Some(Vec::new()),
            CommitBy::TwoPhases | CommitBy::OnePhase => None,
        };
        let takes_pushes = async_commit.is_some() || !self.min_commit_ts.is_zero();
        let lock = Lock {
            kind,
            primary: self.primary.clone(),
            start_ts: self.start_ts,
            ttl_ms: self.ttl_ms,
            for_update_ts: Timestamp::ZERO,
            txn_size: self.txn_size,
            min_commit_ts: if takes_pushes { self.bound() } else { Timestamp::ZERO },
            short_value: self.lay_down(batch, mutation).cloned(),
            async_commit,
        };
        put_lock(batch, &mutation.key, &lock);
    }

    /// Writes the record of the commit, where there never was a lock.
    fn commit_now(&self, batch: &mut WriteBatch, mutation: &Mutation, mark_at_bound: bool) {
        let kind = match mutation.op {
            MutationOp::Put(_) | MutationOp::Insert(_) => WriteKind::Put,
            MutationOp::Delete => WriteKind::Delete,
            MutationOp::Lock => WriteKind::Lock,
            MutationOp::CheckNotExists => return,
        };
        let short_value = self.lay_down(batch, mutation).map(|value| &value[..]);
        let mut record = WriteRecord::commit(kind, self.start_ts, short_value);
        record.has_overlapped_rollback = mark_at_bound;
        batch.put(Cf::Write, &mutation.key.append_ts(self.bound()), &record.encode());
    }

    /// Writes the value if it is too large for a record, else returns it for the record.
    fn lay_down<'m>(&self, batch: &mut WriteBatch, mutation: &'m Mutation) -> Option<&'m Bytes> {
        let value = mutation.op.value()?;
        if value.len() <= SHORT_VALUE_BYTES_MAX {
            return Some(value);
        }
        batch.put(Cf::Default, &mutation.key.append_ts(self.start_ts), value);
        None
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
    /// This transaction's lock is there already.
    Locked(Lock),
    /// This transaction's commit is there already.
    Committed(Timestamp),
    /// Nothing is in the way.
    Free {
        /// Another transaction's rollback mark lies where this one's record would in one phase.
        mark_at_bound: bool,
    },
}
