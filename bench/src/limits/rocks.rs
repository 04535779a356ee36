//! RocksDB alone, as the engine opens it: one thread, batches of several sizes, synced and not; reads of what is there.
//! What a node does above it can only be slower.

use bytes::Bytes;
use nokv_engine::{Cf, Cursor as _, Engine as _, KeyRange, ReadView as _, RocksEngine, RocksOptions, WriteBatch};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use super::Clock;
use crate::args::LimitsArgs;
use crate::error::{BenchError, Result};
use crate::keys::{self, Distribution, Keys};
use crate::workload::value;

/// Puts in one batch.
const BATCHES: [u64; 3] = [1, 32, 256];
/// Rows that a scan goes over.
const SCANNED_ROWS: usize = 100;
const KEY_BYTES: usize = 16;

/// Measures puts and gets.
pub fn run(args: &LimitsArgs, clock: &mut Clock<'_>) -> Result<()> {
    let at = || args.dir.display().to_string();
    let folder =
        tempfile::tempdir_in(&args.dir).map_err(|error| BenchError::File { path: at(), reason: error.to_string() })?;
    let failed = |error: nokv_engine::Error| BenchError::File { path: at(), reason: error.to_string() };
    let engine = RocksEngine::open(folder.path(), &RocksOptions::default()).map_err(failed)?;
    let mut bench = Rocks {
        engine,
        keys: Keys::new(Distribution::Uniform, args.keys, KEY_BYTES, 0),
        random: SmallRng::seed_from_u64(1),
        value_bytes: args.value_bytes,
    };
    bench.load(args.keys).map_err(failed)?;
    for sync in [true, false] {
        for puts in BATCHES {
            let name = format!("RocksDB puts, batches of {puts}, {}", if sync { "synced" } else { "not synced" });
            clock.steps(name, || bench.put(puts, sync)).map_err(failed)?;
        }
    }
    clock.steps("RocksDB get", || bench.get()).map_err(failed)?;
    clock.steps("RocksDB view and get", || bench.view_and_get()).map_err(failed)?;
    clock.steps(format!("RocksDB view, seek and {SCANNED_ROWS} next"), || bench.scan()).map_err(failed)
}

struct Rocks {
    engine: RocksEngine,
    keys: Keys,
    random: SmallRng,
    value_bytes: usize,
}

impl Rocks {
    fn load(&mut self, count: u64) -> nokv_engine::Result<()> {
        for number in 0..count {
            let mut batch = WriteBatch::new();
            batch.put(Cf::Raw, &keys::key(number, KEY_BYTES), &value(self.value_bytes, &mut self.random));
            self.engine.write(&batch, false)?;
        }
        Ok(())
    }

    fn key(&mut self) -> Bytes {
        self.keys.choose(&mut self.random)
    }

    fn put(&mut self, puts: u64, sync: bool) -> nokv_engine::Result<u64> {
        let mut batch = WriteBatch::new();
        for _ in 0..puts {
            let key = self.key();
            batch.put(Cf::Raw, &key, &value(self.value_bytes, &mut self.random));
        }
        self.engine.write(&batch, sync)?;
        Ok(puts)
    }

    fn get(&mut self) -> nokv_engine::Result<u64> {
        let key = self.key();
        std::hint::black_box(self.engine.get(Cf::Raw, &key)?);
        Ok(1)
    }

    fn view_and_get(&mut self) -> nokv_engine::Result<u64> {
        let key = self.key();
        std::hint::black_box(self.engine.view().get(Cf::Raw, &key)?);
        Ok(1)
    }

    fn scan(&mut self) -> nokv_engine::Result<u64> {
        let key = self.key();
        let view = self.engine.view();
        let mut cursor = view.cursor(Cf::Raw, KeyRange::new(&key, b""))?;
        cursor.seek_to_first()?;
        for _ in 0..SCANNED_ROWS {
            if std::hint::black_box(cursor.value()).is_none() {
                break;
            }
            cursor.next()?;
        }
        Ok(1)
    }
}
