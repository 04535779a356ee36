//! The table on the terminal: a row for each target and number of clients, ratios and errors under it.
//! Times are in milliseconds where they are long and microseconds where they are short.

use std::fmt::Write as _;

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};

use super::figures::Report;
use crate::args::RunArgs;

/// Error texts shown of each row.
const ERROR_TEXTS_SHOWN: usize = 5;

/// The text.
pub fn render(args: &RunArgs, report: &Report) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "target",
        "workload",
        "clients",
        "op/s",
        "errors",
        "retries",
        "p50",
        "p95",
        "p99",
        "p99.9",
        "max",
        "client µs/op",
        "servers µs/op",
        "written/value",
        "load",
    ]);
    for row in &report.targets {
        table.add_row([
            row.target.clone(),
            row.workload.clone(),
            row.clients.to_string(),
            format!("{:.0}", row.per_second),
            row.errors.to_string(),
            row.retries.to_string(),
            time(row.p50_us),
            time(row.p95_us),
            time(row.p99_us),
            time(row.p999_us),
            time(row.max_us),
            format!("{:.1}", row.client_cpu_us),
            format!("{:.1}", row.servers_cpu_us),
            format!("{:.2}", row.written_per_value_byte),
            format!("{:.1}", row.load_average),
        ]);
    }
    let mut out = format!(
        "{} keys, values of {} bytes, {}, medians of {} turns of {} s\n{table}\n",
        args.keys,
        args.value_bytes,
        args.distribution.name(),
        args.turns,
        args.seconds,
    );
    for ratio in &report.ratios {
        let _ = writeln!(
            out,
            "{} clients: throughput {:.2} ×, p50 {:.2} ×, p99 {:.2} × of the second target's",
            ratio.clients, ratio.throughput, ratio.p50, ratio.p99
        );
    }
    for row in &report.targets {
        for (error, count) in row.errors_by_text.iter().take(ERROR_TEXTS_SHOWN) {
            let _ = writeln!(out, "{}, {} clients: {count} × {error}", row.target, row.clients);
        }
    }
    out
}

/// A latency for people.
pub fn time(us: u64) -> String {
    if us >= 10_000 { format!("{:.1} ms", us as f64 / 1e3) } else { format!("{us} µs") }
}
