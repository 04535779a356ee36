#!/usr/bin/env python3
"""What the scripts ask about a topology file, and about the cluster that runs by it.

  topology.py nodes CONFIG                 one line for each process: its name and where it listens
  topology.py leaders CONFIG SECONDS       waits until every region has a leader; prints region, range and leader
  topology.py replicas CONFIG SECONDS      waits until the replicas of each region have applied the same; compares bytes
  topology.py free-ports CONFIG            the same topology with free ports of this machine, as JSON

A store's status port is its listen port + STATUS_PORT_OFFSET, as `nokv serve` has it by default.
"""

import json
import socket
import sys
import time
import urllib.error
import urllib.request

STATUS_PORT_OFFSET = 1000
POLL_SECONDS = 0.1


def main(command, path, *rest):
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
    if command == "leaders":
        return wait_for(leaders_or_none, config, float(rest[0]), "no leader yet for region(s)")
    if command == "replicas":
        return wait_for(equal_replicas_or_none, config, float(rest[0]), "replicas still differ in region(s)")
    if command == "free-ports":
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


def wait_for(look, config, seconds, complaint):
    """Looks again and again until nothing is missing; prints what it found, or what is missing at the end."""
    deadline = time.monotonic() + seconds
    while True:
        found, missing = look(config)
        if not missing:
            print("\n".join(found))
            return 0
        if time.monotonic() > deadline:
            print(f"{complaint}: {', '.join(missing)}", file=sys.stderr)
            return 1
        time.sleep(POLL_SECONDS)


def leaders_or_none(config):
    """(a line for each region that has a leader, the ids of those that have none)."""
    leaders = {}
    for store in config["stores"]:
        for region in (ask(store, "/status") or {}).get("regions", []):
            if str(region["role"]).lower() == "leader":
                best = leaders.get(region["id"])
                if best is None or region["term"] > best[1]:
                    leaders[region["id"]] = (store["store_id"], region["term"])
    found, missing = [], []
    for region in config["regions"]:
        if region["id"] in leaders:
            bounds = f"{region.get('start_key') or '-'} .. {region.get('end_key') or '-'}"
            found.append(f"region {region['id']} [{bounds}): leader on store {leaders[region['id']][0]}")
        else:
            missing.append(str(region["id"]))
    return found, missing


def equal_replicas_or_none(config):
    """(a line for each region whose replicas hold the same bytes, what differs in the others)."""
    stores = {store["store_id"]: store for store in config["stores"]}
    found, missing = [], []
    for region in config["regions"]:
        digests = [ask(stores[peer["store_id"]], f"/digest?region={region['id']}") for peer in region["peers"]]
        states = [d and (d["applied"], d["digest"], d["keys"]) for d in digests]
        if None not in states and len(set(states)) == 1:
            applied, digest, keys = states[0]
            found.append(f"region {region['id']}: {len(states)} replicas alike at applied index {applied}: "
                         f"{keys} records, digest {digest}")
        else:
            missing.append(f"{region['id']} (applied, digest, records: {states})")
    return found, missing


def with_free_ports(config):
    """Every listener on a port that was free a moment ago, with the status port free as well."""
    held = []

    def port():
        while True:
            first, second = socket.socket(), socket.socket()
            try:
                first.bind(("127.0.0.1", 0))
                number = first.getsockname()[1]
                second.bind(("127.0.0.1", number + STATUS_PORT_OFFSET))
            except (OSError, OverflowError):
                first.close()
                second.close()
                continue
            held.extend((first, second))
            return number

    address = f"127.0.0.1:{port()}"
    config["tso"].update(listen_addr=address, advertise_url=f"http://{address}")
    for store in config["stores"]:
        store["addr"] = store["listen_addr"] = f"127.0.0.1:{port()}"
    for sock in held:
        sock.close()
    return config


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
