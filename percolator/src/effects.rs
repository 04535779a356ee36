//! The three things that happen to a lock, as effects on a batch: it is written, it becomes a commit record, or it
//! gives way to a rollback mark. Every command that writes is made of these.

use bytes::Bytes;
use nokv_engine::{Cf, ReadView, WriteBatch};

use crate::{Error, Key, KeyError, Lock, LockKind, Reply, Result, Timestamp, WriteKind, WriteRecord};

/// The lock on `key`, if any.
pub(crate) fn load_lock<V: ReadView>(view: &V, key: &Key) -> Result<Option<Lock>> {
    view.get(Cf::Lock, key.as_encoded())?.as_ref().map(Lock::decode).transpose()
}

/// Writes (or rewrites) a lock.
pub(crate) fn put_lock(batch: &mut WriteBatch, key: &Key, lock: &Lock) {
    batch.put(Cf::Lock, key.as_encoded(), &lock.encode());
}

/// Refuses a commit timestamp that no transaction `start_ts` can have.
pub(crate) fn check_commit_ts(start_ts: Timestamp, commit_ts: Timestamp) -> Reply<()> {
    if commit_ts <= start_ts { Err(KeyError::CommitTsNotAfterStart { start_ts, commit_ts }) } else { Ok(()) }
}

/// Refuses a commit timestamp below the lock's bound: a reader may have been promised that it commits later.
pub(crate) fn check_min_commit_ts(key: &Key, lock: &Lock, commit_ts: Timestamp) -> Result<Reply<()>> {
    if commit_ts >= lock.min_commit_ts {
        return Ok(Ok(()));
    }
    Ok(Err(KeyError::CommitTsExpired {
        start_ts: lock.start_ts,
        attempted_commit_ts: commit_ts,
        key: user_key(key)?,
        min_commit_ts: lock.min_commit_ts,
    }))
}

/// Turns `lock` into the record of its commit at `commit_ts`.
pub(crate) fn commit_lock<V: ReadView>(
    batch: &mut WriteBatch,
    view: &V,
    key: &Key,
    lock: &Lock,
    commit_ts: Timestamp,
) -> Result<()> {
    let kind = match lock.kind {
        LockKind::Put => WriteKind::Put,
        LockKind::Delete => WriteKind::Delete,
        LockKind::Lock => WriteKind::Lock,
    };
    let mut record = WriteRecord::commit(kind, lock.start_ts, lock.short_value.as_deref());
    let versioned = key.append_ts(commit_ts);
    if let Some(there) = view.get(Cf::Write, &versioned)? {
        // While this lock stands nobody else can commit here, and its prewrite met no commit above its start.
        if WriteRecord::decode(&there)?.kind != WriteKind::Rollback {
            return Err(Error::Corrupt { what: "write record: two commits of a key at one timestamp" });
        }
        record.has_overlapped_rollback = true;
    }
    batch.put(Cf::Write, &versioned, &record.encode());
    batch.delete(Cf::Lock, key.as_encoded());
    Ok(())
}

/// Removes `lock` with its value and leaves its transaction's rollback mark.
pub(crate) fn roll_back_lock<V: ReadView>(batch: &mut WriteBatch, view: &V, key: &Key, lock: &Lock) -> Result<()> {
    if lock.has_large_value() {
        batch.delete(Cf::Default, &key.append_ts(lock.start_ts));
    }
    batch.delete(Cf::Lock, key.as_encoded());
    put_rollback_mark(batch, view, key, lock.start_ts)
}

/// Leaves the rollback mark of the transaction `start_ts`, which forbids its prewrite for ever.
///
/// If another transaction's commit occupies the place (its commit timestamp is this start timestamp), that record stays
/// and carries the mark. All marks are kept: none is ever collapsed into a newer one, as systems that protect only some
/// of their marks do, so none needs protection.
pub(crate) fn put_rollback_mark<V: ReadView>(
    batch: &mut WriteBatch,
    view: &V,
    key: &Key,
    start_ts: Timestamp,
) -> Result<()> {
    if nokv_engine::is_planted("forget the rollback mark") {
        return Ok(());
    }
    let versioned = key.append_ts(start_ts);
    let there = view.get(Cf::Write, &versioned)?;
    let mark = match &there {
        None => WriteRecord::rollback_mark(start_ts),
        Some(there) => {
            let record = WriteRecord::decode(there)?;
            if record.rolls_back(start_ts, start_ts) {
                return Ok(());
            }
            WriteRecord { has_overlapped_rollback: true, ..record }
        }
    };
    batch.put(Cf::Write, &versioned, &mark.encode());
    Ok(())
}

/// The user key, for a reply.
pub(crate) fn user_key(key: &Key) -> Result<Bytes> {
    Ok(key.decode()?.into())
}

/// The keys in order, each once: a command that names a key twice means it once.
pub(crate) fn each_once(keys: &[Key]) -> Vec<&Key> {
    let mut keys: Vec<&Key> = keys.iter().collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}
