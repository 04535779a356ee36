//! What is prepared aside is not seen until it is taken in, replaces exactly the cleared ranges, can be taken in again,
//! and survives a restart once it is finished. What is cleared is gone from new views and stays in old ones.

use nokv_engine::{Cf, Engine, Error, KeyRange, WriteBatch};

use crate::fixture::{Fixture, pairs};

contract! {
    an_import_replaces_what_was_in_the_cleared_ranges,
    taking_in_again_changes_nothing_and_outlives_restarts,
    what_is_unfinished_or_discarded_is_gone,
    keys_out_of_order_are_refused,
    an_import_without_keys_clears,
    clearing_spares_the_neighbours_and_the_old_views,
    clearing_without_an_end_goes_to_the_last_key,
}

/// Writes `keys` to every data column family, the first key's bytes being the value.
fn fill(engine: &impl Engine, keys: &[&[u8]], value: &[u8]) {
    let mut batch = WriteBatch::new();
    for cf in Cf::DATA {
        keys.iter().for_each(|key| batch.put(cf, key, value));
    }
    engine.write(&batch, false).unwrap();
}

fn import(engine: &impl Engine, name: &str, keys: &[&[u8]], value: &[u8]) {
    let mut importer = engine.importer(name).unwrap();
    for cf in Cf::DATA {
        keys.iter().for_each(|key| importer.add(cf, key, value).unwrap());
    }
    importer.finish().unwrap();
}

/// The keys with their values' first byte, the same in every data column family.
fn seen(view: &impl nokv_engine::ReadView) -> String {
    let of = |cf| {
        let shown = pairs(view, cf, KeyRange::ALL).into_iter().map(|(key, value)| {
            format!("{}{}", String::from_utf8_lossy(&key), value.first().map_or('-', |first| *first as char))
        });
        shown.collect::<Vec<_>>().join(" ")
    };
    let first = of(Cf::Raw);
    assert!(Cf::DATA.iter().all(|cf| of(*cf) == first), "the column families differ");
    first
}

const B_TO_D: KeyRange<'static> = KeyRange::new(b"b", b"d");

fn an_import_replaces_what_was_in_the_cleared_ranges<F: Fixture>(fixture: F) {
    let engine = fixture.engine();
    fill(engine, &[b"a", b"b", b"c", b"cc", b"d", b"e"], b"o");
    fixture.settle();
    fill(engine, &[b"bb"], b"o");
    import(engine, "one", &[b"b", b"c", b"czz"], b"n");
    assert_eq!(seen(&engine.view()), "ao bo bbo co cco do eo", "nothing is seen before it is taken in");
    let before = engine.view();
    engine.ingest("one", &[B_TO_D, KeyRange::new(b"e", b"")]).unwrap();
    assert_eq!(seen(&engine.view()), "ao bn cn czzn do");
    assert_eq!(seen(&before), "ao bo bbo co cco do eo", "a view never changes");
    fill(engine, &[b"c"], b"x");
    assert_eq!(seen(&engine.view()), "ao bn cx czzn do", "later writes win");
}

fn taking_in_again_changes_nothing_and_outlives_restarts<F: Fixture>(fixture: F) {
    fill(fixture.engine(), &[b"a", b"b", b"cc"], b"o");
    import(fixture.engine(), "image-7", &[b"b", b"c"], b"n");
    let fixture = fixture.restart();
    assert_eq!(fixture.engine().imports().unwrap(), ["image-7"]);
    assert_eq!(seen(&fixture.engine().view()), "ao bo cco");
    for _ in 0..2 {
        fixture.engine().ingest("image-7", &[B_TO_D]).unwrap();
        assert_eq!(seen(&fixture.engine().view()), "ao bn cn");
    }
    let fixture = fixture.restart();
    assert_eq!(seen(&fixture.engine().view()), "ao bn cn");
    fill(fixture.engine(), &[b"bb"], b"x");
    fixture.engine().ingest("image-7", &[B_TO_D]).unwrap();
    assert_eq!(seen(&fixture.engine().view()), "ao bn cn", "again, after more was written");
    fixture.engine().discard_import("image-7").unwrap();
    assert_eq!(seen(&fixture.restart().engine().view()), "ao bn cn");
}

