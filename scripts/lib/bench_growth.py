#!/usr/bin/env python3
"""Topologies and tables of scripts/bench_growth.sh.

  bench_growth.py topology BASE.json COUNT   the base's stores, with COUNT regions over the benchmark's 100,000 keys
  bench_growth.py head                       the head of a table
  bench_growth.py row NAME FILE PID…         a measurement as a row, with the memory of the servers now
  bench_growth.py rate FILE                  operations a second of a measurement
"""

import json
import sys

KEYS = 100_000
# Bounds are encoded in groups of eight bytes; of raw keys of nine bytes, the first eight decide.
BOUND_BYTES = 8


def bounds(count):
    """COUNT - 1 keys in order; the benchmark's keys lie in equal parts behind `a` and behind `z`."""
    steps = [number * KEYS * 2 // count for number in range(1, count)]
    sides = [("a", step) if step < KEYS else ("z", step - KEYS) for step in steps]
    return ["m" if step == KEYS else f"{side}{at // 10:0{BOUND_BYTES - 1}}" for (side, at), step in zip(sides, steps)]


def topology(base, count):
    with open(base, encoding="utf-8") as file:
        made = json.load(file)
    stores = [store["store_id"] for store in made["stores"]]
    ends = ["-", *bounds(count), "-"]
    made["regions"] = [
        {
            "id": number,
            "start_key": ends[number - 1],
            "end_key": ends[number],
            "epoch": {"version": 1, "conf_version": 1},
            "peers": [{"store_id": store, "peer_id": number * 10 + place} for place, store in enumerate(stores, 1)],
            "leader_store_id": stores[number % len(stores)],
        }
        for number in range(1, count + 1)
    ]
    print(json.dumps(made, indent=1))


def memory_mib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        kib = next(line.split()[1] for line in file if line.startswith("VmRSS:"))
    return int(kib) >> 10


def only(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)["targets"][0]


def row(name, path, pids):
    it = only(path)
    micros = ", ".join(str(it[figure]) for figure in ("p50_us", "p99_us", "p999_us", "max_us"))
    cpu = f"{it['servers_cpu_us'] or 0:.0f} + {it['client_cpu_us'] or 0:.0f}"
    written = f"{it['written_per_value_byte'] or 0:.1f}"
    memory = max(memory_mib(pid) for pid in pids)
    print(f"| {name} | {it['per_second']:.0f} | {micros} | {cpu} | {written} | {it['errors']} | {memory} |", flush=True)


def main(command, *rest):
    if command == "topology":
        topology(rest[0], int(rest[1]))
    elif command == "head":
        print("| | a second | p50, p99, p99.9, max µs | CPU µs, servers + clients | bytes written for one of value |"
              " errors | largest node, MiB |\n| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    elif command == "row":
        row(rest[0], rest[1], rest[2:])
    elif command == "rate":
        print(int(only(rest[0])["per_second"]))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
