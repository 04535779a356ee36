"""RawGet, RawPut, RawDelete and RawScan; and many requests at once on one connection."""

from cases import case, holds, same
from client import checked


def put(t, key, value, cf=""):
    """The error of a RawPut."""
    return t.call("RawPut", key=key, value=value, cf=cf).error


def get(t, key, cf=""):
    """The value of a RawGet, or None."""
    answer = t.call("RawGet", key=key, cf=cf)
    same(answer.error, "", "error")
    return None if answer.not_found else answer.value


def scan(t, start, limit, cf=""):
    """The pairs of a RawScan."""
    answer = t.call("RawScan", start_key=start, limit=limit, cf=cf)
    same(answer.error, "", "error")
    return [(pair.key, pair.value) for pair in answer.kvs]


@case("RawPut", "RawGet, RawDelete: what was put is there until it is deleted; an empty value is found")
def raw_life(t):
    key, empty = t.keys("k", "empty")
    same((get(t, key), put(t, key, b"1"), get(t, key)), (None, "", b"1"), "absent, put, present")
    same((put(t, key, b"2"), get(t, key)), ("", b"2"), "put again")
    same((put(t, empty, b""), get(t, empty)), ("", b""), "an empty value")
    same([t.call("RawDelete", key=key).error for _ in range(2)], ["", ""], "errors of two deletes")
    same(get(t, key), None, "after them")
    large = bytes(range(256)) * 4096
    same((put(t, key, large), get(t, key) == large), ("", True), "a value of 1 MiB")


@case("Raw*", 'cf "default" and "" are the same plain keys')
def raw_cf(t):
    key = t.key("k")
    same((put(t, key, b"1", "default"), get(t, key)), ("", b"1"), "put in default, got from nothing")
    same((put(t, key, b"2"), get(t, key, "default")), ("", b"2"), "the other way round")
    same(scan(t, key, 1, "default"), [(key, b"2")], "scan of default")
    same((t.call("RawDelete", key=key, cf="default").error, get(t, key)), ("", None), "deleted from default")


@case("Raw*", "another cf: `error` says so, in every call")
def raw_other_cf(t):
    key = t.key("k")
    put(t, key, b"v")
    for cf in ("write", "lock", "nonsense"):
        answers = [
            t.call("RawGet", key=key, cf=cf), t.call("RawPut", key=key, value=b"w", cf=cf),
            t.call("RawDelete", key=key, cf=cf), t.call("RawScan", start_key=key, limit=9, cf=cf),
        ]
        for answer in answers:
            holds(cf in answer.error, f"the error {answer.error!r} does not name {cf}")
            same(len(answer.ListFields()), 1, "fields beside the error, and itself")
    same(get(t, key), b"v", "the key after it")


@case("RawScan", "limit 0, limit, order, start key")
def raw_scan(t):
    keys = t.keys("a", "b", "c")
    for key in reversed(keys):
        put(t, key, key[-1:])
    expected = [(key, key[-1:]) for key in keys]
    same((scan(t, keys[0], 0), scan(t, keys[0], 2), scan(t, keys[0], 3)), ([], expected[:2], expected), "scans")
    same(scan(t, keys[0] + b"x", 1), expected[1:2], "from an absent key")


@case("RawScan", "end of region: stops there, even if the store has more", each_region=False)
def raw_scan_end(t):
    (left, right) = sorted(t.cluster.regions.values(), key=lambda r: r["start_key"] not in ("", "-"))[:2]
    bound = right["start_key"].encode()
    below, above = bound[:-1] + bytes([bound[-1] - 1]) + b"\xff" + t.folder, bound + b"\xff" + t.folder
    t.region = right["id"]
    same(put(t, above, b"right"), "", "error")
    t.region = left["id"]
    same(put(t, below, b"left"), "", "error")
    seen = scan(t, below, 1000)
    same(seen[0], (below, b"left"), "the last of the left region")
    holds(all(key < above for key, _ in seen), f"a scan of the left region went on to {seen[-1]}")


@case("Raw*", "plain keys are apart from transactional data")
def raw_apart(t):
    key, raw_only, txn_only = t.keys("k", "raw", "txn")
    put(t, key, b"raw")
    put(t, raw_only, b"raw")
    t.write((key, b"txn"), (txn_only, b"txn"))
    same((get(t, key), t.get(key)), (b"raw", b"txn"), "the same key in both")
    same((get(t, txn_only), t.get(raw_only)), (None, None), "a key in the other alone")
    same(scan(t, key, 2), [(key, b"raw"), (raw_only, b"raw")], "a raw scan")
    same(t.scan(key, 2), [(key, b"txn"), (txn_only, b"txn")], "a transactional scan")
    t.call("RawDelete", key=key)
    same(t.get(key), b"txn", "after a RawDelete")


@case("any", "400 requests at once on each connection: every answer goes to its own request")
def own_answers(t):
    for i in range(100):
        put(t, t.key(f"{i:03}"), f"raw {i}".encode())
    t.write(*((t.key(f"{i:03}"), f"txn {i}".encode()) for i in range(100)))
    leader, version = t.cluster.leader(t.region), t.ts()
    context = t.cluster.context(t.region, leader)
    calls = []
    for i in [*range(100), *range(100)]:
        key = t.key(f"{i:03}")
        calls.append((f"raw {i}", t.cluster.start(leader, "RawGet", context=context, key=key)))
        calls.append((f"txn {i}", t.cluster.start(leader, "KvGet", context=context, key=key, version=version)))
    for expected, call in calls:
        same(checked(call.result()).value, expected.encode(), "value")
