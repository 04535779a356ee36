//! Cursors: every movement within every kind of bound, written out for a few keys.
//! `model.rs` tries the combinations.

use nokv_engine::{Cf, Cursor, Engine, KeyRange, ReadView, WriteBatch};

use crate::fixture::{Fixture, pairs};

contract! {
    a_new_cursor_is_unpositioned,
    movements_without_bounds,
    movements_within_bounds,
    an_empty_range_has_no_keys,
    turning_round_in_the_middle,
    past_an_end_there_is_nothing,
    versions_of_one_key_by_its_prefix,
}

fn with_keys<F: Fixture>(fixture: &F, cf: Cf, keys: &[&[u8]]) -> <F::Engine as Engine>::View {
    for (index, key) in keys.iter().enumerate() {
        let mut batch = WriteBatch::new();
        batch.put(cf, key, &[index as u8]);
        fixture.engine().write(&batch, false).unwrap();
        if index % 2 == 0 {
            fixture.settle();
        }
    }
    fixture.engine().view()
}

fn a_new_cursor_is_unpositioned<F: Fixture>(fixture: F) {
    let view = with_keys(&fixture, Cf::Raw, &[b"a"]);
    let mut cursor = view.cursor(Cf::Raw, KeyRange::ALL).unwrap();
    assert_eq!((cursor.key(), cursor.value()), (None, None));
    cursor.next().unwrap();
    assert_eq!(cursor.key(), None);
    cursor.seek_to_first().unwrap();
    assert_eq!((cursor.key(), cursor.value()), (Some(b"a".as_slice()), Some([0].as_slice())));
}

fn movements_without_bounds<F: Fixture>(fixture: F) {
    let view = with_keys(&fixture, Cf::Raw, &[b"b", b"d", b"f"]);
    let mut cursor = view.cursor(Cf::Raw, KeyRange::ALL).unwrap();
    let at = |key: &'static [u8]| Some(key);
    for (target, next, prev) in [
        (b"a", at(b"b"), None),
        (b"b", at(b"b"), at(b"b")),
        (b"c", at(b"d"), at(b"b")),
        (b"f", at(b"f"), at(b"f")),
        (b"g", None, at(b"f")),
    ] {
        cursor.seek(target).unwrap();
        assert_eq!(cursor.key(), next, "seek {target:?}");
        cursor.seek_for_prev(target).unwrap();
        assert_eq!(cursor.key(), prev, "seek_for_prev {target:?}");
    }
    cursor.seek_to_first().unwrap();
    assert_eq!(cursor.key(), at(b"b"));
    cursor.seek_to_last().unwrap();
    assert_eq!(cursor.key(), at(b"f"));
}

fn movements_within_bounds<F: Fixture>(fixture: F) {
    let view = with_keys(&fixture, Cf::Raw, &[b"a", b"b", b"c", b"d", b"e"]);
    let mut cursor = view.cursor(Cf::Raw, KeyRange::new(b"b", b"d")).unwrap();
    let at = |key: &'static [u8]| Some(key);
    for (target, next, prev) in [
        (b"".as_slice(), at(b"b"), None),
        (b"a", at(b"b"), None),
        (b"b", at(b"b"), at(b"b")),
        (b"bb", at(b"c"), at(b"b")),
        (b"c", at(b"c"), at(b"c")),
        (b"cc", None, at(b"c")),
        (b"d", None, at(b"c")),
        (b"z", None, at(b"c")),
    ] {
        cursor.seek(target).unwrap();
        assert_eq!(cursor.key(), next, "seek {target:?}");
        cursor.seek_for_prev(target).unwrap();
        assert_eq!(cursor.key(), prev, "seek_for_prev {target:?}");
    }
    cursor.seek_to_first().unwrap();
    assert_eq!(cursor.key(), at(b"b"));
    cursor.prev().unwrap();
    assert_eq!(cursor.key(), None);
    cursor.seek_to_last().unwrap();
    assert_eq!(cursor.key(), at(b"c"));
    cursor.next().unwrap();
    assert_eq!(cursor.key(), None);

    let mut open = view.cursor(Cf::Raw, KeyRange::new(b"d", b"")).unwrap();
    open.seek_to_last().unwrap();
    assert_eq!(open.key(), at(b"e"));
    open.seek_for_prev(b"zzz").unwrap();
    assert_eq!(open.key(), at(b"e"));
    open.seek_to_first().unwrap();
    assert_eq!(open.key(), at(b"d"));
}

