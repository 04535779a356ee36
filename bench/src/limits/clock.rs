//! How a part is measured: again and again for a while without counting, then for as long as asked, with the CPU that
//! this whole process used meanwhile.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::process::{Usage, load_average};

/// What a part of the machine can do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limit {
    /// What was done.
    pub name: String,
    /// How often in a second.
    pub per_second: f64,
    /// CPU of this process (clients and servers alike) for each, in microseconds.
    pub cpu_us: f64,
    /// The machine's one-minute load before.
    pub load_average: f64,
}

/// Measures parts and keeps their figures.
pub struct Clock<'a> {
    length: Duration,
    limits: &'a mut Vec<Limit>,
}

/// The warm-up's share of the measured time.
const WARMUP_SHARE: u32 = 10;

/// A part under measurement.
pub struct Measuring {
    started: Instant,
    usage: Usage,
    load_average: f64,
}

impl<'a> Clock<'a> {
    /// Each part is measured for `length`.
    pub fn new(length: Duration, limits: &'a mut Vec<Limit>) -> Self {
        Self { length, limits }
    }

    /// How long a part is measured.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// How long a part runs before.
    pub fn warmup(&self) -> Duration {
        self.length / WARMUP_SHARE
    }

    /// Calls `step`, which says how much it did, until the time is over; once at least, however slow the machine is.
    ///
    /// # Errors
    /// The step's.
    pub fn steps<E>(&mut self, name: impl Into<String>, mut step: impl FnMut() -> Result<u64, E>) -> Result<(), E> {
        let warm = Instant::now();
        while warm.elapsed() < self.warmup() {
            step()?;
        }
        let (measuring, mut done) = (self.begin(), 0);
        loop {
            done += step()?;
            if measuring.started.elapsed() >= self.length {
                self.end(name, &measuring, done);
                return Ok(());
            }
        }
    }

    /// A part begins that measures its own time.
    pub fn begin(&self) -> Measuring {
        Measuring { started: Instant::now(), usage: Usage::of_self(), load_average: load_average() }
    }

    /// It has ended, and did so much.
    pub fn end(&mut self, name: impl Into<String>, measuring: &Measuring, done: u64) {
        let cpu = Usage::of_self().since(measuring.usage).cpu;
        self.limits.push(Limit {
            name: name.into(),
            per_second: done as f64 / measuring.started.elapsed().as_secs_f64(),
            cpu_us: cpu.as_secs_f64() * 1e6 / done.max(1) as f64,
            load_average: measuring.load_average,
        });
    }
}
