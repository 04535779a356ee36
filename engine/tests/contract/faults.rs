//! Injected faults of the in-memory engine: the failing write is not seen, nothing is written after it, and a
//! restart on the mended disk goes on from what was synced.

use nokv_engine::{Cf, Engine, Error, FaultPlan, MemoryEngine, WriteBatch};

fn write(engine: &MemoryEngine, key: &[u8], sync: bool) -> Result<(), Error> {
    let mut batch = WriteBatch::new();
    batch.put(Cf::Raw, key, b"value");
    engine.write(&batch, sync)
}

fn keys(engine: &MemoryEngine) -> Vec<u8> {
    (b'a'..=b'f').filter(|key| engine.get(Cf::Raw, &[*key]).unwrap().is_some()).collect()
}

fn assert_disk_failed(result: Result<(), Error>) {
    assert!(matches!(result, Err(Error::Disk(_))), "{result:?}");
}

#[test]
fn a_failed_write_is_not_seen_and_ends_writing() {
    let engine = MemoryEngine::new();
    engine.set_faults(FaultPlan { fail_write: Some(3), ..FaultPlan::default() });
    write(&engine, b"a", true).unwrap();
    write(&engine, b"b", false).unwrap();
    assert_disk_failed(write(&engine, b"c", true));
    assert_eq!(keys(&engine), b"ab");
    assert_disk_failed(write(&engine, b"d", false));
    assert_disk_failed(engine.write(&WriteBatch::new(), true));
    assert_eq!(keys(&engine), b"ab");

    let engine = engine.crash(usize::MAX);
    assert_eq!(keys(&engine), b"ab");
    write(&engine, b"d", true).unwrap();
    assert_eq!(keys(&engine), b"abd");
}

#[test]
fn a_failed_sync_is_not_seen_and_may_survive_or_not() {
    for (keep, kept) in [(0, b"a".as_slice()), (1, b"ab"), (2, b"abc"), (9, b"abc")] {
        let engine = MemoryEngine::new();
        engine.set_faults(FaultPlan { fail_sync: Some(2), ..FaultPlan::default() });
        write(&engine, b"a", true).unwrap();
        write(&engine, b"b", false).unwrap();
        assert_disk_failed(write(&engine, b"c", true));
        assert_eq!(keys(&engine), b"ab", "what was not acknowledged is not shown");
        assert_disk_failed(write(&engine, b"d", false));
        assert_eq!(engine.unsynced_batches(), 2);
        assert_eq!(keys(&engine.crash(keep)), kept);
    }
}

#[test]
fn a_failed_barrier_leaves_what_was_before_it_unsynced() {
    let engine = MemoryEngine::new();
    write(&engine, b"a", false).unwrap();
    engine.set_faults(FaultPlan { fail_sync: Some(1), ..FaultPlan::default() });
    assert_disk_failed(engine.write(&WriteBatch::new(), true));
    assert_eq!(keys(&engine.crash(0)), b"");
}

#[test]
fn a_full_disk_fails_the_write_that_does_not_fit() {
    let engine = MemoryEngine::new();
    write(&engine, b"a", true).unwrap();
    write(&engine, b"b", true).unwrap();
    let mut third = WriteBatch::new();
    third.put(Cf::Raw, b"c", b"value");
    let bytes_max = engine.live_bytes() + third.encoded_bytes() as u64;
    engine.set_faults(FaultPlan { bytes_max: Some(bytes_max), ..FaultPlan::default() });
    engine.write(&third, true).unwrap();
    assert_disk_failed(write(&engine, b"d", true));
    assert_eq!(keys(&engine), b"abc");

    let engine = engine.crash(0);
    assert_eq!(keys(&engine), b"abc");
    assert_disk_failed(write(&engine, b"d", true));
    let engine = engine.crash(0);
    engine.set_faults(FaultPlan::default());
    write(&engine, b"d", true).unwrap();
    assert_eq!(keys(&engine), b"abcd");
}