fn an_empty_range_has_no_keys<F: Fixture>(fixture: F) {
    let view = with_keys(&fixture, Cf::Raw, &[b"a", b"b", b"c"]);
    for (start, end) in [(b"b".as_slice(), b"b".as_slice()), (b"c", b"a"), (b"x", b"z"), (b"bb", b"c")] {
        let mut cursor = view.cursor(Cf::Raw, KeyRange::new(start, end)).unwrap();
        for target in [b"".as_slice(), b"a", b"b", b"bb", b"c", b"z"] {
            cursor.seek(target).unwrap();
            assert_eq!(cursor.key(), None);
            cursor.seek_for_prev(target).unwrap();
            assert_eq!(cursor.key(), None);
        }
        cursor.seek_to_first().unwrap();
        assert_eq!(cursor.key(), None);
        cursor.seek_to_last().unwrap();
        assert_eq!(cursor.key(), None);
    }
}

fn turning_round_in_the_middle<F: Fixture>(fixture: F) {
    let view = with_keys(&fixture, Cf::Raw, &[b"a", b"b", b"c"]);
    let mut cursor = view.cursor(Cf::Raw, KeyRange::ALL).unwrap();
    cursor.seek(b"b").unwrap();
    cursor.prev().unwrap();
    assert_eq!(cursor.key(), Some(b"a".as_slice()));
    cursor.next().unwrap();
    cursor.next().unwrap();
    assert_eq!(cursor.key(), Some(b"c".as_slice()));
    cursor.prev().unwrap();
    assert_eq!((cursor.key(), cursor.value()), (Some(b"b".as_slice()), Some([1].as_slice())));
}

fn past_an_end_there_is_nothing<F: Fixture>(fixture: F) {
    let view = with_keys(&fixture, Cf::Raw, &[b"a"]);
    let mut cursor = view.cursor(Cf::Raw, KeyRange::ALL).unwrap();
    cursor.seek(b"a").unwrap();
    cursor.next().unwrap();
    assert_eq!((cursor.key(), cursor.value()), (None, None));
    cursor.next().unwrap();
    cursor.prev().unwrap();
    assert_eq!(cursor.key(), None, "a cursor past an end is unpositioned until it seeks");
    cursor.seek_to_last().unwrap();
    assert_eq!(cursor.key(), Some(b"a".as_slice()));
}

fn versions_of_one_key_by_its_prefix<F: Fixture>(fixture: F) {
    const KEYS: u64 = 40;
    let record = |key: u64, version: u64| {
        // Eight bytes and the marker of a full group, an empty last group, the version.
        [&key.to_be_bytes()[..], b"\xff\0\0\0\0\0\0\0\0\xf7", &version.to_be_bytes()].concat()
    };
    for version in 1..4 {
        let mut batch = WriteBatch::new();
        for key in (0..KEYS).filter(|key| key % 2 == 0) {
            batch.put(Cf::Write, &record(key, version), b"record");
        }
        fixture.engine().write(&batch, false).unwrap();
        fixture.settle();
    }
    let view = fixture.engine().view();
    for key in 0..KEYS {
        let (start, end) = (record(key, 2), [&record(key, u64::MAX)[..], b"\xff"].concat());
        let found = pairs(&view, Cf::Write, KeyRange::new(&start, &end));
        let expected = if key % 2 == 0 { vec![record(key, 2), record(key, 3)] } else { vec![] };
        assert_eq!(found.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), expected);
        let mut cursor = view.cursor(Cf::Write, KeyRange::new(&record(key, 0), &end)).unwrap();
        cursor.seek_for_prev(&record(key, 9)).unwrap();
        assert_eq!(cursor.key().map(<[u8]>::to_vec), expected.last().cloned());
        cursor.seek_to_last().unwrap();
        assert_eq!(cursor.key().map(<[u8]>::to_vec), expected.last().cloned());
    }
    let across = pairs(&view, Cf::Write, KeyRange::new(&record(10, 3), &record(16, 2)));
    assert_eq!(across.len(), 1 + 3 + 3 + 1);
}
