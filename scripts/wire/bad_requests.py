#!/usr/bin/env python3
"""Sends requests that are wrong, straight to the stores of a running cluster, and shows what they are told.

  bad_requests.py CONFIG       one block each: ok or FAIL, what was sent, and the answer word for word

Ends with status 1 if an answer is not the one that is due.
"""

import json
import sys

import grpc

from cases import Case
from client import Broken, Cluster, checked
from run import OWN_PROTOS
from protos import Protos

MIB = 1 << 20


def main(config):
    with open(config, encoding="utf-8") as file:
        cluster = Cluster(Protos(OWN_PROTOS), json.load(file))
    region, other = list(cluster.regions)[:2]
    t = Case(cluster, region, b"/bad-input/")
    leader = cluster.leader(region)
    follower = next(store for store in cluster.stores if store != leader)
    key, outside, start = t.key("k"), cluster.some_key(other) + b"z", t.ts()
    right = cluster.context(region, leader)
    put = {"key": key, "value": b"v"}
    t.lock(start, (key, b"v"))
    # What is sent, the call, its fields, and the field of the region error, key error or gRPC status that is due.
    trials = [
        ("a request for store 9, sent to another", "RawPut",
         {"context": {**right, "peer": {"id": 9, "store_id": 9}}, **put}, "store_not_match"),
        ("a request for region 99", "RawPut", {"context": {**right, "region_id": 99}, **put}, "region_not_found"),
        ("a request to a follower", "RawPut", {"context": cluster.context(region, follower), **put}, "not_leader"),
        ("a request with an old epoch", "RawPut",
         {"context": {**right, "region_epoch": {"conf_ver": 1, "version": 0}}, **put}, "epoch_not_match"),
        ("a key of another region", "RawPut", {"context": right, "key": outside, "value": b"v"}, "key_not_in_region"),
        ("a term that is over", "RawPut", {"context": {**right, "term": 1}, **put}, "stale_command"),
        ("no context", "RawPut", put, "INVALID_ARGUMENT"),
        ("a context without a region", "RawPut", {"context": {}, **put}, "INVALID_ARGUMENT"),
        ("an empty key to put", "RawPut", {"context": right, "value": b"v"}, "INVALID_ARGUMENT"),
        ("an empty key to prewrite", "KvPrewrite",
         {"context": right, "mutations": [{"value": b"v"}], "primary_lock": key, "start_version": start},
         "INVALID_ARGUMENT"),
        ("a value of 64 MiB", "RawPut", {"context": right, "key": key, "value": b"v" * 64 * MIB}, "OUT_OF_RANGE"),
        ("a value of 9 MiB", "RawPut", {"context": right, "key": key, "value": b"v" * 9 * MIB}, "raft_entry_too_large"),
        ("commit_version = start_version", "KvCommit",
         {"context": right, "keys": [key], "start_version": start, "commit_version": start}, "abort"),
        ("commit_version < start_version", "KvCommit",
         {"context": right, "keys": [key], "start_version": start, "commit_version": start - 1}, "abort"),
    ]
    failed = 0
    for sent, call, fields, due in trials:
        store = follower if due == "not_leader" else leader
        try:
            kind, text = answer_to(cluster, store, call, fields)
        except Broken as error:
            kind, text = "broken", str(error)
        failed += kind != due
        print(f"{'ok  ' if kind == due else 'FAIL'} {sent} ({call} to store {store})")
        print(f"     {kind}: {text}" if kind == due else f"     {kind} instead of {due}: {text}")
    cluster.close()
    return 1 if failed else 0


def answer_to(cluster, store, call, fields):
    """(kind, all that is said) of an answer."""
    try:
        answer = checked(cluster.start(store, call, **fields).result())
    except grpc.RpcError as error:
        return error.code().name, error.details()
    if answer.HasField("region_error"):
        kind = next(field.name for field, _ in answer.region_error.ListFields() if field.name != "message")
        return kind, on_one_line(answer.region_error)
    error = getattr(answer, "error", None)
    if error and not isinstance(error, str):
        return next(field.name for field, _ in error.ListFields()), on_one_line(error)
    return ("error", error) if error else ("answered", on_one_line(answer))


def on_one_line(message):
    return " ".join(str(message).split())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    sys.exit(main(sys.argv[1]))