fn what_is_unfinished_or_discarded_is_gone<F: Fixture>(fixture: F) {
    let engine = fixture.engine();
    let mut dropped = engine.importer("dropped").unwrap();
    dropped.add(Cf::Raw, b"b", b"n").unwrap();
    drop(dropped);
    import(engine, "discarded", &[b"b"], b"n");
    import(engine, "kept", &[b"b"], b"n");
    import(engine, "kept", &[b"c"], b"m");
    engine.discard_import("discarded").unwrap();
    engine.discard_import("never there").unwrap();
    assert_eq!(engine.imports().unwrap(), ["kept"]);
    for name in ["dropped", "discarded"] {
        assert!(matches!(engine.ingest(name, &[B_TO_D]), Err(Error::Corrupt { .. })));
    }
    engine.ingest("kept", &[B_TO_D]).unwrap();
    assert_eq!(seen(&engine.view()), "cm", "the later import of a name counts");
}

fn keys_out_of_order_are_refused<F: Fixture>(fixture: F) {
    let mut importer = fixture.engine().importer("one").unwrap();
    importer.add(Cf::Raw, b"b", b"n").unwrap();
    importer.add(Cf::Lock, b"a", b"n").unwrap();
    for (cf, key) in [(Cf::Raw, b"b"), (Cf::Raw, b"a"), (Cf::Raft, b"z")] {
        assert!(matches!(importer.add(cf, key, b"n"), Err(Error::Corrupt { .. })), "{cf:?}");
    }
    importer.finish().unwrap();
    fixture.engine().ingest("one", &[KeyRange::ALL]).unwrap();
    assert_eq!(pairs(&fixture.engine().view(), Cf::Raw, KeyRange::ALL), [(b"b".to_vec(), b"n".to_vec())]);
}

fn an_import_without_keys_clears<F: Fixture>(fixture: F) {
    fill(fixture.engine(), &[b"a", b"c", b"e"], b"o");
    import(fixture.engine(), "empty", &[], b"");
    fixture.engine().ingest("empty", &[B_TO_D]).unwrap();
    assert_eq!(seen(&fixture.engine().view()), "ao eo");
}

fn clearing_spares_the_neighbours_and_the_old_views<F: Fixture>(fixture: F) {
    let engine = fixture.engine();
    let mut own = WriteBatch::new();
    own.put(Cf::Raft, b"c", b"record");
    engine.write(&own, false).unwrap();
    fill(engine, &[b"a", b"b", b"c", b"d"], b"o");
    fixture.settle();
    let before = engine.view();
    engine.clear_range(B_TO_D).unwrap();
    assert_eq!(seen(&before), "ao bo co do");
    drop(before);
    engine.clear_range(B_TO_D).unwrap();
    engine.clear_range(KeyRange::new(b"z", b"a")).unwrap();
    fixture.settle();
    assert_eq!(seen(&engine.view()), "ao do");
    assert!(engine.get(Cf::Raft, b"c").unwrap().is_some(), "replication's own records are no data");
    fill(engine, &[b"c"], b"x");
    assert_eq!(seen(&engine.view()), "ao cx do");
}

fn clearing_without_an_end_goes_to_the_last_key<F: Fixture>(fixture: F) {
    let engine = fixture.engine();
    let beyond = [0xff; 300];
    fill(engine, &[b"a", b"m", &beyond], b"o");
    fixture.settle();
    engine.clear_range(KeyRange::new(b"b", b"")).unwrap();
    assert_eq!(seen(&engine.view()), "ao");
    engine.clear_range(KeyRange::ALL).unwrap();
    assert_eq!(seen(&engine.view()), "");
    engine.clear_range(KeyRange::ALL).unwrap();
}
