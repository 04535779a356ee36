//! Writing: a batch is one step over all column families, its operations take effect in their order, and what was
//! written is there after a restart.

use nokv_engine::{Cf, Engine, KeyRange, ReadView, WriteBatch};

use crate::fixture::{Fixture, pairs};

contract! {
    a_batch_spans_all_column_families,
    column_families_are_apart,
    later_operations_win,
    a_range_deletion_ends_before_its_end,
    an_inverted_or_open_range_deletes_nothing,
    an_empty_value_is_there_and_an_empty_key_is_a_key,
    large_and_small_values_come_back_whole,
    empty_batches_change_nothing,
    everything_written_is_there_after_a_restart,
    concurrent_writers_are_seen_whole,
}

fn put<E: Engine>(engine: &E, cf: Cf, entries: &[(&[u8], &[u8])]) {
    let mut batch = WriteBatch::new();
    for (key, value) in entries {
        batch.put(cf, key, value);
    }
    engine.write(&batch, false).unwrap();
}

fn keys<E: Engine>(engine: &E, cf: Cf) -> Vec<Vec<u8>> {
    pairs(&engine.view(), cf, KeyRange::ALL).into_iter().map(|(key, _)| key).collect()
}

fn a_batch_spans_all_column_families<F: Fixture>(fixture: F) {
    let mut batch = WriteBatch::new();
    for cf in Cf::ALL {
        batch.put(cf, b"key", cf.name().as_bytes());
    }
    let before = fixture.engine().view();
    fixture.engine().write(&batch, true).unwrap();
    let after = fixture.engine().view();
    for cf in Cf::ALL {
        assert_eq!(before.get(cf, b"key").unwrap(), None);
        assert_eq!(after.get(cf, b"key").unwrap().unwrap(), cf.name().as_bytes());
        assert_eq!(fixture.engine().get(cf, b"key").unwrap().unwrap(), cf.name().as_bytes());
    }
}

fn column_families_are_apart<F: Fixture>(fixture: F) {
    put(fixture.engine(), Cf::Raw, &[(b"a", b"1"), (b"b", b"2")]);
    let mut batch = WriteBatch::new();
    batch.delete(Cf::Default, b"a");
    batch.delete_range(Cf::Write, b"", b"z");
    fixture.engine().write(&batch, false).unwrap();
    assert_eq!(keys(fixture.engine(), Cf::Raw), [b"a", b"b"]);
    for cf in [Cf::Default, Cf::Lock, Cf::Write, Cf::Raft] {
        assert!(keys(fixture.engine(), cf).is_empty());
    }
}

fn later_operations_win<F: Fixture>(fixture: F) {
    let mut batch = WriteBatch::new();
    batch.put(Cf::Lock, b"twice", b"first");
    batch.put(Cf::Lock, b"twice", b"second");
    batch.put(Cf::Lock, b"gone", b"x");
    batch.delete(Cf::Lock, b"gone");
    batch.delete(Cf::Lock, b"back");
    batch.put(Cf::Lock, b"back", b"y");
    batch.put(Cf::Lock, b"range-1", b"x");
    batch.delete_range(Cf::Lock, b"range-", b"range-~");
    batch.put(Cf::Lock, b"range-2", b"z");
    fixture.engine().write(&batch, false).unwrap();
    fixture.settle();
    let expected =
        [(b"back".to_vec(), b"y".to_vec()), (b"range-2".into(), b"z".into()), (b"twice".into(), b"second".into())];
    assert_eq!(pairs(&fixture.engine().view(), Cf::Lock, KeyRange::ALL), expected);
    assert_eq!(fixture.engine().get(Cf::Lock, b"gone").unwrap(), None);
    assert_eq!(fixture.engine().get(Cf::Lock, b"range-1").unwrap(), None);
}

fn a_range_deletion_ends_before_its_end<F: Fixture>(fixture: F) {
    put(fixture.engine(), Cf::Default, &[(b"a", b""), (b"b", b""), (b"b\0", b""), (b"c", b""), (b"d", b"")]);
    fixture.settle();
    let mut batch = WriteBatch::new();
    batch.delete_range(Cf::Default, b"b", b"c");
    fixture.engine().write(&batch, false).unwrap();
    assert_eq!(keys(fixture.engine(), Cf::Default), [b"a", b"c", b"d"]);
    assert_eq!(fixture.engine().get(Cf::Default, b"b").unwrap(), None);
    fixture.settle();
    assert_eq!(keys(fixture.engine(), Cf::Default), [b"a", b"c", b"d"]);
}

