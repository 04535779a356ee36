//! What the suite needs of an implementation besides its traits: a fresh engine, a restart, and a way to bring data
//! to where reads take another path.

use nokv_engine::{Cf, Cursor, Engine, KeyRange, MemoryEngine, ReadView};

/// One implementation under test.
pub trait Fixture {
    /// The engine.
    type Engine: Engine;

    /// A fresh, empty engine.
    fn new() -> Self;
    /// The engine.
    fn engine(&self) -> &Self::Engine;
    /// Moves what was written out of the write buffers, where there are such.
    fn settle(&self);
    /// Ends every handle and opens the engine again on what it wrote.
    fn restart(self) -> Self;
}

/// The in-memory engine.
pub struct MemoryFixture(MemoryEngine);

impl Fixture for MemoryFixture {
    type Engine = MemoryEngine;

    fn new() -> Self {
        Self(MemoryEngine::new())
    }

    fn engine(&self) -> &MemoryEngine {
        &self.0
    }

    fn settle(&self) {}

    fn restart(self) -> Self {
        Self(self.0.crash(usize::MAX))
    }
}

#[cfg(feature = "rocksdb")]
pub use rocks::RocksFixture;

#[cfg(feature = "rocksdb")]
mod rocks {
    use nokv_engine::{RocksEngine, RocksOptions};

    /// RocksDB in a directory of its own.
    pub struct RocksFixture {
        // Dropped before the directory.
        engine: RocksEngine,
        directory: tempfile::TempDir,
    }

    fn options() -> RocksOptions {
        // Blobs from a few bytes on, so that small tests meet them.
        RocksOptions { block_cache_bytes: 1 << 20, blob_value_bytes_min: 8, ..RocksOptions::default() }
    }

    impl super::Fixture for RocksFixture {
        type Engine = RocksEngine;

        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let engine = RocksEngine::open(directory.path(), &options()).unwrap();
            Self { engine, directory }
        }

        fn engine(&self) -> &RocksEngine {
            &self.engine
        }

        fn settle(&self) {
            self.engine.flush().unwrap();
        }

        fn restart(self) -> Self {
            let Self { engine, directory } = self;
            drop(engine);
            let engine = RocksEngine::open(directory.path(), &options()).unwrap();
            Self { engine, directory }
        }
    }
}

/// Owned keys and values, in order.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Every key and value of `cf` in `range`, in order, by a forward walk.
pub fn pairs(view: &impl ReadView, cf: Cf, range: KeyRange<'_>) -> Pairs {
    let mut cursor = view.cursor(cf, range).unwrap();
    let mut pairs = Pairs::new();
    cursor.seek_to_first().unwrap();
    while let (Some(key), Some(value)) = (cursor.key(), cursor.value()) {
        pairs.push((key.to_vec(), value.to_vec()));
        cursor.next().unwrap();
    }
    pairs
}
