//! Opening: what is refused, and with which words.
//! What is not ours is left alone.

use std::fs;
use std::path::Path;

use nokv_engine::{Cf, Engine, Error, RocksEngine, RocksOptions, WriteBatch};

use crate::child::{Running, Task};

fn open(directory: &Path) -> Result<RocksEngine, Error> {
    RocksEngine::open(directory, &RocksOptions::default())
}

fn reason(result: Result<RocksEngine, Error>, directory: &Path) -> String {
    match result {
        Err(Error::Open { path, reason }) => {
            assert_eq!(path, directory.display().to_string());
            reason
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_missing_directory_is_made() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a/b");
    drop(open(&directory).unwrap());
    open(&directory).unwrap();
}

#[test]
fn a_directory_in_use_by_another_process_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = Running::start(Task::Hold, directory.path(), None);
    assert!(child.line("open").is_some());
    let reason = reason(open(directory.path()), directory.path());
    assert!(reason.starts_with("in use by another process"), "{reason}");
    child.kill("");
    open(directory.path()).unwrap();
}

#[test]
fn a_directory_in_use_by_this_process_is_refused_until_the_last_view_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path()).unwrap();
    let view = engine.view();
    assert!(reason(open(directory.path()), directory.path()).starts_with("in use"));
    drop(engine);
    assert!(reason(open(directory.path()), directory.path()).starts_with("in use"));
    drop(view);
    open(directory.path()).unwrap();
}

#[test]
fn a_directory_with_other_files_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("letter.txt"), "dear").unwrap();
    let reason = reason(open(directory.path()), directory.path());
    assert_eq!(reason, "not a NoKV database, and not empty; choose an empty directory");
    let names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["letter.txt"]);
}

#[test]
fn a_directory_of_another_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("NOKV"), "nokv engine, format 2\n").unwrap();
    let reason = reason(open(directory.path()), directory.path());
    assert!(reason.contains("another version of NoKV") && reason.contains("format 2"), "{reason}");
}

#[test]
fn a_first_opening_that_was_cut_short_is_made_good() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("NOKV.tmp"), "nokv en").unwrap();
    open(directory.path()).unwrap();
}

#[test]
fn a_file_where_the_directory_should_be_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("file");
    fs::write(&path, "").unwrap();
    assert!(!reason(open(&path), &path).is_empty());
}

#[test]
fn a_missing_file_is_corruption() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path()).unwrap();
    let mut batch = WriteBatch::new();
    batch.put(Cf::Write, b"key", b"value");
    engine.write(&batch, true).unwrap();
    engine.flush().unwrap();
    drop(engine);
    let tables = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
    let table = tables.filter(|path| path.extension().is_some_and(|extension| extension == "sst")).last().unwrap();
    fs::remove_file(table).unwrap();
    let result = open(directory.path());
    assert!(matches!(result, Err(Error::CorruptFile(_))), "{result:?}");
}

#[test]
fn a_damaged_table_is_corruption_where_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path()).unwrap();
    for key in 0..100u8 {
        let mut batch = WriteBatch::new();
        batch.put(Cf::Write, &[key], &[key; 100]);
        engine.write(&batch, false).unwrap();
    }
    engine.flush().unwrap();
    drop(engine);
    let tables = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
    for table in tables.filter(|path| path.extension().is_some_and(|extension| extension == "sst")) {
        let mut bytes = fs::read(&table).unwrap();
        bytes[20] ^= 0xff;
        fs::write(&table, bytes).unwrap();
    }
    let engine = open(directory.path()).unwrap();
    let result = engine.get(Cf::Write, &[1]);
    assert!(matches!(result, Err(Error::CorruptFile(_))), "{result:?}");
}
