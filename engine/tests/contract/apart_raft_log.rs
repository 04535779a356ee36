//! The log in an engine of its own: it answers as the shared one does, and it keeps the order that two engines need,
//! each of which loses for itself what it did not sync.

use bytes::Bytes;
use nokv_engine::{
    ApartRaftLog, Cf, Engine, LogBatch, LogEntry, LogOp, MemoryEngine, RaftLog, SharedRaftLog, WriteBatch,
};

fn append(indexes: std::ops::Range<u64>) -> LogOp {
    let entry = |index| LogEntry { index, encoded: Bytes::from(format!("entry {index}")) };
    LogOp::Append { group: 1, entries: indexes.map(entry).collect(), stale_last: 0 }
}

fn put(key: &[u8]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.put(Cf::Raw, key, b"value");
    batch
}

fn ops(ops: Vec<LogOp>) -> LogBatch {
    LogBatch { ops, ..Default::default() }
}

/// An apart log, its own engine, and the data engine.
fn apart() -> (ApartRaftLog<MemoryEngine>, MemoryEngine, MemoryEngine) {
    let (log, data) = (MemoryEngine::new(), MemoryEngine::new());
    (ApartRaftLog::new(log.clone(), data.clone()), log, data)
}

#[test]
fn it_answers_as_the_shared_log_does() {
    let (apart, _, _) = apart();
    let shared = SharedRaftLog::new(MemoryEngine::new());
    let state = LogOp::State { group: 1, state: Bytes::from_static(b"state") };
    for batch in [ops(vec![append(5..12), state]), ops(vec![LogOp::Cut { group: 1, from: 5, to: 7 }])] {
        apart.write(&batch, true).unwrap();
        shared.write(&batch, true).unwrap();
    }
    assert_eq!(apart.bounds(1).unwrap(), Some((7, 11)));
    assert_eq!(apart.bounds(1).unwrap(), shared.bounds(1).unwrap());
    assert_eq!(apart.state(1).unwrap(), shared.state(1).unwrap());
    assert_eq!(apart.entries(1, 8, 11, u64::MAX).unwrap(), shared.entries(1, 8, 11, u64::MAX).unwrap());
}

#[test]
fn data_of_a_step_is_on_disk_before_the_log_says_so() {
    let (apart, log, data) = apart();
    let batch = LogBatch { ops: vec![append(5..6)], data: put(b"region record") };
    apart.write(&batch, false).unwrap();
    assert_eq!((log.unsynced_batches(), data.unsynced_batches()), (1, 0));
    assert!(data.crash(0).get(Cf::Raw, b"region record").unwrap().is_some());
}

#[test]
fn what_rests_on_entries_is_on_disk_before_they_are_cut() {
    for op in [LogOp::Cut { group: 1, from: 5, to: 7 }, LogOp::Remove { group: 1, first: 5, last: 9 }] {
        let (apart, _, data) = apart();
        apart.write(&ops(vec![append(5..10)]), true).unwrap();
        data.write(&put(b"applied"), false).unwrap();
        apart.write(&ops(vec![op]), false).unwrap();
        assert!(data.crash(0).get(Cf::Raw, b"applied").unwrap().is_some());
    }
}

#[test]
fn an_append_leaves_the_data_alone() {
    let (apart, log, data) = apart();
    data.write(&put(b"applied"), false).unwrap();
    apart.write(&ops(vec![append(5..10)]), true).unwrap();
    assert_eq!((log.unsynced_batches(), data.unsynced_batches()), (0, 1));
}
