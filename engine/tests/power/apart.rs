//! The raft log in files of its own, beside the data: each loses what was not synced for itself.
//! Whenever the power is cut, the log must reach from what the data has applied up to what was acknowledged.

use bytes::Bytes;
use nokv_engine::{
    Cf, Engine as _, Error, FileLogOptions, FileRaftLog, LogBatch, LogEntry, LogOp, MemoryEngine, RaftLog as _,
    RocksEngine, WriteBatch,
};

use crate::disk::{Cut, Disk};
use crate::record::{Event, Recording};
use crate::steps;

const ENTRIES: u64 = 400;
const MOMENTS: usize = 40;
/// How often the log is cut, up to so many entries before what was applied last.
const ENTRIES_PER_CUT: u64 = 16;
const GROUP: u64 = 7;
/// A group that stays as it is, and is moved from file to file.
const RESTING: u64 = 8;
const RESTING_ENTRIES: u64 = 9;
const APPLIED: &[u8] = b"applied";

fn entry(index: u64) -> LogEntry {
    LogEntry { index, encoded: Bytes::from(vec![index as u8; 700]) }
}

fn open(directory: &std::path::Path) -> (RocksEngine, FileRaftLog<RocksEngine>) {
    let data = RocksEngine::open(directory.join("data"), &steps::options()).unwrap();
    // So small that files are begun and used again all the time.
    let options = FileLogOptions { file_bytes: 16 << 10 };
    let log = FileRaftLog::open(directory.join("log"), &options, data.clone()).unwrap();
    (data, log)
}

fn append_apply_and_cut(data: &RocksEngine, log: &FileRaftLog<RocksEngine>, recording: &Recording) {
    let rest = LogOp::Append { group: RESTING, entries: (1..=RESTING_ENTRIES).map(entry).collect(), stale_last: 0 };
    let state = LogOp::State { group: RESTING, state: Bytes::from_static(b"state") };
    log.write(&LogBatch { ops: vec![rest, state], data: WriteBatch::new() }, true).unwrap();
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
    let again = events.iter().filter(|event| matches!(event, Event::Write { path, offset: 0, .. } if is_of_log(path)));
    assert!(again.count() > 40, "files were not used again");

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
            let resting = log.entries(RESTING, 1, RESTING_ENTRIES + 1, u64::MAX).unwrap();
            assert!(resting.iter().all(|found| *found == entry(found.index)));
            assert_eq!(log.bounds(RESTING).unwrap(), Some((1, RESTING_ENTRIES)));
            assert_eq!(log.state(RESTING).unwrap().as_deref(), Some(&b"state"[..]));
            for index in 1..=applied {
                let value = data.get(Cf::Raw, &index.to_be_bytes()).unwrap();
                assert!(value.is_some_and(|value| value.as_ref() == [index as u8; 900]), "{index} of {applied}");
            }
        }
    }
}

fn is_of_log(path: &std::path::Path) -> bool {
    path.extension().is_some_and(|extension| extension == "raft")
}

#[test]
fn a_failed_write_of_the_log_ends_all_writing_and_loses_nothing_acknowledged() {
    for failing in [6, 7, 20, 50, 111, 112, 113, 190] {
        let directory = tempfile::tempdir().unwrap();
        let recording = Recording::begin(directory.path(), Some(failing));
        let options = FileLogOptions { file_bytes: 16 << 10 };
        let open = |path: &std::path::Path| FileRaftLog::open(path.join("log"), &options, MemoryEngine::new());
        let log = open(directory.path()).unwrap();
        let write = |index| {
            let append = LogOp::Append { group: GROUP, entries: vec![entry(index)], stale_last: 0 };
            let cut = LogOp::Cut { group: GROUP, from: 1, to: index.saturating_sub(5) };
            log.write(&LogBatch { ops: vec![append, cut], data: WriteBatch::new() }, true)
        };
        let failed = (1..=ENTRIES).find_map(|index| write(index).err().map(|error| (index, error)));
        let (at, error) = failed.unwrap();
        assert!(matches!(error, Error::Disk(_)), "{error}");
        assert!(write(at).is_err(), "it writes again");
        drop(log);
        let mut disk = Disk::default();
        recording.end().iter().for_each(|event| disk.happen(event));
        for cut in [Cut::Worst, Cut::Any, Cut::Best] {
            let left = tempfile::tempdir().unwrap();
            disk.leave(cut, &mut fastrand::Rng::with_seed(failing), left.path());
            let log = open(left.path()).unwrap();
            let (first, last) = log.bounds(GROUP).unwrap().unwrap_or((0, 0));
            assert!(last + 1 >= at, "{failing}, {cut:?}: the log ends at {last}, {at} failed");
            let entries = log.entries(GROUP, first, last + 1, u64::MAX).unwrap_or_default();
            assert!(entries.iter().all(|found| *found == entry(found.index)));
        }
    }
}
