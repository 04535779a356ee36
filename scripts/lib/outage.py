#!/usr/bin/env python3
"""Tells what node_down.sh measured, from what `nokv bench run --json` wrote.

  outage.py row FILE LABEL          one line of the table: throughput, latencies, the nodes' CPU time for
                                    each operation, errors, the machine's load;
                                    and under it what the operations that failed were told
  outage.py rate FILE               operations a second, without a fraction
  outage.py gap FILE                the longest time without a success
  outage.py head                    the table's heading
"""

import json
import sys

SLICE_MS = 200
ROW = "{:<34} {:>9} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7} {:>6}"


def main(command, *rest):
    if command == "head":
        print(ROW.format("", "per s", "p50 ms", "p95 ms", "p99 ms", "max ms", "cpu us", "errors", "load"))
        return
    with open(rest[0], encoding="utf-8") as file:
        figures = json.load(file)["targets"][0]
    if command == "row":
        times = (f"{figures[name] / 1000:.1f}" for name in ("p50_us", "p95_us", "p99_us", "max_us"))
        # Unknown if one of the processes died meanwhile.
        cpu = f"{figures['servers_cpu_us']:.0f}" if figures["servers_cpu_us"] else "-"
        load = f"{figures['load_average']:.1f}"
        print(ROW.format(rest[1], f"{figures['per_second']:.0f}", *times, cpu, figures["errors"], load))
        told(figures)
    elif command == "rate":
        print(f"{figures['per_second']:.0f}")
    elif command == "gap":
        print(f"  at the longest, nothing succeeded for {longest_gap(figures['timeline']) * SLICE_MS} ms")
    else:
        raise SystemExit(__doc__)


def told(figures):
    """What the operations that failed were told."""
    for text, count in sorted(figures["errors_by_text"].items()):
        print(f"  {count} x {text}")


def longest_gap(timeline):
    """The most slices in a row without a success. The last slice may be a short one and does not count."""
    longest = current = 0
    for per_second, _ in timeline[:-1]:
        current = 0 if per_second else current + 1
        longest = max(longest, current)
    return longest


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
