"""Region errors, in their order, for every call; and requests that are wrong whatever the region's state."""

from cases import DELETE, ROLLBACK, Case, case, holds, same
from client import Broken

MIB = 1 << 20
ABSENT = 987_654
# Calls that leave something behind whatever was there before; a commit of nothing, say, writes nothing.
ALWAYS_WRITE = ("KvPrewrite", "KvCheckTxnStatus", "KvBatchRollback", "RawPut", "RawDelete")


def requests(key):
    """Every unary call about keys, with fields that touch `key`, and whether it writes."""
    mutation = {"op": 0, "key": key, "value": b"v"}
    ts = Case.ts()
    return {
        "KvGet": ({"key": key, "version": ts}, False),
        "KvScan": ({"start_key": key, "limit": 1, "version": ts}, False),
        "KvPrewrite": ({"mutations": [mutation], "primary_lock": key, "start_version": ts, "lock_ttl": 1}, True),
        "KvCommit": ({"keys": [key], "start_version": ts, "commit_version": ts + 1}, True),
        "KvCheckTxnStatus": ({"primary_key": key, "lock_ts": ts, "current_ts": ts}, True),
        "KvBatchRollback": ({"keys": [key], "start_version": ts}, True),
        "KvResolveLock": ({"start_version": ts, "commit_version": 0}, False),
        "RawGet": ({"key": key}, False),
        "RawPut": ({"key": key, "value": b"v"}, True),
        "RawDelete": ({"key": key}, True),
        "RawScan": ({"start_key": key, "limit": 1}, False),
    }


def encoded(key):
    """A bound as regions keep it: groups of eight bytes, each followed by how many of them count."""
    if key in ("", "-"):
        return b""
    raw = key.encode()
    groups = [raw[i:i + 8] for i in range(0, len(raw) + 1, 8)]
    return b"".join(group.ljust(8, b"\0") + bytes([0xFF - 8 + len(group)]) for group in groups)


def other_region(t):
    return next(meta for meta in t.cluster.regions.values() if meta["id"] != t.region)


def region_error(t, store, name, fields, **changes):
    """The region error that a request must get."""
    context = {**t.cluster.context(t.region, store), **changes}
    answer = t.cluster.send(store, name, context=context, **fields)
    if not answer.HasField("region_error"):
        raise Broken(f"{name} was answered: {answer}")
    return answer.region_error


def order(name):
    """Declares the case of one call: from wrong in everything to right, one error after the other."""
    @case(name, "store_not_match > region_not_found > not_leader > epoch_not_match > key_not_in_region > stale_command")
    def in_order(t):
        leader = t.cluster.leader(t.region)
        follower = next(store for store in t.cluster.stores if store != leader)
        outside = t.cluster.some_key(other_region(t)["id"]) + b"z"
        # A resolve names no key, so none can be outside.
        wrong = {"region_epoch": {"conf_ver": 7, "version": 7}, "term": 999_999}
        fields, right = requests(outside)[name][0], requests(t.key("k"))[name][0]
        everywhere = {"peer": {"id": 1, "store_id": ABSENT}, "region_id": ABSENT}
        told = region_error(t, follower, name, fields, **wrong, **everywhere).store_not_match
        same((told.request_store_id, told.actual_store_id), (ABSENT, follower), "store_not_match")
        told = region_error(t, follower, name, fields, **wrong, region_id=ABSENT)
        same(told.region_not_found.region_id, ABSENT, "region_not_found")
        told = region_error(t, follower, name, fields, **wrong).not_leader
        meta = t.cluster.context(t.region, leader)["peer"]
        same((told.region_id, told.leader.id, told.leader.store_id), (t.region, meta["id"], leader), "not_leader")
        epoch_tells_the_region(t, region_error(t, leader, name, fields, **wrong).epoch_not_match)
        if name != "KvResolveLock":
            told = region_error(t, leader, name, fields, term=999_999).key_not_in_region
            bounds = encoded(t.meta["start_key"]), encoded(t.meta["end_key"])
            same((told.key, told.region_id), (outside, t.region), "key_not_in_region")
            same((told.start_key, told.end_key), bounds, "its bounds")
        told = region_error(t, leader, name, right, term=999_999)
        holds(told.HasField("stale_command"), f"stale_command instead of {told}")
        answer = t.cluster.send(leader, name, context=t.cluster.context(t.region, leader), **right)
        holds(not answer.HasField("region_error"), f"the request that is right got {answer}")


def epoch_tells_the_region(t, error):
    """current_regions begins with the region as it is."""
    holds(len(error.current_regions) >= 1, "epoch_not_match without current regions")
    told, meta = error.current_regions[0], t.meta
    peers = sorted((peer.id, peer.store_id) for peer in told.peers)
    epoch = (told.region_epoch.conf_ver, told.region_epoch.version)
    same((told.id, told.start_key, told.end_key), (t.region, encoded(meta["start_key"]), encoded(meta["end_key"])),
         "id and bounds of the current region")
    same(epoch, (meta["epoch"]["conf_version"], meta["epoch"]["version"]), "its epoch")
    same(peers, sorted((peer["peer_id"], peer["store_id"]) for peer in meta["peers"]), "its peers")


for call in requests(b"k"):
    order(call)


