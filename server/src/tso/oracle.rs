//! The allocator and its file together: timestamps for many callers at once, the bound written ahead of use.
//!
//! The common case takes one short lock. Disk work happens on a blocking thread that runs to its end even if the caller
//! goes away, and usually half a window before anybody needs it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nokv_percolator::Timestamp;
use nokv_placement::clock::{AllocateError, Allocator, ClockEvent, ClockReading, Decision};
use parking_lot::Mutex;
use slog::{Logger, error, info, warn};

use super::bound_file::{BoundFile, BoundFileError};

/// How often a caller waits for time to catch up with demand before it is told to come back later.
const WAITS_MAX: u32 = 20;

/// Hands out timestamps; a cheap clone shares one allocator.
#[derive(Clone)]
pub struct Oracle {
    inner: Arc<Inner>,
}

struct Inner {
    allocator: Mutex<Allocator>,
    /// Held while the disk is written; never together with waiting on `allocator`'s holder for longer than a moment.
    file: Mutex<BoundFile>,
    /// True while an early write is under way.
    writing_early: AtomicBool,
    started: Instant,
    log: Logger,
}

/// Why there are no timestamps now. None of them loses or repeats any.
#[derive(Debug, thiserror::Error)]
pub enum OracleError {
    /// As the allocator says.
    #[error(transparent)]
    Allocate(#[from] AllocateError),
    /// The bound could not be made durable; ask again once the disk has been seen to.
    #[error("the bound of timestamps cannot be made durable: {0}")]
    Disk(#[from] BoundFileError),
    /// The clock moved past every bound while it was written, or the process is ending; ask again.
    #[error("timestamps are not available at this moment; ask again")]
    Unsettled,
}

impl Oracle {
    /// Goes on where the file says.
    pub fn new(file: BoundFile, log: Logger) -> Oracle {
        let started = Instant::now();
        let bound_ms = file.bound_ms();
        let allocator = Mutex::new(Allocator::starting_at(bound_ms, reading(started)));
        info!(log, "timestamps go on above the recorded bound"; "bound_ms" => bound_ms);
        let writing_early = AtomicBool::new(false);
        Oracle { inner: Arc::new(Inner { allocator, file: Mutex::new(file), writing_early, started, log }) }
    }

    /// Takes `count` timestamps that follow one another; returns the first.
    ///
    /// # Errors
    /// [`OracleError`]; none has been handed out then.
    pub async fn timestamps(&self, count: u32) -> Result<Timestamp, OracleError> {
        for _ in 0..WAITS_MAX {
            let wait_ms = match self.inner.decide(count) {
                Ok(Decision::Granted { first }) => {
                    self.write_early();
                    return Ok(Timestamp(first));
                }
                Ok(Decision::BoundNeeded { .. }) => {
                    let inner = self.inner.clone();
                    let written = tokio::task::spawn_blocking(move || inner.allocate_with_disk(count)).await;
                    match written.unwrap_or(Err(OracleError::Unsettled)) {
                        Err(OracleError::Allocate(AllocateError::TooFast { wait_ms })) => wait_ms,
                        other => return other,
                    }
                }
                Err(AllocateError::TooFast { wait_ms }) => wait_ms,
                Err(other) => return Err(other.into()),
            };
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        }
        Err(AllocateError::TooFast { wait_ms: 1 }.into())
    }

    /// Starts writing the next bound if it will soon be needed and nobody writes it yet.
    fn write_early(&self) {
        if self.inner.allocator.lock().bound_soon_needed().is_none() {
            return;
        }
        if self.inner.writing_early.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = self.inner.clone();
        // Nobody waits for it: a caller that comes too early finds `BoundNeeded` and does it itself.
        drop(tokio::task::spawn_blocking(move || {
            if let Err(error) = inner.write_bound() {
                error!(inner.log, "the next bound could not be written early"; "error" => %error);
            }
            inner.writing_early.store(false, Ordering::Release);
        }));
    }
}

impl Inner {
    fn decide(&self, count: u32) -> Result<Decision, AllocateError> {
        let now = reading(self.started);
        let (decision, news) = {
            let mut allocator = self.allocator.lock();
            (allocator.allocate(now, count), allocator.take_news())
        };
        if let Some(news) = news {
            self.tell(news);
        }
        decision
    }

    /// Blocks on the disk. The file's lock comes first, so that of many callers one writes and the others find it done.
    fn allocate_with_disk(&self, count: u32) -> Result<Timestamp, OracleError> {
        /// Twice, in case the clock jumps during the write; more means that it does not stop jumping.
        const WRITES_MAX: u32 = 3;
        let mut file = self.file.lock();
        for _ in 0..WRITES_MAX {
            match self.decide(count)? {
                Decision::Granted { first } => return Ok(Timestamp(first)),
                Decision::BoundNeeded { bound_ms } => {
                    if let Err(error) = file.save(bound_ms) {
                        error!(self.log, "the bound of timestamps cannot be made durable"; "error" => %error);
                        return Err(error.into());
                    }
                    self.allocator.lock().bound_is_durable(bound_ms);
                }
            }
        }
        Err(OracleError::Unsettled)
    }

    fn write_bound(&self) -> Result<(), BoundFileError> {
        let mut file = self.file.lock();
        // Asked again under the file's lock: another caller may have written in the meantime.
        let needed = self.allocator.lock().bound_soon_needed();
        if let Some(bound_ms) = needed {
            file.save(bound_ms)?;
            self.allocator.lock().bound_is_durable(bound_ms);
        }
        Ok(())
    }

    fn tell(&self, news: ClockEvent) {
        let log = &self.log;
        match news {
            ClockEvent::Behind { by_ms } => warn!(
                log, "the machine's clock is behind the timestamps; going on from the bound without it";
                "behind_ms" => by_ms
            ),
            ClockEvent::Ahead { by_ms } => {
                warn!(log, "the machine's clock jumped forward; timestamps follow it"; "jump_ms" => by_ms);
            }
            ClockEvent::Absurd { wall_ms } => warn!(
                log, "the machine's clock shows a year beyond 3000; going on from the bound without it";
                "clock_ms" => wall_ms
            ),
            ClockEvent::Reached => info!(log, "the machine's clock is followed again"),
        }
    }
}

fn reading(started: Instant) -> ClockReading {
    // A clock before 1970 reads as 0: far behind, which the allocator copes with.
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ClockReading { wall_ms: millis(wall), steady_ms: millis(started.elapsed()) }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
