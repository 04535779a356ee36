//! What a store does with entries: keeps them in the raft log, and applies them once they are committed.
//! Nothing is synced here: what a sync costs is the disk's business (`nokv bench limits`).

use std::sync::Arc;

use bytes::Bytes;
use criterion::Criterion;
use nokv_engine::{
    Cf, Engine as _, LogBatch, LogEntry, LogOp, RaftLog as _, RocksEngine, RocksOptions, SharedRaftLog, WriteBatch,
};
use nokv_proto::metapb::{Peer, Region, RegionEpoch};
use nokv_raftstore::apply::{Applier, ApplyRound, ApplyTask, CommittedEntries};
use nokv_raftstore::entry::begin_write;
use nokv_raftstore::records::ApplyRecord;
use nokv_raftstore::{RegionExt as _, SafePoint, StoreId};
use raft::eraftpb::Entry;

use crate::measure;

/// Entries that come together.
const TOGETHER: [u64; 2] = [1, 32];

pub fn run(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let engine = RocksEngine::open(folder.path(), &RocksOptions::default()).unwrap();
    append(criterion, &engine);
    apply(criterion, &engine);
}

fn append(criterion: &mut Criterion, engine: &RocksEngine) {
    let log = SharedRaftLog::new(engine.clone());
    for (group, count) in (1..).zip(TOGETHER) {
        let (mut next, encoded) = (1, Bytes::from(vec![0x5a; 300]));
        measure(criterion, &format!("raft log on rocksdb: append {count} entries, not synced"), || {
            let entries = (next..next + count).map(|index| LogEntry { index, encoded: encoded.clone() }).collect();
            let state = LogOp::State { group, state: Bytes::from_static(&[1; 24]) };
            let ops = vec![LogOp::Append { group, entries, stale_last: 0 }, state];
            next += count;
            log.write(&LogBatch { ops, data: WriteBatch::new() }, false).unwrap();
        });
    }
}

fn apply(criterion: &mut Criterion, engine: &RocksEngine) {
    let region = Arc::new(Region {
        id: 1,
        region_epoch: Some(RegionEpoch { conf_ver: 1, version: 1 }),
        peers: vec![Peer { id: 1, store_id: 1, ..Peer::default() }],
        ..Region::default()
    });
    for count in TOGETHER {
        for write in [false, true] {
            let mut applier = Applier::new(StoreId(1), SafePoint::default());
            let record = ApplyRecord { applied_index: 5, applied_term: 5, truncated_index: 5, truncated_term: 5 };
            applier.insert(region.clone(), record);
            let (mut next, data) = (6, entry_data());
            let name = format!("apply {count} entries of one put{}", if write { " and write to rocksdb" } else { "" });
            measure(criterion, &name, || {
                let entry = |index| Entry { index, term: 5, data: data.clone(), ..Entry::default() };
                let entries = (next..next + count).map(entry).collect();
                next += count;
                let region_id = region.region_id();
                let task = CommittedEntries { region_id, entries, in_flight: Vec::new(), bytes: 0, is_next: true };
                let mut round = ApplyRound::default();
                applier.apply(ApplyTask::Entries(task), &mut round).unwrap();
                if write {
                    engine.write(&round.batch, false).unwrap();
                }
                round
            });
        }
    }
}

fn entry_data() -> Bytes {
    let mut batch = WriteBatch::new();
    batch.put(Cf::Raw, b"a000000000012345", &[0x5a; 256]);
    let mut data = Vec::new();
    begin_write(&mut data, RegionEpoch { conf_ver: 1, version: 1 });
    data.extend_from_slice(batch.as_slice());
    Bytes::from(data)
}
