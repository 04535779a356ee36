//! The log in files: it answers as the shared log does through thousands of random steps, restarts and files used
//! again, and says so when something is missing.

use bytes::Bytes;
use nokv_engine::{
    Cf, Engine as _, Error, FileLogOptions, FileRaftLog, LogBatch, LogEntry, LogOp, MemoryEngine, RaftLog,
    SharedRaftLog, WriteBatch,
};

const OPTIONS: FileLogOptions = FileLogOptions { file_bytes: 64 << 10 };
const GROUPS: u64 = 6;

fn open(directory: &tempfile::TempDir) -> FileRaftLog<MemoryEngine> {
    FileRaftLog::open(directory.path().join("log"), &OPTIONS, MemoryEngine::new()).unwrap()
}

fn ops(ops: Vec<LogOp>) -> LogBatch {
    LogBatch { ops, data: WriteBatch::new() }
}

fn append(group: u64, indexes: std::ops::Range<u64>, bytes: usize) -> LogOp {
    let entry = |index| LogEntry { index, encoded: Bytes::from(vec![index as u8; bytes]) };
    LogOp::Append { group, entries: indexes.map(entry).collect(), stale_last: 0 }
}

/// The files of a log, the newest last.
fn files(directory: &tempfile::TempDir) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory.path().join("log")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|it| it == "raft")).collect();
    let number = |path: &std::path::PathBuf| {
        // One that is just being made, or has just gone, is none yet or no more.
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.get(8..12).map_or(0, |number| u32::from_le_bytes(number.try_into().unwrap()))
    };
    files.retain(|path| number(path) != 0);
    files.sort_by_key(number);
    files
}

/// A step that raft may take, by the bounds that the group has.
fn random_op(random: &mut fastrand::Rng, log: &impl RaftLog) -> LogOp {
    let group = random.u64(1..=GROUPS);
    let bounds = log.bounds(group).unwrap();
    let (first, last) = bounds.unwrap_or((random.u64(1..1_000), 0));
    match random.u8(..20) {
        0 => LogOp::Remove { group, first, last },
        1..4 => LogOp::State { group, state: random.u64(..).to_be_bytes().to_vec().into() },
        4..7 if last > 0 => LogOp::Cut { group, from: first, to: random.u64(first..=last + 1) },
        what => {
            let overrules = what < 9 && last > 0;
            let from = if overrules { random.u64(first..=last) } else { first.max(last + 1) };
            let count = random.u64(1..20);
            let bytes = if random.u8(..50) == 0 { random.usize(..90_000) } else { random.usize(..600) };
            let seed = random.u8(..);
            let entry = |index: u64| LogEntry { index, encoded: vec![seed ^ index as u8; bytes].into() };
            LogOp::Append { group, entries: (from..from + count).map(entry).collect(), stale_last: last }
        }
    }
}

fn assert_alike(log: &impl RaftLog, model: &impl RaftLog, context: &str) {
    for group in 0..=GROUPS {
        assert_eq!(log.state(group).unwrap(), model.state(group).unwrap(), "{context}, group {group}");
        let bounds = log.bounds(group).unwrap();
        assert_eq!(bounds, model.bounds(group).unwrap(), "{context}, group {group}");
        let Some((first, last)) = bounds else { continue };
        for bytes_max in [0, 3_000, u64::MAX] {
            let (ours, theirs) =
                (log.entries(group, first, last + 1, bytes_max), model.entries(group, first, last + 1, bytes_max));
            let told = ours.as_ref().map(Vec::len);
            assert!(ours == theirs, "{context}, group {group}: {first}..={last}: {told:?}");
        }
    }
}

#[test]
fn it_answers_as_the_shared_log_does() {
    for seed in 0..2 {
        let mut random = fastrand::Rng::with_seed(seed);
        let directory = tempfile::tempdir().unwrap();
        let model = SharedRaftLog::new(MemoryEngine::new());
        let mut log = open(&directory);
        for step in 0..1_500 {
            let mut batch = LogBatch::default();
            for _ in 0..random.usize(1..4) {
                let op = random_op(&mut random, &model);
                let model_batch = ops(vec![op.clone()]);
                model.write(&model_batch, false).unwrap();
                batch.ops.push(op);
            }
            log.write(&batch, random.bool()).unwrap();
            if random.u8(..100) == 0 {
                drop(log);
                log = open(&directory);
            }
            if step % 50 == 0 {
                assert_alike(&log, &model, &format!("seed {seed}, step {step}"));
            }
        }
        drop(log);
        assert_alike(&open(&directory), &model, &format!("seed {seed}, at the end"));
        let last = files(&directory).pop().unwrap();
        let newest = u32::from_le_bytes(std::fs::read(last).unwrap()[8..12].try_into().unwrap());
        assert!(newest > 60, "only {newest} files were begun: none was used again");
    }
}

#[test]
fn what_counts_is_moved_and_files_are_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory);
    // Group 1 stays; group 2 is cut as it grows.
    log.write(&ops(vec![append(1, 1..40, 300), LogOp::State { group: 1, state: Bytes::from_static(b"state") }]), true)
        .unwrap();
    for round in 0..400 {
        let next = 1 + round * 10;
        let cut = LogOp::Cut { group: 2, from: 1, to: next };
        log.write(&ops(vec![append(2, next..next + 10, 500), cut]), true).unwrap();
    }
    assert!(files(&directory).len() <= 12, "{} files", files(&directory).len());
    drop(log);
    let log = open(&directory);
    assert_eq!(log.bounds(1).unwrap(), Some((1, 39)));
    assert_eq!(log.state(1).unwrap(), Some(Bytes::from_static(b"state")));
    let LogOp::Append { entries, .. } = append(1, 1..40, 300) else { unreachable!() };
    assert_eq!(log.entries(1, 1, 40, u64::MAX).unwrap(), entries);
    assert_eq!(log.bounds(2).unwrap(), Some((3_991, 4_000)));
}