fn an_inverted_or_open_range_deletes_nothing<F: Fixture>(fixture: F) {
    put(fixture.engine(), Cf::Default, &[(b"a", b""), (b"b", b"")]);
    let mut batch = WriteBatch::new();
    batch.delete_range(Cf::Default, b"b", b"a");
    batch.delete_range(Cf::Default, b"a", b"a");
    batch.delete_range(Cf::Default, b"", b"");
    batch.delete_range(Cf::Default, b"a", b"");
    fixture.engine().write(&batch, true).unwrap();
    assert_eq!(keys(fixture.engine(), Cf::Default), [b"a", b"b"]);
}

fn an_empty_value_is_there_and_an_empty_key_is_a_key<F: Fixture>(fixture: F) {
    put(fixture.engine(), Cf::Raw, &[(b"", b"of the empty key"), (b"empty", b"")]);
    for _ in 0..2 {
        assert_eq!(fixture.engine().get(Cf::Raw, b"empty").unwrap().unwrap(), b"".as_slice());
        assert_eq!(fixture.engine().get(Cf::Raw, b"").unwrap().unwrap(), b"of the empty key".as_slice());
        assert_eq!(keys(fixture.engine(), Cf::Raw), [b"".as_slice(), b"empty"]);
        fixture.settle();
    }
}

fn large_and_small_values_come_back_whole<F: Fixture>(fixture: F) {
    let values: Vec<Vec<u8>> = [0usize, 1, 7, 8, 9, 4_096, 1 << 20].map(|len| vec![len as u8; len]).into();
    for (index, value) in values.iter().enumerate() {
        for cf in Cf::ALL {
            put(fixture.engine(), cf, &[(&[index as u8], value)]);
        }
    }
    fixture.settle();
    let fixture = fixture.restart();
    let view = fixture.engine().view();
    for cf in Cf::ALL {
        let read: Vec<_> = pairs(&view, cf, KeyRange::ALL).into_iter().map(|(_, value)| value).collect();
        assert!(read == values, "walking {cf:?}");
        for (index, value) in values.iter().enumerate() {
            assert!(view.get(cf, &[index as u8]).unwrap().unwrap() == value.as_slice(), "{cf:?} {index}");
        }
    }
}

fn empty_batches_change_nothing<F: Fixture>(fixture: F) {
    put(fixture.engine(), Cf::Raft, &[(b"a", b"1")]);
    fixture.engine().write(&WriteBatch::new(), false).unwrap();
    fixture.engine().write(&WriteBatch::new(), true).unwrap();
    assert_eq!(keys(fixture.engine(), Cf::Raft), [b"a"]);
}

fn everything_written_is_there_after_a_restart<F: Fixture>(fixture: F) {
    put(fixture.engine(), Cf::Write, &[(b"settled", b"1")]);
    fixture.settle();
    let mut batch = WriteBatch::new();
    batch.put(Cf::Write, b"synced", b"2");
    batch.delete(Cf::Raw, b"nothing");
    fixture.engine().write(&batch, true).unwrap();
    put(fixture.engine(), Cf::Raft, &[(b"unsynced", b"3")]);

    let fixture = fixture.restart();
    assert_eq!(keys(fixture.engine(), Cf::Write), [b"settled".as_slice(), b"synced"]);
    assert_eq!(fixture.engine().get(Cf::Raft, b"unsynced").unwrap().unwrap(), b"3".as_slice());

    put(fixture.engine(), Cf::Write, &[(b"settled", b"4")]);
    let fixture = fixture.restart();
    assert_eq!(fixture.engine().get(Cf::Write, b"settled").unwrap().unwrap(), b"4".as_slice());
}

fn concurrent_writers_are_seen_whole<F: Fixture>(fixture: F) {
    const ROUNDS: u32 = 200;
    let write_both = |engine: &F::Engine, writer: u8| {
        for round in 0..ROUNDS {
            let mut batch = WriteBatch::new();
            batch.put(Cf::Lock, &[writer], &round.to_be_bytes());
            batch.put(Cf::Write, &[writer], &round.to_be_bytes());
            engine.write(&batch, round % 64 == 0).unwrap();
        }
    };
    std::thread::scope(|scope| {
        let writers = [0, 1].map(|writer| {
            let engine = fixture.engine().clone();
            scope.spawn(move || write_both(&engine, writer))
        });
        while !writers.iter().all(|writer| writer.is_finished()) {
            let view = fixture.engine().view();
            for writer in [0, 1] {
                let (lock, write) = (view.get(Cf::Lock, &[writer]).unwrap(), view.get(Cf::Write, &[writer]).unwrap());
                assert_eq!(lock, write, "half a batch is visible");
            }
        }
    });
    for writer in [0, 1] {
        assert_eq!(fixture.engine().get(Cf::Lock, &[writer]).unwrap().unwrap(), (ROUNDS - 1).to_be_bytes().as_slice());
    }
}
