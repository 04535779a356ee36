#!/usr/bin/env python3
"""An independent TinyKv client that tries every answer of the protocol on a running cluster.

  run.py cases    --config FILE --round NAME --keep FILE [--down STORE…]   every case; then what earlier rounds left
  run.py leader   --config FILE --region ID                                the store that leads
  run.py silence  --config FILE --down STORE… --within SECONDS             no quorum: every call is answered in time

One line a case: ok or FAIL, the region, the call, the state. Ends with a count, and status 1 if a case failed.
"""

import argparse
import json
import sys
import time
import traceback
from pathlib import Path

import grpc

import cases
import cases_cleanup  # noqa: F401  each of these declares its cases
import cases_raw  # noqa: F401
import cases_read  # noqa: F401
import cases_region
import cases_services  # noqa: F401
import cases_write  # noqa: F401
from client import Broken, Cluster, checked
from protos import Protos

OWN_PROTOS = Path(__file__).resolve().parents[2] / "proto" / "proto"


def main():
    options = arguments()
    with open(options.config, encoding="utf-8") as file:
        config = json.load(file)
    cluster = Cluster(Protos(options.proto_dir, options.include_dir), config, options.down)
    tally = Tally(options.round)
    try:
        if options.command == "leader":
            print(cluster.leader(options.region))
            return 0
        if options.command == "silence":
            without_a_quorum(cluster, options.within, tally)
        else:
            try_cases(cluster, options, tally)
            recall(cluster, options.keep, tally)
            remember(cluster, options.keep, options.round)
    finally:
        cluster.close()
    print(f"{options.round}: {tally.good} ok, {tally.bad} FAIL, {tally.skipped} not tried", flush=True)
    return 1 if tally.bad else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("cases", "leader", "silence"))
    parser.add_argument("--config", required=True, help="the topology file")
    parser.add_argument("--proto-dir", default=OWN_PROTOS, help="folder with tinykvpb.proto")
    parser.add_argument("--include-dir", action="append", default=[], help="folder with what those files import")
    parser.add_argument("--round", default="cases", help="a name for this round; keys of two rounds never meet")
    parser.add_argument("--keep", help="file in which rounds leave what the next must find")
    parser.add_argument("--down", type=int, nargs="*", default=[], help="stores that are down")
    parser.add_argument("--region", type=int, default=1)
    parser.add_argument("--within", type=float, default=10)
    return parser.parse_args()


class Tally:
    """Prints and counts."""

    def __init__(self, title):
        self.title, self.good, self.bad, self.skipped = title, 0, 0, 0

    def judge(self, where, call, state, function):
        """Runs one case."""
        try:
            note = function()
        except (Broken, grpc.RpcError, ValueError, AttributeError, IndexError, TypeError) as error:
            self.bad += 1
            why = f"{error.code().name} {error.details()}" if isinstance(error, grpc.RpcError) else error
            print(f"FAIL {where} | {call} | {state}\n     {why}", flush=True)
            if not isinstance(error, (Broken, grpc.RpcError)):
                traceback.print_exc()
            return
        if note:
            self.skipped += 1
            print(f"--   {where} | {call} | {state}\n     {note}", flush=True)
        else:
            self.good += 1
            print(f"ok   {where} | {call} | {state}", flush=True)


def try_cases(cluster, options, tally):
    """Every case, in every region where it is about one."""
    for number, (call, state, function, each_region) in enumerate(cases.CASES):
        folder = f"/{time.time_ns()}/{options.round}/{number}/".encode()
        for region in cluster.regions if each_region else list(cluster.regions)[:1]:
            t = cases.Case(cluster, region, folder)
            where = f"region {region}" if each_region else "cluster "
            tally.judge(where, call, state, lambda function=function, t=t: function(t))


def remember(cluster, file, round_name):
    """Leaves transactions in every state, for the rounds after the leaders have moved."""
    kept = json.loads(Path(file).read_text(encoding="utf-8")) if Path(file).exists() else []
    for region in cluster.regions:
        t = cases.Case(cluster, region, f"/kept/{time.time_ns()}/".encode())
        written, gone, held, lost, raw = t.keys("written", "gone", "held", "lost", "raw")
        start, commit = t.write((written, b"v"), (gone, b"v"))
        t.write((cases.DELETE, gone, b""))
        locked, marked = t.ts(), t.ts()
        t.lock(locked, (held, b"v"))
        t.rollback(marked, lost)
        t.call("RawPut", key=raw, value=b"raw")
        kept.append({"round": round_name, "region": region, "folder": t.folder.decode(), "start": start,
                     "commit": commit, "locked": locked, "marked": marked})
    Path(file).write_text(json.dumps(kept), encoding="utf-8")


def recall(cluster, file, tally):
    """Everything that earlier rounds left is as they left it."""
    for kept in json.loads(Path(file).read_text(encoding="utf-8")) if Path(file).exists() else []:
        t = cases.Case(cluster, kept["region"], kept["folder"].encode())

        def as_left(t=t, kept=kept):
            written, gone, held, lost, raw = t.keys("written", "gone", "held", "lost", "raw")
            cases.same((t.get(written, kept["commit"]), t.get(written, kept["commit"] - 1)), (b"v", None), "written")
            cases.same((t.get(gone, kept["commit"]), t.get(gone)), (b"v", None), "deleted")
            cases.same_lock(t.get(held), held, held, kept["locked"])
            cases.same(len(t.prewrite(kept["marked"], [(lost, b"v")])), 1, "errors of what was rolled back")
            cases.same(t.status(written, kept["start"], t.ts()), (0, kept["commit"], 0), "the status")
            cases.same(t.call("RawGet", key=raw).value, b"raw", "the plain key")

        tally.judge(f"region {kept['region']}", "any", f"what was acknowledged in {kept['round']!r} is there", as_left)


def without_a_quorum(cluster, within, tally):
    """Each call gets a region error from every store that is left, in time: nothing hangs, nothing is made up."""
    # The first to ask are writes, all at once: a leader that has just lost its quorum may answer reads for as long as
    # its lease holds. When they are answered, that is over.
    for names in (cases_region.ALWAYS_WRITE, None):
        started = {}
        for store in cluster.stores:
            for region in cluster.regions:
                for name, (fields, _) in cases_region.requests(cluster.some_key(region) + b"quorum").items():
                    if names is None or name in names:
                        context = cluster.context(region, store)
                        call = cluster.start(store, name, timeout=within, context=context, **fields)
                        started[store, region, name] = call, time.monotonic()
        for (store, region, name), (call, began) in started.items():
            state = f"no quorum, {'a write at once' if names else 'later'}: a region error from store {store}"
            tally.judge(f"region {region}", name, state, lambda call=call, began=began: is_refused(call, began))


def is_refused(call, began):
    """The call ends with a region error; tells when it did."""
    answer = checked(call.result())
    cases.holds(answer.HasField("region_error"), f"answered without a quorum: {answer}")
    print(f"     by {time.monotonic() - began:.2f} s: {answer.region_error.message}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
