//! The figures for status pages: they follow what is written, flushed, viewed and deleted.
//! Values do not compress, so that bytes written are about the bytes on disk.

use nokv_engine::{Cf, Engine, KeyRange, RocksEngine, RocksOptions, WriteBatch};

const VALUE_BYTES: usize = 500;

fn filled(directory: &std::path::Path) -> RocksEngine {
    let options = RocksOptions { blob_value_bytes_min: 4096, ..RocksOptions::default() };
    let engine = RocksEngine::open(directory, &options).unwrap();
    let mut state = 1u64;
    for key in 0..1000u32 {
        // Bytes that do not compress, from a xorshift.
        let mut value = Vec::with_capacity(VALUE_BYTES + 8);
        while value.len() < VALUE_BYTES {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            value.extend_from_slice(&state.to_le_bytes());
        }
        let mut batch = WriteBatch::new();
        batch.put(Cf::Write, &key.to_be_bytes(), &value);
        engine.write(&batch, false).unwrap();
    }
    engine
}

#[test]
fn sizes_follow_the_data() {
    let directory = tempfile::tempdir().unwrap();
    let engine = filled(directory.path());
    let buffered = engine.cf_statistics(Cf::Write).unwrap();
    assert_eq!((buffered.table_bytes, buffered.level0_files), (0, 0));
    assert!(buffered.write_buffer_bytes > 1000 * VALUE_BYTES as u64);
    assert_eq!(buffered.keys_estimate, 1000);

    engine.flush().unwrap();
    let flushed = engine.cf_statistics(Cf::Write).unwrap();
    assert!(flushed.table_bytes > 1000 * VALUE_BYTES as u64);
    assert!(flushed.write_buffer_bytes < buffered.write_buffer_bytes);
    assert_eq!((flushed.level0_files, flushed.blob_bytes, flushed.keys_estimate), (1, 0, 1000));
    assert_eq!(engine.cf_statistics(Cf::Raw).unwrap().table_bytes, 0);

    let all = engine.approximate_range_bytes(Cf::Write, KeyRange::ALL);
    let half = engine.approximate_range_bytes(Cf::Write, KeyRange::new(&500u32.to_be_bytes(), b""));
    assert!(all > 1000 * VALUE_BYTES as u64 && half > all / 3 && half < all * 2 / 3, "{half} of {all}");
    assert_eq!(engine.approximate_range_bytes(Cf::Write, KeyRange::new(b"b", b"a")), 0);

    let mut batch = WriteBatch::new();
    batch.delete_range(Cf::Write, b"", &[0xff; 8]);
    batch.put(Cf::Raw, b"large", &[7; 8192]);
    batch.put(Cf::Write, b"large", &[7; 8192]);
    engine.write(&batch, false).unwrap();
    engine.flush().unwrap();
    engine.compact(Cf::Write, KeyRange::ALL);
    assert!(engine.cf_statistics(Cf::Write).unwrap().table_bytes < flushed.table_bytes / 10);
    assert!(engine.cf_statistics(Cf::Raw).unwrap().blob_bytes > 0);
    assert_eq!(engine.cf_statistics(Cf::Write).unwrap().blob_bytes, 0, "commit records stay in tables");
}

#[test]
fn views_and_cache_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let engine = filled(directory.path());
    engine.flush().unwrap();
    let before = engine.statistics().unwrap();
    assert_eq!((before.views, before.oldest_view_unix_s, before.background_errors), (0, 0, 0));
    assert!(!before.is_write_stopped);
    let view = engine.view();
    assert!(engine.get(Cf::Write, &7u32.to_be_bytes()).unwrap().is_some());
    let during = engine.statistics().unwrap();
    assert_eq!(during.views, 1);
    assert!(during.oldest_view_unix_s > 0);
    assert!(during.block_cache_bytes > before.block_cache_bytes);
    drop(view);
    assert_eq!(engine.statistics().unwrap().views, 0);
    assert!(engine.text_property(Cf::Write, "rocksdb.stats").unwrap().is_some());
    assert_eq!(engine.text_property(Cf::Write, "rocksdb.no-such").unwrap(), None);
}
