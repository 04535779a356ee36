//! Read views: what was there when the view was taken, whatever is written, flushed or dropped afterwards,
//! and wherever the view goes.

use nokv_engine::{Cf, Cursor, Engine, KeyRange, ReadView, WriteBatch};

use crate::fixture::{Fixture, pairs};

contract! {
    a_view_does_not_see_later_writes,
    a_cursor_under_way_does_not_see_later_writes,
    a_view_outlives_the_handles,
    a_view_may_move_to_another_thread,
    an_estimate_tells_much_from_little_and_nothing,
}

fn write<E: Engine>(engine: &E, fill: impl Fn(&mut WriteBatch)) {
    let mut batch = WriteBatch::new();
    fill(&mut batch);
    engine.write(&batch, false).unwrap();
}

fn fill<E: Engine>(engine: &E) {
    write(engine, |batch| {
        for key in 0..100u8 {
            batch.put(Cf::Default, &[key], b"a value of the first round");
        }
    });
}

fn overwrite<E: Engine>(engine: &E) {
    write(engine, |batch| batch.delete_range(Cf::Default, &[10], &[60]));
    write(engine, |batch| {
        for key in 50..150u8 {
            batch.put(Cf::Default, &[key], b"a value of the second round");
        }
        batch.delete(Cf::Default, &[0]);
    });
}

fn a_view_does_not_see_later_writes<F: Fixture>(fixture: F) {
    fill(fixture.engine());
    let view = fixture.engine().view();
    let before = pairs(&view, Cf::Default, KeyRange::ALL);
    assert_eq!(before.len(), 100);
    overwrite(fixture.engine());
    fixture.settle();
    assert!(pairs(&view, Cf::Default, KeyRange::ALL) == before);
    assert_eq!(view.get(Cf::Default, &[20]).unwrap().unwrap(), b"a value of the first round".as_slice());
    assert_eq!(view.get(Cf::Default, &[120]).unwrap(), None);
    assert_eq!(fixture.engine().view().get(Cf::Default, &[20]).unwrap(), None);
    assert_eq!(fixture.engine().get(Cf::Default, &[120]).unwrap().unwrap(), b"a value of the second round".as_slice());
}

fn a_cursor_under_way_does_not_see_later_writes<F: Fixture>(fixture: F) {
    fill(fixture.engine());
    let view = fixture.engine().view();
    let mut cursor = view.cursor(Cf::Default, KeyRange::ALL).unwrap();
    cursor.seek(&[15]).unwrap();
    overwrite(fixture.engine());
    fixture.settle();
    for key in 15..100u8 {
        assert_eq!(cursor.key().unwrap(), [key]);
        assert_eq!(cursor.value().unwrap(), b"a value of the first round");
        cursor.next().unwrap();
    }
    assert_eq!(cursor.key(), None);
}

fn a_view_outlives_the_handles<F: Fixture>(fixture: F) {
    fill(fixture.engine());
    let view = fixture.engine().view();
    drop(fixture);
    assert_eq!(pairs(&view, Cf::Default, KeyRange::ALL).len(), 100);
}

fn an_estimate_tells_much_from_little_and_nothing<F: Fixture>(fixture: F) {
    let value = |number: u32| -> Vec<u8> {
        (0..100u32).map(|at| (number.wrapping_mul(2_654_435_761) >> (at % 24)) as u8).collect()
    };
    write(fixture.engine(), |batch| {
        (0..2_000u32).for_each(|number| batch.put(Cf::Write, &number.to_be_bytes(), &value(number)));
    });
    fixture.settle();
    let estimate = |start: u32, end: u32| {
        fixture.engine().estimate(KeyRange::new(&start.to_be_bytes(), &end.to_be_bytes())).unwrap()
    };
    let (all, most, few) =
        (fixture.engine().estimate(KeyRange::ALL).unwrap(), estimate(0, 1_500), estimate(1_900, 1_950));
    assert!(all.bytes > 0 && all.records >= 1_000, "{all:?}");
    assert!(
        most.bytes <= all.bytes && few.bytes < most.bytes && few.records < most.records,
        "{all:?} {most:?} {few:?}"
    );
    assert_eq!(estimate(7_000, 8_000).records, 0);
}

fn a_view_may_move_to_another_thread<F: Fixture>(fixture: F) {
    fill(fixture.engine());
    let view = fixture.engine().view();
    let reader = std::thread::spawn(move || pairs(&view, Cf::Default, KeyRange::new(&[1], &[3])));
    overwrite(fixture.engine());
    let value = b"a value of the first round".to_vec();
    assert_eq!(reader.join().unwrap(), [(vec![1], value.clone()), (vec![2], value)]);
}
