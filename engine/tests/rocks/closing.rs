//! Closing: writing ends on every clone, what was written is there.
//! Reads go on until the handles are gone.

use nokv_engine::{Cf, Engine, Error, RocksEngine, RocksOptions, WriteBatch};

#[test]
fn closing_ends_writing_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let engine = RocksEngine::open(directory.path(), &RocksOptions::default()).unwrap();
    let clone = engine.clone();
    let mut batch = WriteBatch::new();
    batch.put(Cf::Raw, b"key", b"value");
    engine.write(&batch, false).unwrap();
    engine.close().unwrap();
    engine.close().unwrap();
    for sync in [false, true] {
        assert_eq!(clone.write(&batch, sync).unwrap_err(), Error::Closed);
        assert_eq!(clone.write(&WriteBatch::new(), sync).unwrap_err(), Error::Closed);
    }
    assert_eq!(clone.flush().unwrap_err(), Error::Closed);
    assert_eq!(clone.get(Cf::Raw, b"key").unwrap().unwrap(), b"value".as_slice());
    drop((engine, clone));
    let engine = RocksEngine::open(directory.path(), &RocksOptions::default()).unwrap();
    assert_eq!(engine.get(Cf::Raw, b"key").unwrap().unwrap(), b"value".as_slice());
}
