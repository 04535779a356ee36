#!/usr/bin/env python3
"""Asks a cluster that is being hurt, through the command line, and judges what it answered.

  chaos.py work NOKV CONFIG LEDGER SECONDS WORKERS   reads and writes until the time is over; a line of JSON for each
  chaos.py judge LEDGER EVENTS                       the verdict, and how long nothing was written after each fault

Every value is written once, by one writer. A register is one key, written and read on its own, or a pair of keys in two
regions that transactions write and read together: then both must always show the same value. EVENTS has lines of
`MILLISECONDS KIND …` for each fault that began; `end` ends the last one.
"""

import json
import random
import re
import subprocess
import sys
import threading
import time

REGISTERS = 6
# Exit code of an outcome that nobody knows; `nokv --help`.
UNDETERMINED = 3
TIMEOUT_SECONDS = 4
NEVER = float("inf")


def keys_of(register):
    """The keys of a register: one, or two in different regions."""
    return [f"b{register}"] if register % 2 == 0 else [f"c{register}", f"x{register}"]


class Worker(threading.Thread):
    """One client, one operation after the other."""

    def __init__(self, number, nokv, config, ledger, deadline):
        super().__init__()
        self.number, self.nokv, self.config = number, nokv, config
        self.ledger, self.deadline = ledger, deadline
        self.random, self.written = random.Random(number), 0

    def run(self):
        while time.time() < self.deadline:
            self.operate()

    def operate(self):
        register = self.random.randrange(REGISTERS)
        value = None
        if self.random.random() < 0.5:
            self.written += 1
            value = self.number * 1_000_000 + self.written
        called = time.time()
        code, out, told = self.ask(register, value)
        line = {"register": register, "called": called, "returned": time.time(), "write": value}
        if value is not None:
            line["outcome"] = {0: "ok", UNDETERMINED: "unknown"}.get(code, "refused")
        else:
            # That nothing is there is an answer, too.
            line["outcome"] = "ok" if code == 0 or "no such key" in told else "refused"
            line["read"] = [int(digits) for digits in re.findall(r"\bv(\d+)\b", out)]
        with LOCK:
            self.ledger.write(json.dumps(line) + "\n")
            self.ledger.flush()

    def ask(self, register, value):
        keys = keys_of(register)
        flags = ["--config", self.config, "--timeout", str(TIMEOUT_SECONDS)]
        if len(keys) == 1:
            words = ["get", *flags, keys[0]] if value is None else ["put", *flags, keys[0], f"v{value}"]
        else:
            steps = [f"get {key}" if value is None else f"put {key} v{value}" for key in keys]
            words = ["txn", *flags, "--", *" -- ".join(steps).split()]
        done = subprocess.run([self.nokv, *words], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr


LOCK = threading.Lock()


def work(nokv, config, ledger_path, seconds, workers):
    with open(ledger_path, "a", encoding="utf-8") as ledger:
        deadline = time.time() + float(seconds)
        threads = [Worker(number, nokv, config, ledger, deadline) for number in range(1, int(workers) + 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return 0


def judge_register(lines):
    """What is wrong with the history of one register; with unique values this is exact (Gibbons and Korach): of each
    value, the earliest end and the latest beginning of an operation on it bound when it was there."""
    wrong, first_end, last_begin, begun = [], {0: -1.0}, {0: -1.0}, {0: -1.0}
    refused, unknown = set(), set()
    for line in lines:
        if line["write"] is None:
            continue
        value = line["write"]
        begun[value] = line["called"]
        if line["outcome"] == "refused":
            refused.add(value)
            continue
        if line["outcome"] == "unknown":
            unknown.add(value)
        first_end[value] = line["returned"] if line["outcome"] == "ok" else NEVER
        last_begin[value] = line["called"]
    for line in lines:
        if line["write"] is not None or line["outcome"] != "ok":
            continue
        if line["read"] and line["read"] != line["read"][:1] * len(keys_of(line["register"])):
            wrong.append(f"a transaction saw half of another: {line}")
        value = line["read"][0] if line["read"] else 0
        if value in refused or value not in begun or line["returned"] < begun[value]:
            wrong.append(f"a value was read that nobody had written: {line}")
            continue
        first_end[value] = min(first_end[value], line["returned"])
        last_begin[value] = max(last_begin[value], line["called"])
    zones = [(first_end[v], last_begin[v], v) for v in first_end if first_end[v] != NEVER]
    forward = sorted((f, s, v) for f, s, v in zones if f < s)
    for (_, end, one), (begin, _, other) in zip(forward, forward[1:]):
        if begin < end:
            wrong.append(f"{one} and {other} were both there at the same time")
    for begin, end, value in ((s, f, v) for f, s, v in zones if f >= s):
        if any(f < begin and end < s for f, s, _ in forward):
            wrong.append(f"{value} was written while another value was there throughout")
    return wrong


def judge(ledger_path, events_path):
    with open(ledger_path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    wrong = []
    for register in range(REGISTERS):
        wrong += judge_register([line for line in lines if line["register"] == register])
    outcomes = [(line["outcome"], "write" if line["write"] is not None else "read") for line in lines]
    for outcome in ("ok", "refused", "unknown"):
        counts = ", ".join(f"{outcomes.count((outcome, kind))} {kind}s" for kind in ("write", "read"))
        print(f"{outcome:<8} {counts}")
    print_outages(lines, events_path)
    print("\n".join(wrong[:10]) if wrong else "registers and pairs: linearizable")
    return 1 if wrong or not any(outcome == "ok" for outcome, _ in outcomes) else 0


def print_outages(lines, events_path):
    """For each kind of fault: how often, and the longest time without a write that was acknowledged."""
    with open(events_path, encoding="utf-8") as file:
        events = [(int(words[0]) / 1000, words[1]) for words in map(str.split, file) if len(words) > 1]
    acknowledged = sorted(line["returned"] for line in lines if line["write"] is not None and line["outcome"] == "ok")
    longest, count = {}, {}
    for (begin, kind), (end, _) in zip(events, events[1:]):
        moments = [begin, *[moment for moment in acknowledged if begin <= moment < end], end]
        gap = max(after - before for before, after in zip(moments, moments[1:]))
        longest[kind], count[kind] = max(gap, longest.get(kind, 0)), count.get(kind, 0) + 1
    print(f"{'fault':<12} {'times':>5} {'longest without an acknowledged write':>40}")
    for kind in sorted(longest):
        print(f"{kind:<12} {count[kind]:>5} {longest[kind]:>38.1f} s")


def main(command, *rest):
    if command == "work" and len(rest) == 5:
        return work(*rest)
    if command == "judge" and len(rest) == 2:
        return judge(*rest)
    raise SystemExit(__doc__)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    sys.exit(main(*sys.argv[1:]))
