//! What a process leaves behind that was killed in the middle of writing, or whose disk took no more: everything
//! acknowledged, and the writes in their order without a gap.

use nokv_engine::{Cf, Engine, KeyRange, ReadView, RocksEngine, RocksOptions};

use crate::child::{Running, Task, VALUE_BYTES, key};

/// Opens the directory and returns how many numbers from 0 on are there; asserts that they are whole and without gap.
fn written(directory: &std::path::Path) -> u64 {
    use nokv_engine::Cursor;
    let engine = RocksEngine::open(directory, &RocksOptions::default()).unwrap();
    let view = engine.view();
    let mut count = 0;
    let mut cursor = view.cursor(Cf::Raw, KeyRange::ALL).unwrap();
    cursor.seek_to_first().unwrap();
    while let Some(found) = cursor.key() {
        assert_eq!(found, key(count), "a gap");
        assert_eq!(cursor.value().unwrap(), [count as u8; VALUE_BYTES]);
        assert!(view.get(Cf::Raft, found).unwrap().is_some(), "half a batch");
        count += 1;
        cursor.next().unwrap();
    }
    assert_eq!(view.get(Cf::Raft, &key(count)).unwrap(), None, "half a batch");
    count
}

#[test]
fn a_killed_process_loses_nothing_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = Running::start(Task::Write, directory.path(), None);
    let mut acknowledged = 0;
    while acknowledged < 500 {
        acknowledged = child.line("ok ").expect("the child writes on").parse::<u64>().unwrap() + 1;
    }
    if let Some(last) = child.kill("ok ").last() {
        acknowledged = last.parse::<u64>().map_or(acknowledged, |number| number + 1);
    }
    assert!(written(directory.path()) >= acknowledged);
}

#[test]
fn a_disk_that_takes_no_more_ends_writing_and_keeps_what_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = Running::start(Task::Write, directory.path(), Some(1 << 20));
    let mut acknowledged = 0;
    let failure = loop {
        let line = child.line("").expect("the child reports its failure");
        if let Some(number) = line.strip_prefix("ok ") {
            acknowledged = number.parse::<u64>().unwrap() + 1;
        } else if let Some(failure) = line.strip_prefix("failed ") {
            break failure.to_owned();
        }
    };
    assert!(failure.starts_with("engine: disk failed: IO error"), "{failure}");
    assert_eq!(child.line("again ").unwrap(), failure, "later writes get the first failure");
    assert!(acknowledged > 100, "the limit came too early to show anything");
    drop(child);
    assert!(written(directory.path()) >= acknowledged);
    let engine = RocksEngine::open(directory.path(), &RocksOptions::default()).unwrap();
    assert_eq!(engine.get(Cf::Raw, &key(u64::MAX)).unwrap(), None, "refused after the failure");
}
