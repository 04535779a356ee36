//! The command line: which seeds, which scenario, for how long, on how many threads. Each run has one thread to itself;
//! several threads only run several seeds at a time.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use parking_lot::Mutex;

use crate::mutations;
use crate::run::{Report, RunOptions, run};
use crate::scenario::{PLACED, QUIET, SCENARIOS, Scenario};
use crate::trace::Sink;

/// A whole NoKV cluster in one thread from one seed.
#[derive(Debug, Parser)]
#[command(name = "nokv-sim", version)]
struct Args {
    /// Run this seed only.
    #[arg(long)]
    seed: Option<u64>,
    /// Run the seeds from A to B, B not included.
    #[arg(long, value_name = "A..B", value_parser = range, default_value = "0..200", conflicts_with = "seed")]
    seeds: (u64, u64),
    /// The scenario, by name; without it each seed has one of all in turn.
    #[arg(long)]
    scenario: Option<String>,
    /// Virtual seconds under faults.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Seeds that run at the same time.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Print the trace.
    #[arg(long)]
    trace: bool,
    /// Go on after a failure.
    #[arg(long)]
    keep_going: bool,
    /// Print one line a seed.
    #[arg(long)]
    verbose: bool,
    /// List the scenarios and end.
    #[arg(long)]
    list: bool,
    /// Measure how fast three quiet nodes run, and end.
    #[arg(long)]
    speed: bool,
    /// Plant each known mistake in turn, print how many seeds it took to find it, and end.
    #[arg(long)]
    mutations: bool,
    /// With --mutations: only those whose name contains this.
    #[arg(long, requires = "mutations")]
    only: Option<String>,
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let bad = || format!("{text} is not of the form A..B with A below B");
    let (first, end) = text.split_once("..").ok_or_else(bad)?;
    let (first, end) = (first.parse().map_err(|_| bad())?, end.parse().map_err(|_| bad())?);
    if first < end { Ok((first, end)) } else { Err(bad()) }
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let args = Args::parse();
    if args.list {
        SCENARIOS.iter().chain(&PLACED).for_each(|scenario| println!("{}", scenario.name));
        return ExitCode::SUCCESS;
    }
    if args.speed {
        return speed(args.seconds.max(1_000));
    }
    if args.mutations {
        return mutations::print_table(args.only.as_deref(), args.seconds);
    }
    let scenario = match args.scenario.as_deref().map(|name| Scenario::named(name).ok_or(name)) {
        None => None,
        Some(Ok(scenario)) => Some(scenario),
        Some(Err(name)) => {
            eprintln!("there is no scenario {name}; --list shows all");
            return ExitCode::from(2);
        }
    };
    let (first, end) = args.seed.map_or(args.seeds, |seed| (seed, seed.saturating_add(1)));
    let totals = run_all(&args, scenario, first, end);
    println!("{}", totals.lock());
    if totals.lock().failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_all(args: &Args, scenario: Option<Scenario>, first: u64, end: u64) -> Mutex<Totals> {
    let totals = Mutex::new(Totals::new());
    let (next, stop) = (AtomicU64::new(first), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let report = run(&RunOptions {
                        seed,
                        scenario: scenario.unwrap_or_else(|| Scenario::of_seed(seed)),
                        seconds: args.seconds,
                        sink: if args.trace { Sink::Print } else { Sink::Hash },
                    });
                    let failed = report.violation.is_some();
                    if failed || args.verbose || args.seed.is_some() {
                        println!("{report}");
                    }
                    totals.lock().add(&report);
                    stop.fetch_or(failed && !args.keep_going, Ordering::Relaxed);
                }
            });
        }
    });
    totals
}

/// Sums over many runs.
#[derive(Debug)]
struct Totals {
    begin: Instant,
    runs: u64,
    failures: u64,
    virtual_time: Duration,
    operations: [u64; 3],
    faults: [u64; 3],
    changes: [u64; 4],
}

impl Totals {
    fn new() -> Self {
        let (operations, faults, changes) = ([0; 3], [0; 3], [0; 4]);
        let virtual_time = Duration::ZERO;
        Totals { begin: Instant::now(), runs: 0, failures: 0, virtual_time, operations, faults, changes }
    }

    fn add(&mut self, report: &Report) {
        self.runs += 1;
        self.failures += u64::from(report.violation.is_some());
        self.virtual_time += report.virtual_time;
        self.operations.iter_mut().zip(report.operations).for_each(|(sum, more)| *sum += more);
        self.faults.iter_mut().zip(report.faults).for_each(|(sum, more)| *sum += more);
        self.changes.iter_mut().zip(report.changes).for_each(|(sum, more)| *sum += more);
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.begin.elapsed().as_secs_f64();
        let [operations, refused, unknown] = self.operations;
        let [kills, disks, others] = self.faults;
        let [images, merges, regions, orders] = self.changes;
        write!(
            f,
            "{} seeds, {} failed, in {seconds:.1} s ({:.0} a minute): {:.2} virtual hours, {operations} operations \
             ({refused} refused, {unknown} unknown), {kills} kills, {disks} disk failures, {others} other faults, \
             {images} images, {merges} merges, {regions} regions, {orders} orders",
            self.runs,
            self.failures,
            self.runs as f64 * 60.0 / seconds,
            self.virtual_time.as_secs_f64() / 3_600.0
        )
    }
}

fn speed(seconds: u64) -> ExitCode {
    let begin = Instant::now();
    let report = run(&RunOptions { seed: 1, scenario: QUIET, seconds, sink: Sink::Hash });
    let real = begin.elapsed().as_secs_f64();
    println!(
        "{} stores, {} regions, quiet: {:.0} virtual seconds in {real:.2} s, {:.0} times real time",
        QUIET.stores,
        QUIET.regions,
        report.virtual_time.as_secs_f64(),
        report.virtual_time.as_secs_f64() / real
    );
    if report.violation.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
