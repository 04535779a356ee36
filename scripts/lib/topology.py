#!/usr/bin/env python3
"""What the scripts ask about a topology file, and about the cluster that runs by it.

  topology.py nodes CONFIG                 one line for each process: its name and where it listens
  topology.py replicas CONFIG SECONDS      waits until the replicas of each region have applied the same; compares bytes
  topology.py live CONFIG                  one line for each region that there is now; fails if they leave a gap
  topology.py free-addresses COUNT         so many nodes of a cluster without a topology, in the form of `nodes`
  topology.py free-ports CONFIG [SPARES]   the same topology with free ports of this machine, as JSON, and with so many
                                           stores more, which hold no region

A store's status port is its listen port + STATUS_PORT_OFFSET, as `nokv serve` has it by default.
"""

import json
import random
import socket
import sys
import time
import urllib.error
import urllib.request

STATUS_PORT_OFFSET = 1000
POLL_SECONDS = 0.1


def main(command, path, *rest):
    if command == "free-addresses":
        return show_free_addresses(int(path))
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    if "tso" not in config:
        raise SystemExit(f"{path} names no timestamp server (tso): a cluster on this machine needs one")
    if command == "nodes":
        print("tso", config["tso"]["listen_addr"])
        for store in config["stores"]:
            host, port = listen_address(store).rsplit(":", 1)
            print(f"store-{store['store_id']}", f"{host}:{port}", f"{host}:{int(port) + STATUS_PORT_OFFSET}")
        return 0
    if command == "replicas":
        return wait_for_equal_replicas(config, float(rest[0]))
    if command == "live":
        return show_live_regions(config)
    if command == "free-ports":
        add_spares(config, int(rest[0]) if rest else 0)
        print(json.dumps(with_free_ports(config), indent=2))
        return 0
    raise SystemExit(__doc__)


def listen_address(store):
    """Where the store listens: listen_addr, or else the address that others dial."""
    return store.get("listen_addr") or store["addr"]


def split(address):
    """`127.0.0.1:20160` -> host to dial and port; a wildcard is dialled at loopback."""
    host, port = address.rsplit(":", 1)
    host = host.strip("[]")
    return ("127.0.0.1" if host in ("", "0.0.0.0", "::") else host), int(port)


def ask(store, path):
    """The JSON that a store's status port answers, or None while it does not."""
    host, port = split(listen_address(store))
    try:
        with urllib.request.urlopen(f"http://{host}:{port + STATUS_PORT_OFFSET}{path}", timeout=30) as answer:
            return json.load(answer)
    except (OSError, urllib.error.URLError, ValueError):
        return None


def wait_for_equal_replicas(config, seconds):
    """Looks again and again until all agree; prints what it found, or what differs at the end."""
    deadline = time.monotonic() + seconds
    while True:
        alike, different = compare_replicas(config)
        if not different:
            print("\n".join(alike))
            return 0
        if time.monotonic() > deadline:
            print(f"replicas differ: {'; '.join(different)}", file=sys.stderr)
            return 1
        time.sleep(POLL_SECONDS)


def compare_replicas(config):
    """(a line for each region whose replicas hold the same bytes, a line for each of the others). The regions are those
    that the stores have now."""
    stores = {store["store_id"]: store for store in config["stores"]}
    alike, different = [], []
    regions, holders = live_regions(config)
    if (gap := find_gap(regions)) is not None:
        different.append(f"no region holds the keys from {gap}")
    for region in regions:
        members = {peer["store_id"] for peer in region["peers"]}
        if members != holders[region["id"]]:
            held = sorted(holders[region["id"]])
            different.append(f"region {region['id']} has peers on stores {sorted(members)}, but {held} hold it")
        digests = [ask(stores[store], f"/digest?region={region['id']}") for store in sorted(members)]
        states = [d and (d["applied_index"], d["digest"], d["records"]) for d in digests]
        if None not in states and len(set(states)) == 1:
            applied, digest, records = states[0]
            alike.append(f"region {region['id']}: {len(states)} replicas alike at applied index {applied}: "
                         f"{records} records, digest {digest}")
        else:
            different.append(f"region {region['id']} (applied, digest, records: {states})")
    return alike, different


def live_regions(config):
    """(the regions as the stores that answer have them, the newest description of each, by first key; and which stores
    hold each)."""
    newest, holders = {}, {}
    for store in config["stores"]:
        for region in (ask(store, "/status") or {"regions": []})["regions"]:
            holders.setdefault(region["id"], set()).add(store["store_id"])
            known = newest.get(region["id"])
            if known is None or epoch(known) < epoch(region):
                newest[region["id"]] = region
    return sorted(newest.values(), key=lambda region: key_bytes(region["start_key"])), holders


def epoch(region):
    return region["epoch"]["version"], region["epoch"]["conf_version"]


def key_bytes(text):
    """A key as every tool prints it; no bound is the empty key."""
    if text in ("", "-"):
        return b""
    return bytes.fromhex(text[4:]) if text.startswith("hex:") else text.encode()


def find_gap(regions):
    """The first key that no region holds, or that two do; None if they hold each key once."""
    expected = "-"
    for region in regions:
        if key_bytes(region["start_key"]) != key_bytes(expected):
            return expected
        expected = region["end_key"]
        if key_bytes(expected) == b"":
            return None if region is regions[-1] else region["start_key"]
    return expected


def show_live_regions(config):
    regions, holders = live_regions(config)
    for region in regions:
        stores = ",".join(str(store) for store in sorted(holders[region["id"]]))
        print(region["id"], region["start_key"], region["end_key"], stores)
    gap = find_gap(regions)
    if gap is not None:
        print(f"no region holds the keys from {gap}, or two do", file=sys.stderr)
    return 0 if gap is None else 1


def show_free_addresses(count):
    held = []
    for store_id in range(1, count + 1):
        port = free_port(held)
        print(f"store-{store_id}", f"127.0.0.1:{port}", f"127.0.0.1:{port + STATUS_PORT_OFFSET}")
    return 0


def add_spares(config, count):
    """Stores that no region names: they begin empty."""
    for _ in range(count):
        store_id = max(store["store_id"] for store in config["stores"]) + 1
        config["stores"].append({"store_id": store_id, "addr": ""})


def with_free_ports(config):
    """Every listener on a port that was free a moment ago, with the status port free as well."""
    held = []
    address = f"127.0.0.1:{free_port(held)}"
    config["tso"].update(listen_addr=address, advertise_url=f"http://{address}")
    for store in config["stores"]:
        store["addr"] = store["listen_addr"] = f"127.0.0.1:{free_port(held)}"
    for sock in held:
        sock.close()
    return config


def free_port(held):
    """A free port whose status port is free, too; `held` keeps both until all are found. Below the range from which
    the system gives ports to outgoing connections: none of those can take the port while its node is down."""
    while True:
        number = random.randrange(21000, 31000)
        pair = [socket.socket(), socket.socket()]
        try:
            for sock, port in zip(pair, (number, number + STATUS_PORT_OFFSET)):
                sock.bind(("127.0.0.1", port))
        except OSError:
            for sock in pair:
                sock.close()
            continue
        held.extend(pair)
        return number


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
