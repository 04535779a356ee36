#!/usr/bin/env python3
"""Tells what bench_vs_etcd.sh measured: one line for a row, or the whole report as report.md and report.json.

  bench_report.py row FOLDER NAME
  bench_report.py report FOLDER PEER OURS CONDITIONS

FOLDER holds rows.txt (the rows of the script, as it writes them), rows/NAME.json (nokv bench run --json),
rows/NAME.disk.json (the disk's rate before the row), and limits-CLIENTS.json (nokv bench limits --json).
"""

import json
import sys
from pathlib import Path

FIELDS = ("name", "kind", "operation", "clients", "etcd_operation", "measure", "floor", "aim")
# What p99 must be and is hoped to be at this many clients, as a share of etcd's.
P99_CLIENTS, P99_FLOOR, P99_AIM = 64, 1.0, 0.5


def main(command, folder, *rest):
    folder = Path(folder)
    rows = [read_row(folder, line) for line in (folder / "rows.txt").read_text(encoding="utf-8").splitlines()]
    if command == "row":
        print(one_line(next(row for row in rows if row["name"] == rest[0])))
        return 0
    if command == "report":
        limits = read_limits(folder)
        report = {"peer": rest[0], "ours": rest[1], "conditions": rest[2], "limits": limits, "rows": rows}
        (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        text = markdown(report)
        (folder / "report.md").write_text(text, encoding="utf-8")
        print(text)
        print(f"report: {folder}/report.md, report.json; a page for each row: {folder}/rows/*.html")
        return 0
    raise SystemExit(__doc__)


def read_row(folder, line):
    """A row of the script with its figures; timelines stay in the row's own file."""
    row = dict(zip(FIELDS, line.split()))
    row.update(clients=int(row["clients"]), floor=float(row["floor"]), aim=float(row["aim"]))
    measured = json.loads((folder / "rows" / f"{row['name']}.json").read_text(encoding="utf-8"))
    disk = json.loads((folder / "rows" / f"{row['name']}.disk.json").read_text(encoding="utf-8"))["limits"][0]
    for side, figures in zip(("ours", "etcd"), measured["targets"]):
        row[side] = {key: value for key, value in figures.items() if key not in ("timeline", "percentiles")}
    row["ratio"] = measured["ratios"][0]
    row["fdatasync_per_second"], row["load_average"] = disk["per_second"], disk["load_average"]
    row["verdict"] = verdict(row)
    return row


def verdict(row):
    """Where the row stands between its floor and its aim."""
    ratio, floor, aim = row["ratio"][row["measure"]], row["floor"], row["aim"]
    if row["measure"] != "throughput":  # of latencies, less is better
        ratio, floor, aim = -ratio, -floor, -aim
    return "aim" if ratio >= aim else "floor" if ratio >= floor else "BELOW THE FLOOR"


def p99_verdict(row):
    if row["clients"] != P99_CLIENTS:
        return ""
    ratio = row["ratio"]["p99"]
    return " (aim)" if ratio <= P99_AIM else " (floor)" if ratio <= P99_FLOOR else " (ABOVE)"


def read_limits(folder):
    """Clients -> the limits measured with so many."""
    files = sorted(folder.glob("limits-*.json"), key=lambda path: int(path.stem.split("-")[1]))
    return {path.stem.split("-")[1]: json.loads(path.read_text(encoding="utf-8"))["limits"] for path in files}


def bare_echo(limits, clients):
    """What bare unary calls reach with so many clients, or None if that was not measured."""
    name = f"tonic unary echo, {clients} clients"
    return next((limit["per_second"] for of in limits.values() for limit in of if limit["name"] == name), None)


def one_line(row):
    ours, etcd, ratio = row["ours"], row["etcd"], row["ratio"]
    return (f"{row['name']}: {ours['per_second']:.0f}/s against {etcd['per_second']:.0f}/s = "
            f"{ratio['throughput']:.2f} x; p50 {ratio['p50']:.2f} x, p99 {ratio['p99']:.2f} x; "
            f"errors {ours['errors']} and {etcd['errors']}; fdatasync {row['fdatasync_per_second']:.0f}/s, "
            f"load {row['load_average']:.1f}; {row['verdict']}")


def markdown(report):
    out = ["# Beside etcd", "", f"{report['ours']} against {report['peer']}; three nodes each on this machine; "
           f"{report['conditions']}; medians.", "",
           "| row | clients | ours op/s | etcd op/s | ratio | floor, aim | stands at | p50 ours, etcd µs | ratio | "
           "p99 ours, etcd µs | ratio | errors | % of bare echo | fdatasync/s | load |",
           "|" + " --- |" * 15]
    for row in report["rows"]:
        ours, etcd, ratio = row["ours"], row["etcd"], row["ratio"]
        echo = bare_echo(report["limits"], row["clients"])
        share = f"{100 * ours['per_second'] / echo:.0f} %" if echo else ""
        out.append(f"| {row['name']} | {row['clients']} | {ours['per_second']:.0f} | {etcd['per_second']:.0f} | "
                   f"{ratio['throughput']:.2f} | {row['measure']} {row['floor']:g}, {row['aim']:g} | "
                   f"{row['verdict']} | "
                   f"{ours['p50_us']}, {etcd['p50_us']} | {ratio['p50']:.2f} | {ours['p99_us']}, {etcd['p99_us']} | "
                   f"{ratio['p99']:.2f}{p99_verdict(row)} | {ours['errors']}, {etcd['errors']} | {share} | "
                   f"{row['fdatasync_per_second']:.0f} | {row['load_average']:.1f} |")
    out += ["", "## What an operation costs", "",
            "| row | servers' CPU µs ours, etcd | client's CPU µs ours, etcd | bytes written for each of a value ours, "
            "etcd | begun again | turns ours | turns etcd |", "|" + " --- |" * 7]
    for row in report["rows"]:
        ours, etcd = row["ours"], row["etcd"]
        turns = [", ".join(f"{rate:.0f}" for rate in side["turns_per_second"]) for side in (ours, etcd)]
        out.append(f"| {row['name']} | {ours['servers_cpu_us']:.1f}, {etcd['servers_cpu_us']:.1f} | "
                   f"{ours['client_cpu_us']:.1f}, {etcd['client_cpu_us']:.1f} | "
                   f"{ours['written_per_value_byte']:.2f}, {etcd['written_per_value_byte']:.2f} | {ours['retries']} | "
                   f"{turns[0]} | {turns[1]} |")
    out += ["", "## What this machine can do", "",
            "Before the first row, with nothing else of ours running. Echoes' CPU is both sides'.", "",
            "| what | a second | CPU µs each | load before |", "|" + " --- |" * 4]
    for limits in report["limits"].values():
        out += [f"| {limit['name']} | {limit['per_second']:.0f} | {limit['cpu_us']:.2f} | {limit['load_average']:.1f} |"
                for limit in limits]
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    if {"row": 4, "report": 6}.get(sys.argv[1] if len(sys.argv) > 1 else "") != len(sys.argv):
        raise SystemExit(__doc__)
    sys.exit(main(*sys.argv[1:]))
