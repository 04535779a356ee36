//! What placement wants of the machine that it runs on: its clocks, and numbers that nobody can foresee.
//! They are given to it, so that a whole cluster can run on clocks and numbers of somebody's choice.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use nokv_placement::clock::ClockReading;

/// See the file's head.
pub struct Machine {
    /// What its clocks show now.
    pub reading: Box<dyn Fn() -> ClockReading + Send + Sync>,
    /// A number drawn at random.
    pub draw: Box<dyn Fn() -> u64 + Send + Sync>,
    /// Whether reading the whole state may take long, and is left to a thread of its own.
    pub has_slow_disk: bool,
}

impl Machine {
    /// This one.
    pub fn real() -> Self {
        let started = Instant::now();
        let reading = move || {
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            ClockReading {
                wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
                steady_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            }
        };
        Self { reading: Box::new(reading), draw: Box::new(rand::random), has_slow_disk: true }
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("reading", &(self.reading)()).finish_non_exhaustive()
    }
}
