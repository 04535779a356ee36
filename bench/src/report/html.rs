//! One page without scripts or outside files: the figures, throughput and longest latency over time, latency by
//! percentile and, where several numbers of clients were measured, latency against load.

use std::fmt::Write as _;

use super::chart::{Line, draw, escape};
use super::figures::{Figures, PERCENTILES, Report};
use crate::args::RunArgs;
use crate::recorder::SLICE;

/// The page.
pub fn render(args: &RunArgs, report: &Report) -> String {
    let mut out = String::from(
        "<!doctype html><meta charset=utf-8><title>nokv bench</title><style>body{font:14px system-ui;margin:2em;\
         max-width:60em}table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.3em .6em;text-align:right}\
         text{font:12px system-ui}</style><h1>nokv bench</h1>",
    );
    let _ = write!(
        out,
        "<p>{} keys, values of {} bytes, {}, medians of {} turns of {} s</p>",
        args.keys,
        args.value_bytes,
        args.distribution.name(),
        args.turns,
        args.seconds
    );
    figures(&mut out, report);
    if args.clients.len() > 1 {
        let title = "latency in µs (p50 and p99) against load, from few clients to many";
        draw(&mut out, title, "operations a second", &against_load(report));
    }
    let seconds = |index: usize| index as f64 * SLICE.as_secs_f64();
    let rates =
        lines(report, |row| row.timeline.iter().enumerate().map(|(index, slice)| (seconds(index), slice.0)).collect());
    draw(&mut out, "operations a second", "seconds", &rates);
    let longest = lines(report, |row| {
        row.timeline.iter().enumerate().map(|(index, slice)| (seconds(index), slice.1 as f64)).collect()
    });
    draw(&mut out, "longest operation in µs", "seconds", &longest);
    let percentiles = lines(report, |row| {
        row.percentiles.iter().enumerate().map(|(index, (_, us))| (index as f64, *us as f64)).collect()
    });
    let title =
        format!("latency in µs at the percentiles {}", PERCENTILES.map(|percent| percent.to_string()).join(", "));
    draw(&mut out, &title, "percentile", &percentiles);
    out
}

fn figures(out: &mut String, report: &Report) {
    out.push_str(
        "<table><tr><th>target<th>workload<th>clients<th>op/s<th>errors<th>p50 µs<th>p99 µs<th>p99.9 µs<th>max µs\
         <th>client CPU µs/op<th>servers CPU µs/op</tr>",
    );
    for row in &report.targets {
        let _ = write!(
            out,
            "<tr><td>{}<td>{}<td>{}<td>{:.0}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{:.1}<td>{:.1}</tr>",
            escape(&row.target),
            row.workload,
            row.clients,
            row.per_second,
            row.errors,
            row.p50_us,
            row.p99_us,
            row.p999_us,
            row.max_us,
            row.client_cpu_us,
            row.servers_cpu_us
        );
    }
    out.push_str("</table><ul>");
    for ratio in &report.ratios {
        let _ = write!(
            out,
            "<li>{} clients: throughput {:.2} ×, p50 {:.2} ×, p99 {:.2} × of the second target's",
            ratio.clients, ratio.throughput, ratio.p50, ratio.p99
        );
    }
    out.push_str("</ul>");
}

/// A line for each row.
fn lines(report: &Report, points: impl Fn(&Figures) -> Vec<(f64, f64)>) -> Vec<Line> {
    let name = |row: &Figures| format!("{} {}, {} clients", row.target, row.workload, row.clients);
    report.targets.iter().map(|row| Line { name: name(row), points: points(row) }).collect()
}

/// Two lines for each target, whose points are its rows.
fn against_load(report: &Report) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for row in &report.targets {
        for (percentile, us) in [("p50", row.p50_us), ("p99", row.p99_us)] {
            let name = format!("{} {} {percentile}", row.target, row.workload);
            let point = (row.per_second, us as f64);
            match lines.iter_mut().find(|line| line.name == name) {
                Some(line) => line.points.push(point),
                None => lines.push(Line { name, points: vec![point] }),
            }
        }
    }
    lines
}
