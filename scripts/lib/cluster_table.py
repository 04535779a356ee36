#!/usr/bin/env python3
"""Shows how a cluster that runs itself looks over time, from `nokv cluster status --json` on standard input.

  cluster_table.py head STORES             the table's heading, for stores 1 to STORES
  cluster_table.py row STORES WHEN         one line; stores that are not there are shown as -
  cluster_table.py is WHAT [ARGUMENT]      status 0 if so: regions N (at least), whole (no replica lacks, nothing is
                                           under way), spread PERCENT (peers of the stores that are well differ by no
                                           more), led PERCENT (leaders, and each store has some), shared PERCENT (load,
                                           likewise), empty STORE, hosted N (so many stores that are well host
                                           placement, and no other)
  cluster_table.py leader                  the store that leads placement
  cluster_table.py topology                the stores as a topology file has them, for topology.py
"""

import json
import sys

COLUMN = "{:>16}"


def main(command, *rest):
    if command == "head":
        cells = [f"store {store}" for store in range(1, int(rest[0]) + 1)]
        print("{:<9}{:>8}".format("", "regions") + "".join(COLUMN.format(cell) for cell in cells) + "  under way")
        print(" " * 17 + "".join(COLUMN.format("peers/lead/MiB") for _ in cells))
        return 0
    status = json.load(sys.stdin)
    if command == "row":
        show_row(status, int(rest[0]), rest[1])
        return 0
    if command == "is":
        return 0 if holds(status, *rest) else 1
    if command == "leader":
        print(status["placement"]["leader_store_id"])
        return 0
    if command == "topology":
        stores = [{"store_id": store["store_id"], "addr": store["address"]} for store in living(status)]
        print(json.dumps({"tso": {}, "stores": stores}))
        return 0
    raise SystemExit(__doc__)


def living(status):
    return [store for store in status["stores"] if store["state"] in ("well", "leaving")]


def show_row(status, count, when):
    by_id = {store["store_id"]: store for store in status["stores"]}
    cells = []
    for number in range(1, count + 1):
        store = by_id.get(number)
        if store is None or store["state"] == "gone":
            cells.append("-")
            continue
        mark = "" if store["state"] == "well" else f" {store['state'][:4]}"
        cells.append(f"{store['peers']}/{store['leaders']}/{store['bytes'] >> 20}{mark}")
    kinds = [operator["kind"] for operator in status["operators"]]
    under_way = ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))
    print("{:<9}{:>8}".format(when, status["regions"]) + "".join(COLUMN.format(cell) for cell in cells),
          f" {under_way}", flush=True)


def holds(status, what, argument=None):
    if what == "regions":
        return status["regions"] >= int(argument)
    if what == "whole":
        return status["regions_lacking_replicas"] == 0 and not status["operators"]
    well = [store for store in status["stores"] if store["state"] == "well"]
    if what in ("spread", "led", "shared"):
        counts = [store[{"spread": "peers", "led": "leaders", "shared": "load"}[what]] for store in well]
        return min(counts) > 0 and min(counts) * 100 >= max(counts) * (100 - int(argument))
    if what == "hosted":
        hosts = status["placement"]["member_store_ids"]
        return len(hosts) == int(argument) and set(hosts) <= {store["store_id"] for store in well}
    if what == "empty":
        return all(store["peers"] == 0 for store in status["stores"] if store["store_id"] == int(argument))
    raise SystemExit(__doc__)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    sys.exit(main(*sys.argv[1:]))
