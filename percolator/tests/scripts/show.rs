//! Shows replies and records for people: user keys, timestamps as numbers or as
//! `milliseconds.logical`, and a long value as its first letter and its length.

use std::fmt::Write as _;

use bytes::Bytes;
use nokv_engine::{Cf, WriteOp};
use nokv_percolator::*;

pub fn done(reply: &Reply<()>) -> String {
    self::reply(reply, |()| "ok".into())
}

pub fn reply<T>(reply: &Reply<T>, show: impl FnOnce(&T) -> String) -> String {
    match reply {
        Ok(value) => show(value),
        Err(error) => key_error(error),
    }
}

/// The error and all its fields.
pub fn key_error(error: &KeyError) -> String {
    let fields = match error {
        KeyError::Locked(info) => format!("Locked {}", lock_info(info)),
        KeyError::PrimaryMismatch(info) => format!("PrimaryMismatch {}", lock_info(info)),
        KeyError::WriteConflict { start_ts, conflict_start_ts, conflict_commit_ts, key, primary, reason } => format!(
            "WriteConflict {} start={} by={}→{} primary={} {reason:?}",
            text(key),
            ts(*start_ts),
            ts(*conflict_start_ts),
            ts(*conflict_commit_ts),
            text(primary),
        ),
        KeyError::BelowSafePoint { ts: at, safe_point } => format!("BelowSafePoint {} < {}", ts(*at), ts(*safe_point)),
        KeyError::AlreadyExists { key } => format!("AlreadyExists {}", text(key)),
        KeyError::AssertionFailed { start_ts, key, assertion, existing_start_ts, existing_commit_ts } => format!(
            "AssertionFailed {} {assertion:?} start={} existing={}→{}",
            text(key),
            ts(*start_ts),
            ts(*existing_start_ts),
            ts(*existing_commit_ts)
        ),
        KeyError::Committed { start_ts, commit_ts, key } => {
            format!("Committed {} {}→{}", text(key), ts(*start_ts), ts(*commit_ts))
        }
        KeyError::RolledBack { start_ts, key } => format!("RolledBack {} start={}", text(key), ts(*start_ts)),
        KeyError::TxnLockNotFound { start_ts, key } => {
            format!("TxnLockNotFound {} start={}", text(key), ts(*start_ts))
        }
        KeyError::TxnNotFound { start_ts, primary } => {
            format!("TxnNotFound {} start={}", text(primary), ts(*start_ts))
        }
        KeyError::CommitTsExpired { start_ts, attempted_commit_ts, key, min_commit_ts } => format!(
            "CommitTsExpired {} {}→{} min_commit={}",
            text(key),
            ts(*start_ts),
            ts(*attempted_commit_ts),
            ts(*min_commit_ts)
        ),
        KeyError::CommitTsNotAfterStart { start_ts, commit_ts } => {
            format!("CommitTsNotAfterStart {}→{}", ts(*start_ts), ts(*commit_ts))
        }
    };
    format!("error: {fields}")
}

pub fn lock_info(info: &LockInfo) -> String {
    let mut out =
        format!("{} {:?} primary={} start={}", text(&info.key), info.kind, text(&info.primary), ts(info.start_ts));
    write!(out, " ttl={}", info.ttl_ms).unwrap();
    optional(&mut out, info.txn_size, info.min_commit_ts);
    if info.use_async_commit {
        asynchronous(&mut out, &info.secondaries);
    }
    out
}

pub fn prewritten(reply: &PrewriteReply) -> String {
    match (reply.commit_ts, reply.min_commit_ts) {
        (Timestamp::ZERO, Timestamp::ZERO) => "ok".into(),
        (Timestamp::ZERO, bound) => format!("ok, min_commit={}", ts(bound)),
        (at, _) => format!("committed at {}", ts(at)),
    }
}

pub fn secondaries(reply: &SecondaryLocks) -> String {
    match reply {
        SecondaryLocks::AllLocked(locks) => {
            let locks: Vec<String> = locks.iter().map(lock_info).collect();
            format!("all locked: {}", locks.join("; "))
        }
        SecondaryLocks::Committed(at) => format!("committed at {}", ts(*at)),
        SecondaryLocks::RolledBack => "rolled back".into(),
    }
}

pub fn status(reply: &CheckTxnStatusReply) -> String {
    let status = match &reply.status {
        TxnStatus::Alive(info) => format!("alive: {}", lock_info(info)),
        TxnStatus::Committed(at) => format!("committed at {}", ts(*at)),
        TxnStatus::RolledBack => "rolled back".into(),
    };
    format!("{status}; action {:?}", reply.action)
}

