//! Puts a target under load: clients that each have one operation under way, as fast as it goes or at a fixed rate.
//! At a fixed rate an operation's latency counts from when it was due, whether or not a client was free by then.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::time::Instant;

use crate::args::RunArgs;
use crate::error::{BenchError, Result};
use crate::keys;
use crate::recorder::Record;
use crate::target::Target;
use crate::workload::{Operations, Workload, value};

/// Keys stored by one call of the loading phase.
const LOAD_BATCH: u64 = 1_000;
/// How late the runtime's timer may be by itself; such a delay is not the target's.
const TIMER_SLACK: Duration = Duration::from_millis(1);

/// Stores every key once. The progress bar shows itself on a terminal only.
///
/// # Errors
/// If the target refuses: without its data a run would mean nothing.
pub async fn load(target: &dyn Target, name: &str, args: &RunArgs, raw: bool) -> Result<()> {
    let bar = ProgressBar::new(args.keys);
    let style = ProgressStyle::with_template("load {bar:40} {pos}/{len} keys {per_sec} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut random = SmallRng::seed_from_u64(args.seed);
    let mut first = 0;
    while first < args.keys {
        let last = (first + LOAD_BATCH).min(args.keys);
        let pairs =
            (first..last).map(|number| (keys::key(number, args.key_bytes), value(args.value_bytes, &mut random)));
        let loaded = target.load(pairs.collect(), raw).await;
        loaded.map_err(|reason| BenchError::Target {
            target: name.to_owned(),
            reason: format!("while its keys were written: {reason}"),
        })?;
        bar.inc(last - first);
        first = last;
    }
    bar.finish_and_clear();
    Ok(())
}

/// What is run, for how long, and which random numbers it draws.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// The mix of operations.
    pub workload: Workload,
    /// Clients at once.
    pub clients: u64,
    /// No operation begins later.
    pub length: Duration,
    /// Tells this stretch's random numbers from another's.
    pub number: u64,
}

/// Runs one stretch and returns what happened, once the last operation has ended.
pub async fn run(target: &Arc<dyn Target>, args: &Arc<RunArgs>, stretch: Stretch) -> Record {
    let started = Instant::now();
    let clients = (0..stretch.clients).map(|client| {
        let (target, args) = (target.clone(), args.clone());
        tokio::spawn(async move {
            let operations = Operations::new(&args, stretch.workload, client, stretch.clients);
            let random = SmallRng::seed_from_u64(args.seed ^ (client << 20) ^ (stretch.number << 40) ^ 0x5bd1);
            let pace = Pace::new(args.rate, client, stretch, started);
            one_client(target.as_ref(), operations, random, pace).await
        })
    });
    let mut all = Record::default();
    for record in join_all(clients).await {
        match record {
            Ok(record) => all.merge(&record),
            Err(error) => all.failed(format!("a client of the benchmark failed: {error}")),
        }
    }
    all
}

async fn one_client(target: &dyn Target, mut operations: Operations, mut random: SmallRng, mut pace: Pace) -> Record {
    let mut record = Record::default();
    while let Some(due) = pace.next_due().await {
        let outcome = target.run(operations.draw(&mut random)).await;
        let ended = Instant::now();
        match outcome {
            Ok(retries) => record.done(ended.duration_since(pace.started), ended.duration_since(due), retries),
            Err(error) => record.failed(error),
        }
    }
    record.never_begun(pace.left());
    record
}

/// When a client's next operation is due.
struct Pace {
    started: Instant,
    end: Instant,
    interval: Option<Duration>,
    next: Instant,
}

impl Pace {
    fn new(rate: Option<u64>, client: u64, stretch: Stretch, started: Instant) -> Self {
        let clients = u32::try_from(stretch.clients.max(1)).unwrap_or(u32::MAX);
        let rate = rate.map(|rate| u32::try_from(rate.max(1)).unwrap_or(u32::MAX));
        // Not zero, which would be due for ever.
        let interval = rate.map(|rate| (Duration::from_secs(1) * clients / rate).max(Duration::from_nanos(1)));
        let offset = interval.unwrap_or_default() * u32::try_from(client).unwrap_or(0) / clients;
        Self { started, end: started + stretch.length, interval, next: started + offset }
    }

    /// Waits for the next operation's time and returns it; `None` once the stretch is over.
    async fn next_due(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let Some(interval) = self.interval else { return (now < self.end).then_some(now) };
        if now >= self.end || self.next >= self.end {
            return None;
        }
        let due = self.next;
        self.next += interval;
        if due <= now {
            return Some(due);
        }
        tokio::time::sleep_until(due).await;
        Some(due + due.elapsed().min(TIMER_SLACK))
    }

    /// Operations that were due within the stretch and were not begun.
    fn left(&self) -> u64 {
        let Some(interval) = self.interval else { return 0 };
        let nanos = self.end.saturating_duration_since(self.next).as_nanos();
        u64::try_from(nanos.div_ceil(interval.as_nanos())).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Outcome;
    use crate::workload::Operation;
    use bytes::Bytes;
    use clap::Parser as _;
    use futures_util::FutureExt as _;
    use futures_util::future::BoxFuture;

    /// Answers each operation after a fixed time.
    struct Slow(Duration);

    impl Target for Slow {
        fn run(&self, _: Operation) -> BoxFuture<'_, Outcome> {
            tokio::time::sleep(self.0).map(|()| Ok(0)).boxed()
        }

        fn load(&self, _: Vec<(Bytes, Bytes)>, _: bool) -> BoxFuture<'_, std::result::Result<(), String>> {
            async { Ok(()) }.boxed()
        }
    }

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        run: RunArgs,
    }

    async fn second(flags: &[&str], clients: u64, takes: Duration) -> Record {
        let line = Line::parse_from([&["bench", "--target", "slow:"], flags].concat());
        let target: Arc<dyn Target> = Arc::new(Slow(takes));
        let stretch = Stretch { workload: Workload::RawGet, clients, length: Duration::from_secs(1), number: 0 };
        run(&target, &Arc::new(line.run), stretch).await
    }

    #[tokio::test(start_paused = true)]
    async fn in_a_closed_loop_each_client_has_one_operation_under_way() {
        let record = second(&[], 3, Duration::from_millis(100)).await;
        assert_eq!((record.operations(), record.errors.len()), (30, 0));
        assert!((99_000..=101_000).contains(&record.latency_us.max()), "{}", record.latency_us.max());
    }

    #[tokio::test(start_paused = true)]
    async fn at_a_fixed_rate_there_are_as_many_operations_as_asked_for() {
        let record = second(&["--rate", "50"], 4, Duration::from_millis(10)).await;
        assert_eq!((record.operations(), record.errors.len()), (50, 0));
        assert!(record.latency_us.max() <= 11_500, "{}", record.latency_us.max());
    }

    /// One client can do 10 a second and is asked for 20: half are never begun, and the last one begun is half a
    /// second late.
    #[tokio::test(start_paused = true)]
    async fn at_a_rate_that_is_too_high_delay_and_loss_are_seen() {
        let record = second(&["--rate", "20"], 1, Duration::from_millis(100)).await;
        assert_eq!(record.operations(), 10);
        assert_eq!(record.errors.values().sum::<u64>(), 10);
        let late = record.latency_us.max();
        assert!((540_000..=560_000).contains(&late), "{late}");
    }
}
