//! What is read from disks: keys, transactions' records, write batches, replication's records, and the bound of the
//! timestamp server.

use std::path::Path;
use std::sync::OnceLock;

use bytes::Bytes;
use nokv_engine::{Cf, WriteBatch, WriteOps, raft_keys};
use nokv_percolator::{Key, Lock, LockKind, Timestamp, WriteKind, WriteRecord};
use nokv_proto::metapb::{Peer, Region, RegionEpoch};
use nokv_raftstore::RegionId;
use nokv_raftstore::merge::{Prepared, Successor};
use nokv_raftstore::records::{
    ApplyRecord, Arrival, Liveness, RegionRecord, decode_hard_state, encode_hard_state, initial_hard_state,
};
use nokv_server::tso::BoundFile;

/// Keys as bounds and records have them: what decodes is the encoding of what it decodes to.
pub fn keys(input: &[u8]) {
    if let Ok(key) = Key::decode_encoded(input) {
        assert_eq!(Key::encode(&key).as_encoded(), input, "one key has one encoding");
    }
    let _ = raft_keys::region_of_state_key(input);
}

/// Examples of [`keys`].
pub fn key_examples() -> Vec<Vec<u8>> {
    let keys: [&[u8]; 4] = [b"k", b"nokv-rust", b"12345678", &[0xff; 17]];
    let encoded = keys.iter().map(|key| Key::encode(key).as_encoded().to_vec());
    encoded.chain([raft_keys::region_state_key(7).to_vec(), raft_keys::apply_state_key(9).to_vec()]).collect()
}

/// Lock and write records: what decodes encodes to something that decodes to the same.
pub fn records(input: &[u8]) {
    if let Ok(lock) = Lock::decode(&Bytes::copy_from_slice(input)) {
        assert_eq!(Lock::decode(&lock.encode().into()).ok().as_ref(), Some(&lock));
    }
    if let Ok(record) = WriteRecord::decode(input) {
        assert_eq!(WriteRecord::decode(&record.encode()).ok().as_ref(), Some(&record));
    }
}

/// Examples of [`records`].
pub fn record_examples() -> Vec<Vec<u8>> {
    let lock = Lock {
        kind: LockKind::Put,
        primary: Bytes::from_static(b"primary"),
        start_ts: Timestamp(400 << 18),
        ttl_ms: 3_000,
        for_update_ts: Timestamp(0),
        txn_size: 3,
        min_commit_ts: Timestamp(401 << 18),
        short_value: Some(Bytes::from_static(b"value")),
        async_commit: None,
    };
    let plain = Lock { kind: LockKind::Delete, short_value: None, txn_size: 0, ..lock.clone() };
    let record = WriteRecord::commit(WriteKind::Put, Timestamp(400 << 18), Some(b"value"));
    let rollback = WriteRecord::commit(WriteKind::Rollback, Timestamp(7), None);
    let keys = vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")];
    let primary = Lock { async_commit: Some(keys), ..lock.clone() };
    vec![lock.encode(), plain.encode(), primary.encode(), record.encode(), rollback.encode()]
}

/// Write batches, as log entries and images carry them.
pub fn write_batch(input: &[u8]) {
    let whole = WriteOps::new(input).all(|op| op.is_ok());
    match WriteBatch::decode(input) {
        Ok(batch) => assert!(whole && batch.as_slice() == input),
        Err(_) => assert!(!whole),
    }
}

/// Examples of [`write_batch`].
pub fn write_batch_examples() -> Vec<Vec<u8>> {
    let mut batch = WriteBatch::new();
    batch.put(Cf::Write, b"key", b"value");
    batch.delete(Cf::Lock, b"key");
    batch.delete_range(Cf::Raw, b"a", b"m");
    vec![batch.as_slice().to_vec(), Vec::new()]
}

/// The records that replication keeps beside the data.
pub fn store_records(input: &[u8]) {
    if let Some(record) = RegionRecord::decode(Bytes::copy_from_slice(input)) {
        assert_eq!(RegionRecord::decode(record.encode().into()).as_ref(), Some(&record));
    }
    if let Some(record) = ApplyRecord::decode(input) {
        assert_eq!(record.encode(), input);
    }
    if let Some(state) = decode_hard_state(input) {
        assert_eq!(encode_hard_state(&state), input);
    }
}

/// Examples of [`store_records`].
pub fn store_record_examples() -> Vec<Vec<u8>> {
    let apply = ApplyRecord::at(90, 7);
    let clear = vec![(Bytes::from_static(b"a"), Bytes::from_static(b"m")), (Bytes::new(), Bytes::new())];
    let arrival = Arrival { import: "image-7-90-7-0".to_owned(), clear, apply };
    let prepared = Prepared { target: region(), min_index: 80, commit: 88 };
    let merged = Successor { region: RegionId(8), version: 12 };
    let records = [
        Liveness::Normal,
        Liveness::Tombstone,
        Liveness::Applying(arrival),
        Liveness::Leaving,
        Liveness::Merging(prepared),
        Liveness::Merged(merged),
    ];
    let encoded = records.map(|liveness| RegionRecord { liveness, region: region() }.encode());
    let others = [apply.encode().to_vec(), encode_hard_state(&initial_hard_state()).to_vec()];
    encoded.into_iter().chain(others).collect()
}

/// A region with two members.
pub(crate) fn region() -> Region {
    Region {
        id: 7,
        start_key: Bytes::from_static(b"a"),
        end_key: Bytes::from_static(b"m"),
        region_epoch: Some(RegionEpoch { conf_ver: 3, version: 9 }),
        peers: (1..=3).map(|store_id| Peer { id: 70 + store_id, store_id, ..Peer::default() }).collect(),
        ..Region::default()
    }
}

/// The bound of the timestamp server, in its file.
pub fn tso_bound(input: &[u8]) {
    static DIRECTORY: OnceLock<tempfile::TempDir> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| tempfile::tempdir().expect("a directory for temporary files"));
    if std::fs::write(directory.path().join("tso.bound"), input).is_err() {
        return;
    }
    if let Ok(file) = BoundFile::open(directory.path(), None) {
        let bound_ms = file.bound_ms();
        drop(file);
        assert_eq!(BoundFile::open(directory.path(), None).ok().map(|file| file.bound_ms()), Some(bound_ms));
    }
}

/// Examples of [`tso_bound`].
pub fn tso_bound_examples() -> Vec<Vec<u8>> {
    let record = |directory: &Path| {
        BoundFile::open(directory, None).ok()?.save(1_700_000_000_000).ok()?;
        std::fs::read(directory.join("tso.bound")).ok()
    };
    tempfile::tempdir().ok().and_then(|directory| record(directory.path())).into_iter().collect()
}
