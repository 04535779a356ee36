//! The raft log in a database of its own, beside the data: two databases that lose what was not synced each for itself.
//! Whenever the power is cut, the log must reach from what the data has applied up to what was acknowledged.

use bytes::Bytes;
use nokv_engine::{ApartRaftLog, Cf, Engine as _, LogBatch, LogEntry, LogOp, RaftLog as _, RocksEngine, WriteBatch};

use crate::disk::{Cut, Disk};
use crate::record::{Event, Recording};
use crate::steps;

const ENTRIES: u64 = 400;
const MOMENTS: usize = 40;
/// How often the log is cut, up to so many entries before what was applied last.
const ENTRIES_PER_CUT: u64 = 16;
const GROUP: u64 = 7;
const APPLIED: &[u8] = b"applied";

fn entry(index: u64) -> LogEntry {
    LogEntry { index, encoded: Bytes::from(vec![index as u8; 700]) }
}

fn open(directory: &std::path::Path) -> (RocksEngine, ApartRaftLog<RocksEngine>) {
    let data = RocksEngine::open(directory.join("data"), &steps::options()).unwrap();
    let log = RocksEngine::open(directory.join("log"), &steps::options()).unwrap();
    (data.clone(), ApartRaftLog::new(log, data))
}

fn append_apply_and_cut(data: &RocksEngine, log: &ApartRaftLog<RocksEngine>, recording: &Recording) {
    let mut first = 1;
    for index in 1..=ENTRIES {
        let append = LogOp::Append { group: GROUP, entries: vec![entry(index)], stale_last: 0 };
        log.write(&LogBatch { ops: vec![append], data: WriteBatch::new() }, true).unwrap();
        recording.note(Event::Acknowledged(index));
        let mut batch = WriteBatch::new();
        batch.put(Cf::Raw, &index.to_be_bytes(), &[index as u8; 900]);
        batch.put(Cf::Raft, APPLIED, &index.to_be_bytes());
        data.write(&batch, false).unwrap();
        if index.is_multiple_of(ENTRIES_PER_CUT) {
            let cut = LogOp::Cut { group: GROUP, from: first, to: index };
            log.write(&LogBatch { ops: vec![cut], data: WriteBatch::new() }, false).unwrap();
            first = index;
        }
    }
}

#[test]
fn the_log_reaches_from_the_data_to_what_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let recording = Recording::begin(directory.path(), None);
    let (data, log) = open(directory.path());
    append_apply_and_cut(&data, &log, &recording);
    drop((data, log));
    let events = recording.end();

    let mut random = fastrand::Rng::with_seed(8);
    let begun = events.iter().position(|event| *event == Event::Acknowledged(1)).unwrap();
    let mut moments: Vec<usize> = (0..MOMENTS).map(|_| random.usize(begun..=events.len())).collect();
    moments.sort_unstable();
    let (mut disk, mut acknowledged, mut done) = (Disk::default(), 0, 0);
    for at in moments {
        for event in &events[done..at] {
            disk.happen(event);
            if let Event::Acknowledged(index) = event {
                acknowledged = *index;
            }
        }
        done = at;
        for cut in [Cut::Worst, Cut::Any, Cut::Best] {
            let left = tempfile::tempdir().unwrap();
            disk.leave(cut, &mut random, left.path());
            let (data, log) = open(left.path());
            let applied = data.get(Cf::Raft, APPLIED).unwrap();
            let applied = applied.map_or(0, |value| u64::from_be_bytes(value.as_ref().try_into().unwrap()));
            let (first, last) = log.bounds(GROUP).unwrap().unwrap_or((applied + 1, applied));
            assert!(last >= acknowledged, "{cut:?} at {at}: the log ends at {last}, {acknowledged} was acknowledged");
            assert!(first <= applied + 1, "{cut:?} at {at}: the log begins at {first}, the data ends at {applied}");
            let entries = log.entries(GROUP, first, last + 1, u64::MAX).unwrap();
            assert!(entries.iter().all(|found| *found == entry(found.index)));
            for index in 1..=applied {
                let value = data.get(Cf::Raw, &index.to_be_bytes()).unwrap();
                assert!(value.is_some_and(|value| value.as_ref() == [index as u8; 900]), "{index} of {applied}");
            }
        }
    }
}