pub fn found(found: Option<&Found>) -> String {
    match found {
        Some(found) => format!("{} (committed at {})", value(&found.value), ts(found.commit_ts)),
        None => "not found".into(),
    }
}

pub fn pair(pair: &Pair) -> String {
    format!("{} → {}", text(&pair.key), reply(&pair.result, |value| found(Some(value))))
}

pub fn resume(key: Option<&Key>) -> String {
    key.map(|key| format!("; more at {}", self::key(key.as_encoded()))).unwrap_or_default()
}

pub fn mvcc(info: &MvccInfo) -> String {
    let mut out = String::new();
    if let Some(lock) = &info.lock {
        writeln!(out, "lock: {}", self::lock(lock)).unwrap();
    }
    for write in &info.writes {
        let record = WriteRecord {
            kind: write.kind,
            start_ts: write.start_ts,
            short_value: write.short_value.as_deref(),
            has_overlapped_rollback: write.has_overlapped_rollback,
        };
        writeln!(out, "write at {}: {}", ts(write.commit_ts), write_record(&record)).unwrap();
    }
    for (start_ts, value) in &info.values {
        writeln!(out, "value of {}: {}", ts(*start_ts), self::value(value)).unwrap();
    }
    if out.is_empty() { "nothing\n".into() } else { out }
}

pub fn op(op: WriteOp<'_>) -> String {
    match op {
        WriteOp::Put { cf, key, value } => format!("put {}", entry(cf, key, value)),
        WriteOp::Delete { cf, key } => format!("delete {}", place(cf, key)),
        WriteOp::DeleteRange { .. } => panic!("no command deletes a range"),
    }
}

pub fn entry(cf: Cf, key: &[u8], value: &[u8]) -> String {
    let record = match cf {
        Cf::Lock => lock(&Lock::decode(&Bytes::copy_from_slice(value)).unwrap()),
        Cf::Write => write_record(&WriteRecord::decode(value).unwrap()),
        _ => self::value(value),
    };
    format!("{} = {record}", place(cf, key))
}

fn place(cf: Cf, key: &[u8]) -> String {
    if cf == Cf::Lock {
        return format!("lock {}", self::key(key));
    }
    let (key, at) = Key::split_ts(key).unwrap();
    format!("{} {} @ {}", cf.name(), self::key(key), ts(at))
}

fn lock(lock: &Lock) -> String {
    let mut out =
        format!("{:?} primary={} start={} ttl={}", lock.kind, text(&lock.primary), ts(lock.start_ts), lock.ttl_ms);
    optional(&mut out, lock.txn_size, lock.min_commit_ts);
    if let Some(secondaries) = &lock.async_commit {
        asynchronous(&mut out, secondaries);
    }
    if let Some(short) = &lock.short_value {
        write!(out, " value={}", value(short)).unwrap();
    }
    out
}

fn write_record(record: &WriteRecord<'_>) -> String {
    let mut out = format!("{:?} start={}", record.kind, ts(record.start_ts));
    if let Some(short) = record.short_value {
        write!(out, " value={}", value(short)).unwrap();
    }
    if record.has_overlapped_rollback {
        out.push_str(" +overlapped rollback");
    }
    out
}

fn optional(out: &mut String, txn_size: u64, min_commit_ts: Timestamp) {
    if txn_size != 0 {
        write!(out, " size={txn_size}").unwrap();
    }
    if !min_commit_ts.is_zero() {
        write!(out, " min_commit={}", ts(min_commit_ts)).unwrap();
    }
}

fn asynchronous(out: &mut String, secondaries: &[Bytes]) {
    let keys: Vec<String> = secondaries.iter().map(|key| text(key)).collect();
    write!(out, " async[{}]", keys.join(" ")).unwrap();
}

pub fn key(encoded: &[u8]) -> String {
    text(&Key::decode_encoded(encoded).unwrap())
}

fn value(value: &[u8]) -> String {
    match value.first() {
        Some(letter) if value.len() > SHORT_VALUE_BYTES_MAX => format!("{}×{}", char::from(*letter), value.len()),
        _ => format!("\"{}\"", value.escape_ascii()),
    }
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

pub fn ts(at: Timestamp) -> String {
    match (at.physical_ms(), at.logical()) {
        _ if at == Timestamp::MAX => "max".into(),
        (0, logical) => logical.to_string(),
        (physical_ms, logical) => format!("{physical_ms}.{logical}"),
    }
}
