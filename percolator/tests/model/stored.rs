//! All that lies in the engine, and all that the model says should lie there:
//! nothing less, and no leftovers.

use std::collections::BTreeMap;

use bytes::Bytes;
use nokv_engine::{Cf, Cursor, Engine, KeyRange, ReadView};
use nokv_percolator::*;

use crate::naive::{Change, Model};

/// Column family and engine key to bytes.
pub type Stored = BTreeMap<(Cf, Vec<u8>), Vec<u8>>;

/// Reads the engine whole.
pub fn read(engine: &impl Engine) -> Stored {
    let view = engine.view();
    let mut stored = Stored::new();
    for cf in Cf::ALL {
        let mut cursor = view.cursor(cf, KeyRange::ALL).unwrap();
        cursor.seek_to_first().unwrap();
        while let (Some(key), Some(value)) = (cursor.key(), cursor.value()) {
            stored.insert((cf, key.to_vec()), value.to_vec());
            cursor.next().unwrap();
        }
    }
    stored
}

/// Splits a change into what its record holds and what lies apart.
fn split(change: &Change) -> (Option<&Bytes>, Option<&Bytes>) {
    match change {
        Change::Put(value) if value.len() <= SHORT_VALUE_BYTES_MAX => (Some(value), None),
        Change::Put(value) => (None, Some(value)),
        _ => (None, None),
    }
}

/// What should be stored.
pub fn expected(model: &Model) -> Stored {
    let mut stored = Stored::new();
    let put_large = |stored: &mut Stored, key: &Key, start_ts, large: Option<&Bytes>| {
        if let Some(value) = large {
            stored.insert((Cf::Default, key.append_ts(start_ts)), value.to_vec());
        }
    };
    for (user, held) in &model.locks {
        let key = Key::encode(user.as_bytes());
        let (short, large) = split(&held.change);
        let lock = Lock {
            kind: held.kind(),
            primary: held.primary.into(),
            start_ts: held.start_ts,
            ttl_ms: held.ttl_ms,
            for_update_ts: Timestamp::ZERO,
            txn_size: 0,
            min_commit_ts: held.min_commit_ts,
            short_value: short.cloned(),
            async_commit: held.async_commit.clone(),
        };
        stored.insert((Cf::Lock, key.as_encoded().to_vec()), lock.encode());
        put_large(&mut stored, &key, held.start_ts, large);
    }
    for (user, start_ts) in &model.rolled_back {
        let key = Key::encode(user.as_bytes());
        stored.insert((Cf::Write, key.append_ts(*start_ts)), WriteRecord::rollback_mark(*start_ts).encode());
    }
    for (user, versions) in &model.versions {
        let key = Key::encode(user.as_bytes());
        for (commit_ts, version) in versions {
            let kind = match version.change {
                Change::Put(_) => WriteKind::Put,
                Change::Delete => WriteKind::Delete,
                Change::Lock => WriteKind::Lock,
            };
            let (short, large) = split(&version.change);
            let mut record = WriteRecord::commit(kind, version.start_ts, short.map(|value| &value[..]));
            record.has_overlapped_rollback = model.rolled_back.contains(&(user, *commit_ts));
            stored.insert((Cf::Write, key.append_ts(*commit_ts)), record.encode());
            put_large(&mut stored, &key, version.start_ts, large);
        }
    }
    stored
}
