//! The numbers of a run: throughput, latencies, errors and cost of each target, and how two targets compare.
//! Units are in the names; they are the fields of the JSON output.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::args::RunArgs;
use crate::recorder::SLICE;
use crate::turns::{Measured, Turn};

/// What is told of a target with so many clients: the turn with the median rate.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// The target, as on the command line.
    pub target: String,
    /// What was done.
    pub workload: String,
    /// Clients.
    pub clients: u64,
    /// Operations a second, each turn's.
    pub turns_per_second: Vec<f64>,
    /// Operations a second, the median turn's. All below are of that turn.
    pub per_second: f64,
    /// Failed operations.
    pub errors: u64,
    /// Failed operations by text.
    pub errors_by_text: BTreeMap<String, u64>,
    /// How often operations were begun again after a conflict.
    pub retries: u64,
    /// Latencies in microseconds.
    pub p50_us: u64,
    /// See `p50_us`.
    pub p95_us: u64,
    /// See `p50_us`.
    pub p99_us: u64,
    /// See `p50_us`.
    pub p999_us: u64,
    /// See `p50_us`.
    pub max_us: u64,
    /// CPU of the benchmark's process for each operation, in microseconds.
    pub client_cpu_us: f64,
    /// CPU of the servers for each operation, in microseconds; 0 if their process ids were not given.
    pub servers_cpu_us: f64,
    /// Bytes written by the servers for each byte of value, counted over all operations; 0 if unknown.
    pub written_per_value_byte: f64,
    /// The machine's load before the turn.
    pub load_average: f64,
    /// By slice of 200 ms: operations a second, and the longest in microseconds.
    pub timeline: Vec<(f64, u64)>,
    /// (percentile, microseconds) for the picture of the distribution.
    pub percentiles: Vec<(f64, u64)>,
}

/// How the first target stands to the second with so many clients.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Clients of both.
    pub clients: u64,
    /// First target's operations a second over the second's.
    pub throughput: f64,
    /// The same of latencies; below 1 is better.
    pub p50: f64,
    /// See `p50`.
    pub p99: f64,
}

/// All that is told of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Target by target, for one number of clients after the other.
    pub targets: Vec<Figures>,
    /// If there are two targets: how they compare, by number of clients.
    pub ratios: Vec<Ratio>,
}

impl Report {
    /// The figures of what was measured.
    pub fn of(args: &RunArgs, measured: &[Measured]) -> Report {
        let mut report = Report { targets: Vec::new(), ratios: Vec::new() };
        for clients in &args.clients {
            let rows: Vec<Figures> = measured.iter().filter_map(|one| Figures::of(one, *clients, args)).collect();
            if let [first, second] = rows.as_slice() {
                report.ratios.push(Ratio::of(first, second));
            }
            report.targets.extend(rows);
        }
        report
    }

    /// As one JSON document.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"))
    }
}

impl Figures {
    /// `None` if it was never measured with so many clients.
    fn of(measured: &Measured, clients: u64, args: &RunArgs) -> Option<Figures> {
        let turn = measured.median(clients)?;
        let record = &turn.record;
        let operations = record.operations().max(1) as f64;
        let at = |quantile: f64| record.latency_us.value_at_quantile(quantile);
        let per_operation = |used: Duration| used.as_secs_f64() * 1e6 / operations;
        Some(Figures {
            target: measured.name.clone(),
            workload: measured.workload.name(),
            clients,
            turns_per_second: measured.turns_with(clients).map(Turn::rate).collect(),
            per_second: turn.rate(),
            errors: record.errors.values().sum(),
            errors_by_text: record.errors.clone(),
            retries: record.retries,
            p50_us: at(0.5),
            p95_us: at(0.95),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: record.latency_us.max(),
            client_cpu_us: per_operation(turn.client.cpu),
            servers_cpu_us: per_operation(turn.servers.cpu),
            written_per_value_byte: turn.servers.written_bytes as f64 / (operations * args.value_bytes.max(1) as f64),
            load_average: turn.load_average,
            timeline: record
                .timeline
                .iter()
                .map(|(count, longest)| (*count as f64 / SLICE.as_secs_f64(), *longest))
                .collect(),
            percentiles: PERCENTILES.map(|percent| (percent, at(percent / 100.0))).to_vec(),
        })
    }
}

/// Those of the picture.
pub const PERCENTILES: [f64; 10] = [50.0, 75.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.9, 99.99, 100.0];

impl Ratio {
    fn of(first: &Figures, second: &Figures) -> Ratio {
        let latency = |a: u64, b: u64| a as f64 / b.max(1) as f64;
        Ratio {
            clients: first.clients,
            throughput: first.per_second / second.per_second.max(f64::MIN_POSITIVE),
            p50: latency(first.p50_us, second.p50_us),
            p99: latency(first.p99_us, second.p99_us),
        }
    }
}
