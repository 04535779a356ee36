#!/usr/bin/env python3
"""Chooses something to do to some region: prints the words of one `nokv region` command, or nothing if there is nothing
to be done. Reads what `nokv regions --json` printed.

  region_ops.py KIND SEED KEYS < REGIONS     KIND: split, merge, move or transfer; KEYS: a file of keys, one a line

The same seed and the same regions make the same choice. A move is two commands: add-peer, then remove-peer.
"""

import json
import random
import sys

# Split no further than this: each region costs every node ticks and memory.
REGIONS_MAX = 30
STORES = (1, 2, 3, 4)


def main(kind, seed, keys_path):
    regions = sorted(json.load(sys.stdin), key=lambda region: key_bytes(region["start_key"]))
    choose = random.Random(int(seed))
    with open(keys_path, encoding="utf-8") as file:
        keys = file.read().split()
    commands = {"split": split, "merge": merge, "move": move, "transfer": transfer}[kind](regions, choose, keys)
    for command in commands:
        print(*command)


def key_bytes(text):
    if text in ("", "-"):
        return b""
    return bytes.fromhex(text[4:]) if text.startswith("hex:") else text.encode()


def split(regions, choose, keys):
    if len(regions) >= REGIONS_MAX:
        return []
    region = choose.choice(regions)
    start, end = key_bytes(region["start_key"]), key_bytes(region["end_key"])
    inside = [key for key in keys if start < key.encode() and (not end or key.encode() < end)]
    return [("split", region["id"], choose.choice(inside))] if inside else []


def merge(regions, choose, _keys):
    """Some region into its left or right neighbour. Neighbours on other stores are refused, which is fine."""
    pairs = list(zip(regions, regions[1:]))
    if not pairs:
        return []
    pair = list(choose.choice(pairs))
    choose.shuffle(pair)
    return [("merge", pair[0]["id"], pair[1]["id"])]


def move(regions, choose, _keys):
    region = choose.choice(regions)
    members = [peer["store_id"] for peer in region["peers"]]
    others = [store for store in STORES if store not in members]
    commands = [("add-peer", region["id"], choose.choice(others))] if others else []
    if len(members) > 2:
        commands.append(("remove-peer", region["id"], choose.choice(members)))
    return commands


def transfer(regions, choose, _keys):
    region = choose.choice(regions)
    followers = [peer["store_id"] for peer in region["peers"] if peer["store_id"] != region["leader_store_id"]]
    return [("transfer-leader", region["id"], choose.choice(followers))] if followers else []


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