#[test]
fn what_would_have_a_gap_behind_it_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory);
    log.write(&ops(vec![append(1, 1..5, 10)]), true).unwrap();
    log.write(&ops(vec![append(1, 9..12, 10)]), true).unwrap();
    assert_eq!(log.bounds(1).unwrap(), Some((9, 11)));
    drop(log);
    assert_eq!(open(&directory).bounds(1).unwrap(), Some((9, 11)));
}

#[test]
fn an_entry_that_is_not_there_is_corrupt() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory);
    log.write(&ops(vec![append(1, 5..10, 10)]), true).unwrap();
    for (low, high) in [(4, 6), (9, 11), (10, 11)] {
        let result = log.entries(1, low, high, u64::MAX);
        assert!(matches!(result, Err(Error::Corrupt { .. })), "{low}..{high}: {result:?}");
    }
    assert_eq!(log.entries(2, 5, 5, u64::MAX).unwrap(), []);
    assert_eq!((log.bounds(2).unwrap(), log.state(2).unwrap()), (None, None));
}

#[test]
fn a_file_that_is_missing_or_damaged_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory);
    for index in 1..400 {
        log.write(&ops(vec![append(1, index..index + 1, 1_000)]), true).unwrap();
    }
    drop(log);
    let (log_path, kept) = (directory.path().join("log"), tempfile::tempdir().unwrap());
    let middle = files(&directory).swap_remove(2);
    let opened = || FileRaftLog::open(&log_path, &OPTIONS, MemoryEngine::new()).map(drop);
    let whole = std::fs::read(&middle).unwrap();
    std::fs::rename(&middle, kept.path().join("file")).unwrap();
    assert!(matches!(opened(), Err(Error::CorruptFile(_))), "{:?}", opened());
    let mut damaged = whole.clone();
    damaged[20_000] ^= 1;
    std::fs::write(&middle, damaged).unwrap();
    assert!(matches!(opened(), Err(Error::CorruptFile(_))), "{:?}", opened());
    std::fs::write(&middle, whole).unwrap();
    opened().unwrap();
}

#[test]
fn a_byte_that_changes_while_it_runs_is_told() {
    use std::os::unix::fs::FileExt as _;
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory);
    log.write(&ops(vec![append(1, 1..3, 5_000)]), true).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(files(&directory).pop().unwrap()).unwrap();
    file.write_all_at(&[77], 4_096 + 2_000).unwrap();
    assert!(matches!(log.entries(1, 1, 2, u64::MAX), Err(Error::CorruptFile(_))));
    assert_eq!(log.entries(1, 2, 3, u64::MAX).unwrap().len(), 1);
}

#[test]
fn what_a_crash_tears_off_is_not_there_and_what_comes_after_is() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory);
    for index in 1..20 {
        log.write(&ops(vec![append(1, index..index + 1, 300)]), true).unwrap();
    }
    drop(log);
    // As if the last record's end had not come to disk.
    let newest = files(&directory).pop().unwrap();
    let mut bytes = std::fs::read(&newest).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[end - 100..].fill(0);
    std::fs::write(&newest, bytes).unwrap();
    let log = open(&directory);
    assert_eq!(log.bounds(1).unwrap(), Some((1, 18)));
    log.write(&ops(vec![append(1, 19..21, 200)]), true).unwrap();
    drop(log);
    let log = open(&directory);
    assert_eq!(log.bounds(1).unwrap(), Some((1, 20)));
    assert_eq!(log.entries(1, 19, 21, u64::MAX).unwrap().iter().map(|it| it.encoded.len()).sum::<usize>(), 400);
}

#[test]
fn another_programs_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("log")).unwrap();
    std::fs::write(directory.path().join("log/000004.log"), b"somebody else's").unwrap();
    let opened = FileRaftLog::open(directory.path().join("log"), &OPTIONS, MemoryEngine::new());
    assert!(matches!(opened, Err(Error::Open { .. })), "{:?}", opened.map(drop));
}

#[test]
fn data_of_a_step_is_on_disk_before_the_log_says_so() {
    let (directory, data) = (tempfile::tempdir().unwrap(), MemoryEngine::new());
    let log = FileRaftLog::open(directory.path().join("log"), &OPTIONS, data.clone()).unwrap();
    let mut record = WriteBatch::new();
    record.put(Cf::Raw, b"region", b"record");
    log.write(&LogBatch { ops: vec![append(1, 1..9, 10)], data: record.clone() }, false).unwrap();
    assert_eq!(data.unsynced_batches(), 0);
    data.write(&record, false).unwrap();
    log.write(&ops(vec![LogOp::Cut { group: 1, from: 1, to: 3 }]), false).unwrap();
    assert_eq!(data.unsynced_batches(), 0);
}

#[test]
fn many_write_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory);
    std::thread::scope(|scope| {
        for group in 1..=GROUPS {
            let log = &log;
            scope.spawn(move || {
                for index in 1..200 {
                    log.write(&ops(vec![append(group, index..index + 1, 700)]), true).unwrap();
                    let first = index.saturating_sub(20).max(1);
                    assert_eq!(log.entries(group, first, index + 1, u64::MAX).unwrap().len() as u64, index + 1 - first);
                }
            });
        }
    });
    drop(log);
    let log = open(&directory);
    assert!((1..=GROUPS).all(|group| log.bounds(group).unwrap() == Some((1, 199))));
}
