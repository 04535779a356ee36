//! A node's disk as far as time goes: how long writes and syncs take, and how it stalls. What it keeps, loses and
//! refuses is the in-memory engine's business.

use std::time::Duration;

use nokv_engine::{
    Cf, Engine, Error, Importer, KeyRange, MemoryEngine, MemoryView, RangeEstimate, ReadView as _, WriteBatch,
};
use parking_lot::Mutex;

use crate::random::Random;

/// How fast a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpeed {
    /// Longest time of an unsynced write, in microseconds.
    pub write_us_max: u64,
    /// Longest time of a synced write, in microseconds.
    pub sync_us_max: u64,
    /// Writes of a thousand that stall.
    pub stall_permille: u64,
    /// Longest stall, in milliseconds.
    pub stall_ms_max: u64,
}

impl DiskSpeed {
    /// Takes no time.
    pub const INSTANT: DiskSpeed = DiskSpeed { write_us_max: 0, sync_us_max: 0, stall_permille: 0, stall_ms_max: 0 };
}

/// The speed of one disk, changeable while it is used.
#[derive(Debug)]
pub struct Disk {
    speed: Mutex<DiskSpeed>,
}

impl Disk {
    /// A disk of this speed.
    pub fn new(speed: DiskSpeed) -> Self {
        Disk { speed: Mutex::new(speed) }
    }

    /// Makes it so fast from now on.
    pub fn set_speed(&self, speed: DiskSpeed) {
        *self.speed.lock() = speed;
    }

    /// How long the next write takes.
    pub fn delay(&self, sync: bool, random: &mut Random) -> Duration {
        let speed = *self.speed.lock();
        let longest = if sync { speed.sync_us_max } else { speed.write_us_max };
        if longest == 0 && speed.stall_permille == 0 {
            return Duration::ZERO;
        }
        if random.chance(speed.stall_permille) {
            return random.millis(1, speed.stall_ms_max.max(1));
        }
        random.micros(0, longest)
    }
}

/// What a power failure at this moment would leave of a disk at its worst, to be looked at as an engine.
#[derive(Clone, Debug)]
pub struct DurablePart(pub MemoryEngine);

impl Engine for DurablePart {
    type View = MemoryView;

    fn view(&self) -> MemoryView {
        self.0.durable_view()
    }

    fn get(&self, cf: Cf, key: &[u8]) -> nokv_engine::Result<Option<bytes::Bytes>> {
        self.view().get(cf, key)
    }

    fn write(&self, _: &WriteBatch, _: bool) -> nokv_engine::Result<()> {
        Err(only_to_be_looked_at())
    }

    fn importer(&self, _: &str) -> nokv_engine::Result<Box<dyn Importer>> {
        Err(only_to_be_looked_at())
    }

    fn ingest(&self, _: &str, _: &[KeyRange<'_>]) -> nokv_engine::Result<()> {
        Err(only_to_be_looked_at())
    }

    fn discard_import(&self, _: &str) -> nokv_engine::Result<()> {
        Err(only_to_be_looked_at())
    }

    fn imports(&self) -> nokv_engine::Result<Vec<String>> {
        self.0.imports()
    }

    fn clear_range(&self, _: KeyRange<'_>) -> nokv_engine::Result<()> {
        Err(only_to_be_looked_at())
    }

    fn estimate(&self, _: KeyRange<'_>) -> nokv_engine::Result<RangeEstimate> {
        Err(only_to_be_looked_at())
    }
}

fn only_to_be_looked_at() -> Error {
    Error::Disk("only to be looked at".to_owned())
}
