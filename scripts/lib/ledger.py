#!/usr/bin/env python3
"""What the loader's ledger and the list of events say together: how many transactions ended how, and the longest time
without a successful commit around each event.

  ledger.py LEDGER EVENTS

Ledger lines: `unix_ms outcome transaction …`, outcome acknowledged, refused or undetermined.
Event lines: `unix_ms what …`; an event lasts until the next one.
"""

import sys
from collections import Counter
from pathlib import Path

# What the scenarios aim at; printed beside the figures, a matter of the machine's load, not of correctness.
AIM_MS = 3000


def main(ledger_path, events_path):
    ends = [line.split() for line in Path(ledger_path).read_text().splitlines()]
    events = [line.split(maxsplit=1) for line in Path(events_path).read_text().splitlines()]
    outcomes = Counter(end[1] for end in ends)
    print("transactions:", ", ".join(f"{outcomes[o]} {o}" for o in ("acknowledged", "refused", "undetermined")))
    acknowledged = sorted(int(end[0]) for end in ends if end[1] == "acknowledged")
    pauses = [(pause, what) for pause, what in longest_pauses(acknowledged, events) if disturbs(what)]
    for pause, what in pauses:
        print(f"  {pause:6} ms without a commit at most after: {what}")
    if pauses:
        late = sum(pause >= AIM_MS for pause, _ in pauses)
        print(f"longest pause: {max(pauses)[0]} ms; {late} of {len(pauses)} reach the aim's limit of {AIM_MS} ms")
    return 0


def disturbs(what):
    """Whether the event takes something away (the others give it back)."""
    return what.startswith(("kill", "SIGSTOP"))


def longest_pauses(acknowledged, events):
    """(longest time between two acknowledgements from the event on, the event), for each event. An interval counts
    from its own beginning, which may lie before the event, up to the next event that takes something away."""
    found = []
    for number, (start, what) in enumerate(events):
        following = next((int(at) for at, later in events[number + 1:] if disturbs(later)), float("inf"))
        pauses = [min(after, following) - before for before, after in zip(acknowledged, acknowledged[1:])
                  if after > int(start) and before < following]
        found.append((max(pauses, default=0), what))
    return found


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
