"""Makes a topology of many regions, and looks at the stores that serve it: who leads, who sleeps, what it costs.

  many_regions.py topology BASE.json COUNT            the base's stores, with COUNT regions, leaders in turn
  many_regions.py wait COUNT SECONDS SINCE_MS ADDR…   until the stores at these status addresses lead COUNT regions;
                                                      prints the milliseconds since SINCE_MS
  many_regions.py idle SECONDS LABEL PID… -- ADDR…    a row of the table: CPU and memory of the processes, sleepers
"""

import json
import os
import sys
import time
import urllib.request

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def topology(base, count):
    with open(base, encoding="utf-8") as file:
        made = json.load(file)
    stores = [store["store_id"] for store in made["stores"]]
    bounds = ["-"] + [f"key-{number:06}" for number in range(1, count)] + ["-"]
    made["regions"] = [
        {
            "id": number,
            "start_key": bounds[number - 1],
            "end_key": bounds[number],
            "epoch": {"version": 1, "conf_version": 1},
            "peers": [{"store_id": store, "peer_id": number * 10 + place} for place, store in enumerate(stores, 1)],
            "leader_store_id": stores[number % len(stores)],
        }
        for number in range(1, count + 1)
    ]
    json.dump(made, sys.stdout, indent=1)


def figures(address):
    """The store's figures without labels, by name; none if it does not answer."""
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as page:
            lines = page.read().decode().splitlines()
    except OSError:
        return {}
    pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#") and "{" not in line)
    return {name: float(value) for name, value in pairs}


def total(addresses, name):
    return int(sum(figures(address).get(name, 0) for address in addresses))


def wait(count, seconds, since_ms, addresses):
    deadline = time.monotonic() + seconds
    while (led := total(addresses, "nokv_regions_led")) < count:
        if time.monotonic() > deadline:
            sys.exit(f"after {seconds} s only {led} of {count} regions have a leader")
        time.sleep(0.1)
    print(time.time_ns() // 1_000_000 - since_ms)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        after_name = file.read().rsplit(")", 1)[1].split()
    return (int(after_name[11]) + int(after_name[12])) / TICKS_PER_SECOND


def resident_mib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        line = next(line for line in file if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def idle(seconds, label, pids, addresses):
    before, began = [cpu_seconds(pid) for pid in pids], time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    share = [(cpu_seconds(pid) - cpu) / took * 100 for pid, cpu in zip(pids, before)]
    memory = [resident_mib(pid) for pid in pids]
    asleep = total(addresses, "nokv_regions_asleep")
    print(
        f"| {label} | {' '.join(f'{cpu:.1f}' for cpu in share)} | {' '.join(f'{mib:.0f}' for mib in memory)} "
        f"| {asleep} | {os.getloadavg()[0]:.1f} |"
    )


def main(arguments):
    match arguments:
        case ["topology", base, count]:
            topology(base, int(count))
        case ["wait", count, seconds, since_ms, *addresses]:
            wait(int(count), float(seconds), int(since_ms), addresses)
        case ["idle", seconds, label, *rest]:
            at = rest.index("--")
            idle(float(seconds), label, rest[:at], rest[at + 1 :])
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
