//! The raft log on a shared engine: appending, overruling, cutting, removing, reading with a bound, and that its
//! groups and the data beside it never disturb one another.

use bytes::Bytes;
use nokv_engine::{Cf, Engine, Error, KeyRange, LogBatch, LogEntry, LogOp, RaftLog, SharedRaftLog, raft_keys};

use crate::fixture::{Fixture, pairs};

contract! {
    a_new_group_has_nothing,
    entries_come_back_in_order_and_bounded,
    overruled_entries_are_replaced_and_the_rest_removed,
    cutting_removes_the_head,
    removing_leaves_nothing_of_the_group,
    a_missing_entry_is_corrupt,
    state_and_data_share_the_batch,
    region_states_are_found_among_the_logs,
    everything_is_there_after_a_restart,
    a_group_may_come_back_within_the_batch_that_removes_it,
}

/// Runs of entries below and above the length from which they are removed as a range.
const SHORT: u64 = 5;
const LONG: u64 = 500;

fn entry(index: u64, term: u8) -> LogEntry {
    LogEntry { index, encoded: Bytes::from(vec![term; 10]) }
}

fn entries(indexes: std::ops::Range<u64>, term: u8) -> Vec<LogEntry> {
    indexes.map(|index| entry(index, term)).collect()
}

fn append(group: u64, indexes: std::ops::Range<u64>, term: u8, stale_last: u64) -> LogOp {
    LogOp::Append { group, entries: entries(indexes, term), stale_last }
}

fn log<F: Fixture>(fixture: &F) -> SharedRaftLog<F::Engine> {
    SharedRaftLog::new(fixture.engine().clone())
}

fn write(log: &impl RaftLog, ops: Vec<LogOp>) {
    log.write(&LogBatch { ops, ..LogBatch::default() }, true).unwrap();
}

fn a_new_group_has_nothing<F: Fixture>(fixture: F) {
    let log = log(&fixture);
    assert_eq!(log.bounds(1).unwrap(), None);
    assert_eq!(log.state(1).unwrap(), None);
    assert_eq!(log.entries(1, 5, 5, u64::MAX).unwrap(), []);
    assert_eq!(log.entries(1, 6, 5, u64::MAX).unwrap(), []);
    log.write(&LogBatch::default(), true).unwrap();
}

fn entries_come_back_in_order_and_bounded<F: Fixture>(fixture: F) {
    let log = log(&fixture);
    // 255 and 256 sort by value, not by their last byte.
    write(&log, vec![append(1, 250..261, 3, 0), append(2, 7..9, 4, 0)]);
    fixture.settle();
    write(&log, vec![append(1, 261..264, 3, 260)]);
    assert_eq!(log.bounds(1).unwrap(), Some((250, 263)));
    assert_eq!(log.bounds(2).unwrap(), Some((7, 8)));
    assert_eq!(log.entries(1, 250, 264, u64::MAX).unwrap(), entries(250..264, 3));
    assert_eq!(log.entries(1, 254, 258, u64::MAX).unwrap(), entries(254..258, 3));
    assert_eq!(log.entries(2, 7, 9, u64::MAX).unwrap(), entries(7..9, 4));
    for (bytes_max, count) in [(0, 1), (9, 1), (10, 1), (19, 1), (20, 2), (29, 2), (30, 3), (140, 14), (1000, 14)] {
        assert_eq!(log.entries(1, 250, 264, bytes_max).unwrap().len(), count, "bytes_max {bytes_max}");
    }
}

fn overruled_entries_are_replaced_and_the_rest_removed<F: Fixture>(fixture: F) {
    let log = log(&fixture);
    for stale in [SHORT, LONG] {
        let stale_last = 10 + stale;
        write(&log, vec![append(1, 1..stale_last + 1, 1, 0), append(2, 1..stale_last + 1, 1, 0)]);
        fixture.settle();
        write(&log, vec![append(1, 8..11, 2, stale_last)]);
        assert_eq!(log.bounds(1).unwrap(), Some((1, 10)));
        assert_eq!(log.entries(1, 1, 11, u64::MAX).unwrap(), [entries(1..8, 1), entries(8..11, 2)].concat());
        assert_eq!(log.bounds(2).unwrap(), Some((1, stale_last)));
        write(&log, vec![append(1, 11..14, 3, 10)]);
        assert_eq!(log.entries(1, 10, 14, u64::MAX).unwrap(), [entries(10..11, 2), entries(11..14, 3)].concat());
    }
}

fn cutting_removes_the_head<F: Fixture>(fixture: F) {
    let log = log(&fixture);
    write(&log, vec![append(1, 1..2 * LONG, 1, 0), append(2, 1..2 * LONG, 1, 0)]);
    fixture.settle();
    let mut first = 1;
    for length in [0, SHORT, LONG, 1] {
        write(&log, vec![LogOp::Cut { group: 1, from: first, to: first + length }]);
        first += length;
        assert_eq!(log.bounds(1).unwrap(), Some((first, 2 * LONG - 1)));
        assert_eq!(log.entries(1, first, 2 * LONG, u64::MAX).unwrap(), entries(first..2 * LONG, 1));
    }
    assert_eq!(log.bounds(2).unwrap(), Some((1, 2 * LONG - 1)));
    write(&log, vec![LogOp::Cut { group: 1, from: first, to: 2 * LONG }]);
    assert_eq!(log.bounds(1).unwrap(), None);
    write(&log, vec![append(1, 2 * LONG..2 * LONG + 2, 2, 0)]);
    assert_eq!(log.bounds(1).unwrap(), Some((2 * LONG, 2 * LONG + 1)));
}