@case("Kv*", "an older or a newer version of the region: epoch_not_match; of its members alone: served, as TinyKV does")
def epochs(t):
    leader, fields = t.cluster.leader(t.region), requests(t.key("k"))["KvGet"][0]
    for conf_ver, version in ((1, 0), (1, 2), (0, 0)):
        epoch = {"conf_ver": conf_ver, "version": version}
        told = region_error(t, leader, "KvGet", fields, region_epoch=epoch)
        holds(told.HasField("epoch_not_match"), f"epoch {epoch}: {told}")
    for conf_ver in (0, 2):
        context = {**t.cluster.context(t.region, leader), "region_epoch": {"conf_ver": conf_ver, "version": 1}}
        answer = t.cluster.send(leader, "KvGet", context=context, **fields)
        holds(answer.not_found, f"conf_ver {conf_ver}: {answer}")


@case("Kv*", "one key of several outside the region: key_not_in_region, nothing is written")
def outside_in_part(t):
    inside, outside = t.key("in"), t.cluster.some_key(other_region(t)["id"]) + b"out"
    leader, start = t.cluster.leader(t.region), t.ts()
    mutations = [{"op": 0, "key": key, "value": b"v"} for key in (inside, outside)]
    fields = {"mutations": mutations, "primary_lock": inside, "start_version": start, "lock_ttl": 1}
    same(region_error(t, leader, "KvPrewrite", fields).key_not_in_region.key, outside, "the key it names")
    same(t.get(inside), None, "the key inside")
    t.lock(start, (inside, b"v"))
    keys = {"keys": [inside, outside], "start_version": start}
    for name, more in (("KvCommit", {"commit_version": t.ts()}), ("KvBatchRollback", {})):
        told = region_error(t, leader, name, {**keys, **more})
        same((told.key_not_in_region.key, t.get(inside).lock_version), (outside, start), f"{name}: key, and the lock")


@case("any", "without a context, or without a region id: InvalidArgument that says what is missing", each_region=False)
def no_context(t):
    for name, (fields, _) in requests(t.key("k")).items():
        for context, word in ((None, "context"), ({"region_epoch": {"version": 1}}, "region_id")):
            code, text = t.refused(name, context=context, **fields)
            holds(code == "INVALID_ARGUMENT" and word in text, f"{name} without {word}: {code} {text!r}")


@case("any", "an empty key to write: InvalidArgument that says so", each_region=False)
def empty_key(t):
    leader = t.cluster.leader(t.region)
    context = t.cluster.context(t.region, leader)
    for name, (fields, writes) in requests(b"").items():
        if writes:
            code, text = t.refused(name, leader, context=context, **fields)
            holds(code == "INVALID_ARGUMENT" and "empty" in text, f"{name}: {code} {text!r}")


@case("KvPrewrite", "an op that is no mutation, an empty primary: InvalidArgument", each_region=False)
def no_mutation(t):
    leader, key = t.cluster.leader(t.region), t.key("k")
    fields = {"context": t.cluster.context(t.region, leader), "start_version": t.ts(), "lock_ttl": 1}
    for op, primary in ((ROLLBACK, key), (9, key), (DELETE, b"")):
        code, text = t.refused("KvPrewrite", leader, mutations=[{"op": op, "key": key}], primary_lock=primary, **fields)
        word = "op" if primary else "primary_lock"
        holds(code == "INVALID_ARGUMENT" and word in text, f"op {op}, primary {primary}: {code} {text!r}")


@case("RawPut", "64 MiB value: refused by its length, and the connection goes on; KvPrewrite as well")
def too_large(t):
    leader, value = t.cluster.leader(t.region), b"v" * (64 * MIB)
    context, key = t.cluster.context(t.region, leader), t.key("k")
    fields = {"mutations": [{"op": 0, "key": key, "value": value}], "primary_lock": key, "start_version": t.ts()}
    for name, more in (("RawPut", {"key": key, "value": value}), ("KvPrewrite", fields)):
        code, text = t.refused(name, leader, context=context, **more)
        holds(code in ("OUT_OF_RANGE", "RESOURCE_EXHAUSTED") and "16777216" in text, f"{name}: {code} {text!r}")
    same((t.get(key), t.call("RawGet", key=key).not_found), (None, True), "the key after it")


@case("RawPut", "9 MiB value: a region error (raft_entry_too_large); 7 MiB: ok")
def large(t):
    leader, key = t.cluster.leader(t.region), t.key("k")
    told = region_error(t, leader, "RawPut", {"key": key, "value": b"v" * (9 * MIB)})
    holds("larger than" in told.message and "split it" in told.message, f"message {told.message!r}")
    value = b"v" * (7 * MIB)
    same(t.call("RawPut", key=key, value=value).error, "", "error of 7 MiB")
    same(t.call("RawGet", key=key).value == value, True, "the value is as it was")


@case("any", "a key of 64 KiB: ok; longer: InvalidArgument with the bound")
def long_key(t):
    key = t.key("").ljust(64 << 10, b"k")
    t.write((key, b"v"))
    same(t.get(key), b"v", "the value")
    leader = t.cluster.leader(t.region)
    code, text = t.refused("RawPut", leader, context=t.cluster.context(t.region, leader), key=key + b"k", value=b"v")
    holds(code == "INVALID_ARGUMENT" and "65536" in text, f"{code} {text!r}")
