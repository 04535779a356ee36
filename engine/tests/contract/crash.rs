//! Crashes of the in-memory engine: what survives is what was synced and a prefix of what was not, log and data in
//! one order; nothing that was kept once is lost by a later crash.

use bytes::Bytes;
use nokv_engine::{Cf, Engine, Error, FaultPlan, KeyRange, LogBatch, LogEntry, LogOp, MemoryEngine, RaftLog, ReadView};
use nokv_engine::{SharedRaftLog, WriteBatch};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::fixture::pairs;
use crate::model::{Model, apply, assert_holds};
use crate::random::{Op, any_op, batch_of, for_each};

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Op>, bool),
    Barrier,
    Crash(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (vec(any_op(), 1..6), prop::bool::weighted(0.25)).prop_map(|(ops, sync)| Step::Write(ops, sync)),
        1 => Just(Step::Barrier),
        2 => (0usize..8).prop_map(Step::Crash),
    ]
}

#[test]
fn a_crash_keeps_what_was_synced_and_a_prefix_of_the_rest() {
    for_each(512, vec(any_step(), 1..40), |steps| {
        let mut engine = MemoryEngine::new();
        let mut synced = Model::new();
        let mut unsynced: Vec<Vec<Op>> = Vec::new();
        for step in steps {
            match step {
                Step::Write(ops, sync) => {
                    engine.write(&batch_of(&ops), sync).unwrap();
                    unsynced.push(ops);
                    if sync {
                        unsynced.drain(..).for_each(|ops| apply(&mut synced, &ops));
                    }
                }
                Step::Barrier => {
                    engine.write(&WriteBatch::new(), true).unwrap();
                    unsynced.drain(..).for_each(|ops| apply(&mut synced, &ops));
                }
                Step::Crash(keep) => {
                    engine = engine.crash(keep);
                    unsynced.drain(..).take(keep).for_each(|ops| apply(&mut synced, &ops));
                }
            }
            prop_assert_eq!(engine.unsynced_batches(), unsynced.len());
            let mut visible = synced.clone();
            unsynced.iter().for_each(|ops| apply(&mut visible, ops));
            assert_holds(&engine.view(), &visible)?;
            let live_bytes: usize = visible.values().flatten().map(|(key, value)| key.len() + value.len()).sum();
            prop_assert_eq!(engine.live_bytes(), live_bytes as u64);
        }
        Ok(())
    });
}

#[test]
fn log_and_data_are_lost_in_one_order() {
    let append = |index: u64| LogBatch {
        ops: vec![LogOp::Append {
            group: 1,
            entries: vec![LogEntry { index, encoded: Bytes::from_static(b"entry") }],
            stale_last: 0,
        }],
        ..LogBatch::default()
    };
    let mut data = WriteBatch::new();
    data.put(Cf::Raw, b"applied", b"5");
    for keep in 0..=3 {
        let engine = MemoryEngine::new();
        let log = SharedRaftLog::new(engine.clone());
        log.write(&append(5), false).unwrap();
        engine.write(&data, false).unwrap();
        log.write(&append(6), false).unwrap();
        let engine = engine.crash(keep);
        let last = SharedRaftLog::new(engine.clone()).bounds(1).unwrap().map(|(_, last)| last);
        let applied = engine.get(Cf::Raw, b"applied").unwrap().is_some();
        let expected = [(None, false), (Some(5), false), (Some(5), true), (Some(6), true)];
        assert_eq!((last, applied), expected[keep]);
    }
    let engine = MemoryEngine::new();
    engine.write(&data, false).unwrap();
    SharedRaftLog::new(engine.clone()).write(&append(5), true).unwrap();
    assert!(engine.crash(0).get(Cf::Raw, b"applied").unwrap().is_some(), "a sync holds for all that was before it");
}

#[test]
fn handles_of_a_crashed_incarnation_are_dead_and_its_views_readable() {
    let old = MemoryEngine::new();
    let mut batch = WriteBatch::new();
    batch.put(Cf::Raw, b"key", b"value");
    old.write(&batch, false).unwrap();
    let old_view = old.view();
    let new = old.crash(0);
    assert_eq!(old.write(&batch, true).unwrap_err(), Error::Closed);
    assert_eq!(old.get(Cf::Raw, b"key").unwrap_err(), Error::Closed);
    assert_eq!(old.view().get(Cf::Raw, b"key").unwrap_err(), Error::Closed);
    assert_eq!(old.view().cursor(Cf::Raw, KeyRange::ALL).unwrap_err(), Error::Closed);
    assert_eq!(pairs(&old_view, Cf::Raw, KeyRange::ALL).len(), 1);
    assert_eq!(new.get(Cf::Raw, b"key").unwrap(), None);
    new.write(&batch, true).unwrap();
    assert_eq!(new.clone().get(Cf::Raw, b"key").unwrap().unwrap(), b"value".as_slice());
}

#[test]
fn a_finished_import_survives_and_taking_it_in_can_be_repeated_from_any_part() {
    for keep in 0..=8 {
        let engine = MemoryEngine::new();
        let mut old = WriteBatch::new();
        [Cf::Raw, Cf::Lock].into_iter().for_each(|cf| old.put(cf, b"old", b"o"));
        engine.write(&old, true).unwrap();
        let mut importer = engine.importer("one").unwrap();
        [Cf::Lock, Cf::Raw].into_iter().for_each(|cf| importer.add(cf, b"new", b"n").unwrap());
        importer.finish().unwrap();
        let mut unfinished = engine.importer("two").unwrap();
        unfinished.add(Cf::Raw, b"never", b"n").unwrap();
        let engine = engine.crash(0);
        assert_eq!(unfinished.finish().unwrap_err(), Error::Closed);
        assert_eq!(engine.imports().unwrap(), ["one"]);

        engine.set_faults(FaultPlan { fail_sync: Some(1), ..FaultPlan::default() });
        engine.ingest("one", &[KeyRange::ALL]).unwrap_err();
        let engine = engine.crash(keep);
        engine.ingest("one", &[KeyRange::ALL]).unwrap();
        let engine = engine.crash(0);
        for cf in [Cf::Raw, Cf::Lock] {
            assert_eq!(pairs(&engine.view(), cf, KeyRange::ALL), [(b"new".to_vec(), b"n".to_vec())], "keep {keep}");
        }
    }
}