fn removing_leaves_nothing_of_the_group<F: Fixture>(fixture: F) {
    let log = log(&fixture);
    let state = Bytes::from_static(b"hard state");
    for last in [SHORT, LONG] {
        for group in 1..4 {
            write(&log, vec![append(group, 1..last + 1, 1, 0), LogOp::State { group, state: state.clone() }]);
        }
        fixture.settle();
        // The first index that the caller knows may be beyond the true one.
        write(&log, vec![LogOp::Remove { group: 2, first: 3, last }]);
        assert_eq!((log.bounds(2).unwrap(), log.state(2).unwrap()), (None, None));
        for group in [1, 3] {
            assert_eq!(log.bounds(group).unwrap(), Some((1, last)));
            assert_eq!(log.state(group).unwrap(), Some(state.clone()));
        }
    }
}

fn a_missing_entry_is_corrupt<F: Fixture>(fixture: F) {
    let log = log(&fixture);
    write(&log, vec![append(1, 5..10, 1, 0), append(2, 1..20, 1, 0)]);
    write(&log, vec![LogOp::Cut { group: 1, from: 7, to: 8 }]);
    for (low, high) in [(4, 6), (5, 9), (7, 8), (9, 11), (10, 11)] {
        let result = log.entries(1, low, high, u64::MAX);
        assert!(matches!(result, Err(Error::Corrupt { .. })), "{low}..{high}: {result:?}");
    }
    assert_eq!(log.entries(1, 5, 9, 10).unwrap(), entries(5..6, 1), "the bound on bytes comes first");
}

fn state_and_data_share_the_batch<F: Fixture>(fixture: F) {
    let log = log(&fixture);
    let mut batch = LogBatch { ops: vec![append(7, 1..2, 1, 0)], ..LogBatch::default() };
    batch.ops.push(LogOp::State { group: 7, state: Bytes::from_static(b"first") });
    batch.ops.push(LogOp::State { group: 7, state: Bytes::from_static(b"second") });
    batch.data.put(Cf::Raft, &raft_keys::region_state_key(7), b"region");
    batch.data.put(Cf::Raw, b"key", b"value");
    assert!(!batch.is_empty());
    log.write(&batch, false).unwrap();
    assert_eq!(log.state(7).unwrap().unwrap(), b"second".as_slice());
    let engine = fixture.engine();
    assert_eq!(engine.get(Cf::Raft, &raft_keys::region_state_key(7)).unwrap().unwrap(), b"region".as_slice());
    assert_eq!(engine.get(Cf::Raw, b"key").unwrap().unwrap(), b"value".as_slice());
    batch.clear();
    assert!(batch.is_empty());
}

fn region_states_are_found_among_the_logs<F: Fixture>(fixture: F) {
    let log = log(&fixture);
    let mut batch = LogBatch::default();
    for group in [300, 2, 1] {
        batch.ops.push(append(group, 1..4, 1, 0));
        batch.ops.push(LogOp::State { group, state: Bytes::from_static(b"state") });
        batch.data.put(Cf::Raft, &raft_keys::region_state_key(group), &group.to_be_bytes());
        batch.data.put(Cf::Raft, &raft_keys::apply_state_key(group), b"apply");
    }
    batch.data.put(Cf::Raft, &raft_keys::store_ident_key(), b"store");
    log.write(&batch, true).unwrap();
    let states = pairs(&fixture.engine().view(), Cf::Raft, raft_keys::region_state_range());
    let found: Vec<_> = states.iter().map(|(key, _)| raft_keys::region_of_state_key(key)).collect();
    assert_eq!(found, [Some(1), Some(2), Some(300)]);
    assert_eq!(pairs(&fixture.engine().view(), Cf::Raft, KeyRange::ALL).len(), 3 * 6 + 1);
}

fn everything_is_there_after_a_restart<F: Fixture>(fixture: F) {
    let log_before = log(&fixture);
    let state = Bytes::from_static(b"state");
    write(&log_before, vec![append(1, 1..LONG, 1, 0), LogOp::State { group: 1, state: state.clone() }]);
    write(&log_before, vec![LogOp::Cut { group: 1, from: 1, to: 100 }, append(1, 400..402, 2, LONG - 1)]);
    drop(log_before);
    let fixture = fixture.restart();
    let log = log(&fixture);
    assert_eq!(log.bounds(1).unwrap(), Some((100, 401)));
    assert_eq!(log.entries(1, 100, 402, u64::MAX).unwrap(), [entries(100..400, 1), entries(400..402, 2)].concat());
    assert_eq!(log.state(1).unwrap(), Some(state));
}

fn a_group_may_come_back_within_the_batch_that_removes_it<F: Fixture>(fixture: F) {
    let log = log(&fixture);
    write(&log, vec![append(1, 1..LONG, 1, 0)]);
    write(&log, vec![LogOp::Remove { group: 1, first: 1, last: LONG - 1 }, append(1, 50..52, 2, 0)]);
    assert_eq!(log.bounds(1).unwrap(), Some((50, 51)));
    assert_eq!(log.entries(1, 50, 52, u64::MAX).unwrap(), entries(50..52, 2));
}
