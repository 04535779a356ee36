//! Random writes, flushes, views and cursor walks, compared with sorted maps.
//! It finds whatever the named tests forgot.

use std::collections::BTreeMap;

use bytes::Bytes;
use nokv_engine::{Cf, Cursor, Engine, KeyRange, ReadView, WriteBatch};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::fixture::{Fixture, pairs};
use crate::random::{Op, any_cf, any_key, any_op, batch_of, for_each};

contract! { random_histories_agree_with_sorted_maps }

/// What an engine must hold: keys and values by column family.
pub type Model = BTreeMap<Cf, BTreeMap<Vec<u8>, Vec<u8>>>;

/// Does to `model` what writing these operations must do to an engine.
pub fn apply(model: &mut Model, ops: &[Op]) {
    for op in ops {
        match op {
            Op::Put(cf, key, value) => drop(model.entry(*cf).or_default().insert(key.clone(), value.clone())),
            Op::Delete(cf, key) => drop(model.entry(*cf).or_default().remove(key)),
            Op::DeleteRange(cf, start, end) => {
                model.entry(*cf).or_default().retain(|key, _| key < start || key >= end);
            }
        }
    }
}

/// Checks that `view` holds exactly what the model does.
pub fn assert_holds(view: &impl ReadView, model: &Model) -> Result<(), TestCaseError> {
    for cf in Cf::ALL {
        let expected: Vec<_> = model.get(&cf).into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        prop_assert_eq!(pairs(view, cf, KeyRange::ALL), expected, "{:?}", cf);
    }
    Ok(())
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Op>, bool),
    Settle,
    KeepView,
    Get(Cf, Vec<u8>),
    Walk { cf: Cf, start: Vec<u8>, end: Vec<u8>, moves: Vec<Move> },
}

#[derive(Clone, Debug)]
enum Move {
    Seek(Vec<u8>),
    SeekForPrev(Vec<u8>),
    First,
    Last,
    Next,
    Prev,
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        any_key().prop_map(Move::Seek),
        any_key().prop_map(Move::SeekForPrev),
        Just(Move::First),
        Just(Move::Last),
        Just(Move::Next),
        Just(Move::Next),
        Just(Move::Prev),
        Just(Move::Prev),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let walk = (any_cf(), any_key(), any_key(), vec(any_move(), 1..12));
    prop_oneof![
        8 => (vec(any_op(), 1..10), prop::bool::weighted(0.1)).prop_map(|(ops, sync)| Step::Write(ops, sync)),
        1 => Just(Step::Settle),
        1 => Just(Step::KeepView),
        2 => (any_cf(), any_key()).prop_map(|(cf, key)| Step::Get(cf, key)),
        8 => walk.prop_map(|(cf, start, end, moves)| Step::Walk { cf, start, end, moves }),
    ]
}

fn random_histories_agree_with_sorted_maps<F: Fixture>(fixture: F) {
    for_each(96, vec(any_step(), 1..40), |steps| {
        // One engine for all cases, emptied between them: opening a database for each takes too long.
        empty(fixture.engine());
        let mut model = Model::new();
        let mut kept = Vec::new();
        for step in steps {
            match step {
                Step::Write(ops, sync) => {
                    fixture.engine().write(&batch_of(&ops), sync).unwrap();
                    apply(&mut model, &ops);
                }
                Step::Settle => fixture.settle(),
                Step::KeepView => kept.push((fixture.engine().view(), model.clone())),
                Step::Get(cf, key) => {
                    let expected = model.get(&cf).and_then(|table| table.get(&key)).cloned().map(Bytes::from);
                    prop_assert_eq!(fixture.engine().get(cf, &key).unwrap(), expected.clone());
                    prop_assert_eq!(fixture.engine().view().get(cf, &key).unwrap(), expected);
                }
                Step::Walk { cf, start, end, moves } => {
                    let range = KeyRange::new(&start, &end);
                    let table = model.entry(cf).or_default();
                    let inside = table.iter().filter(|(key, _)| range.contains(key));
                    walk(&fixture.engine().view(), cf, range, &moves, &inside.collect::<Vec<_>>())?;
                }
            }
        }
        kept.push((fixture.engine().view(), model));
        kept.iter().try_for_each(|(view, model)| assert_holds(view, model))
    });
}

fn empty<E: Engine>(engine: &E) {
    let mut batch = WriteBatch::new();
    for cf in Cf::ALL {
        batch.delete_range(cf, b"", &[0xff; 32]);
    }
    engine.write(&batch, false).unwrap();
}

/// Makes the moves on a cursor and on the sorted pairs `inside` its range, and compares after each.
fn walk(
    view: &impl ReadView,
    cf: Cf,
    range: KeyRange<'_>,
    moves: &[Move],
    inside: &[(&Vec<u8>, &Vec<u8>)],
) -> Result<(), TestCaseError> {
    let mut cursor = view.cursor(cf, range).unwrap();
    let mut position: Option<usize> = None;
    for step in moves {
        match step {
            Move::Seek(target) => cursor.seek(target),
            Move::SeekForPrev(target) => cursor.seek_for_prev(target),
            Move::First => cursor.seek_to_first(),
            Move::Last => cursor.seek_to_last(),
            Move::Next => cursor.next(),
            Move::Prev => cursor.prev(),
        }
        .unwrap();
        position = match step {
            Move::Seek(target) => inside.iter().position(|(key, _)| *key >= target),
            Move::SeekForPrev(target) => inside.iter().rposition(|(key, _)| *key <= target),
            Move::First => Some(0),
            Move::Last => inside.len().checked_sub(1),
            Move::Next => position.map(|at| at + 1),
            Move::Prev => position.and_then(|at| at.checked_sub(1)),
        }
        .filter(|at| *at < inside.len());
        let expected = position.map(|at| inside[at]);
        prop_assert_eq!(cursor.key(), expected.map(|(key, _)| key.as_slice()), "{:?} in {:?}", step, range);
        prop_assert_eq!(cursor.value(), expected.map(|(_, value)| value.as_slice()));
    }
    Ok(())
}
