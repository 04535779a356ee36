"""KvGet and KvScan."""

from cases import DELETE, LOCK, PUT, case, holds, same, same_lock


@case("KvGet", "lock with start_ts <= version: error.locked {key, primary_lock, lock_version, lock_ttl}")
def get_locked(t):
    key, primary = t.keys("k", "primary")
    start = t.ts()
    t.lock(start, (key, b"v"), (primary, b"v"), primary=primary)
    same_lock(t.get(key, start), key, primary, start)
    same_lock(t.get(key), key, primary, start)


@case("KvGet", "lock with start_ts > version: ignored")
def get_below_lock(t):
    key = t.key("k")
    _, commit = t.write((key, b"old"))
    start = t.ts()
    t.lock(start, (key, b"new"))
    same((t.get(key, start - 1), t.get(key, commit)), (b"old", b"old"), "values below the lock")


@case("KvGet", "newest record <= version is Put / Delete / nothing: value / not_found / not_found")
def get_newest(t):
    key = t.key("k")
    before = t.ts()
    _, first = t.write((key, b"one"))
    _, second = t.write((key, b"two"))
    _, third = t.write((DELETE, key, b""))
    seen = [t.get(key, at) for at in (before, first - 1, first, second - 1, second, third - 1, third, t.ts())]
    same(seen, [None, None, b"one", b"one", b"two", b"two", None, None], "values over time")


@case("KvGet", "an empty value is found")
def get_empty(t):
    t.write((t.key("k"), b""))
    answer = t.call("KvGet", key=t.key("k"), version=t.ts())
    same((answer.value, answer.not_found, answer.HasField("error")), (b"", False, False), "value, not_found, error")


@case("KvGet", "Rollback and Lock records are skipped: they hide nothing")
def get_past_marks(t):
    key = t.key("k")
    t.write((key, b"v"))
    for _ in range(20):
        same(t.rollback(t.ts(), key), None, "error of a rollback")
        t.write((LOCK, key, b""))
    same(t.get(key), b"v", "the value behind 20 rollback marks and 20 Lock records")
    other = t.key("only-marks")
    t.rollback(t.ts(), other)
    same(t.get(other), None, "a key with nothing but a mark")


@case("KvGet", "a point read is not disturbed by the next larger live key")
def get_before_larger(t):
    small, large = t.keys("k1", "k1x")
    t.write((large, b"large"))
    same(t.get(small), None, "an absent key before a live one")
    t.write((small, b"small"))
    same((t.get(small), t.get(large)), (b"small", b"large"), "both keys")


@case("KvGet", "values around what is kept inline, of 1 MiB, and keys with every byte come back as they were")
def get_sizes(t):
    for size in (1, 254, 255, 256, 257, 4096, 1 << 20):
        value = bytes(i * 31 % 251 for i in range(min(size, 4096))) * (size // 4096 or 1)
        key = t.key("size") + size.to_bytes(4, "big")
        t.write((key, value))
        same(t.get(key), value, f"a value of {size} bytes")
    key = t.key("bytes") + bytes(range(256))
    t.write((key, b"v"))
    same((t.get(key), t.scan(key, 1)), (b"v", [(key, b"v")]), "a key with every byte")


@case("KvScan", "limit 0: no pairs")
def scan_none(t):
    t.write((t.key("k"), b"v"))
    same(t.scan(t.key(), 0), [], "pairs")


@case("KvScan", "limit: so many pairs, in order of keys, from the start key on, at the snapshot")
def scan_limit(t):
    keys = t.keys("a", "b", "c", "d")
    _, old = t.write(*((key, b"old") for key in reversed(keys)))
    t.write((keys[1], b"new"), (DELETE, keys[2], b""))
    same(t.scan(keys[0], 2), [(keys[0], b"old"), (keys[1], b"new")], "two pairs")
    same(t.scan(keys[1], 2), [(keys[1], b"new"), (keys[3], b"old")], "two pairs from the second, the third deleted")
    same(t.scan(keys[0] + b"x", 1), [(keys[1], b"new")], "a start key that is absent")
    same(t.scan(keys[0], 4, old), [(key, b"old") for key in keys], "the older snapshot")
    holds(not {key for key, _ in t.scan(keys[0], 4, old - 1)} & set(keys), "before all of them there are some")


@case("KvScan", "a locked key in range: a pair with that key's error.locked; the scan goes on with the others")
def scan_locked(t):
    keys = t.keys("a", "b", "c", "d")
    t.write(*((key, b"v") for key in keys[:3]))
    start = t.ts()
    t.lock(start, (keys[1], b"w"), (keys[3], b"w"), primary=keys[3])
    pairs = t.scan(keys[0], 4)
    same([key for key, _ in pairs], keys, "keys, in order")
    same((pairs[0][1], pairs[2][1]), (b"v", b"v"), "the values that are free")
    same_lock(pairs[1][1], keys[1], keys[3], start)
    same_lock(pairs[3][1], keys[3], keys[3], start)
    same([value for _, value in t.scan(keys[0], 3, start - 1)], [b"v"] * 3, "a lock above the version")


@case("KvScan", "Rollback and Lock records are skipped")
def scan_marks(t):
    a, b = t.keys("a", "b")
    t.write((a, b"v"), (b, b"w"))
    for _ in range(5):
        t.rollback(t.ts(), a, b)
        t.write((LOCK, a, b""))
    same(t.scan(a, 2), [(a, b"v"), (b, b"w")], "pairs")


@case("KvScan", "end of region: stops there, even if the store has more", each_region=False)
def scan_end(t):
    """Both regions have keys on both sides of the bound; each scan sees its own alone."""
    regions = sorted(t.cluster.regions.values(), key=lambda r: "" if r["start_key"] == "-" else r["start_key"])
    for left, right in zip(regions, regions[1:]):
        bound = right["start_key"].encode()
        below = bound[:-1] + bytes([bound[-1] - 1]) + b"\xff" + t.folder
        for region, keys in ((left["id"], [below + b"1", below + b"2"]), (right["id"], [bound, bound + b"\0"])):
            t.region = region
            t.write(*((key, str(region).encode()) for key in keys))
        t.region = left["id"]
        expected = [(below + b"1", str(left["id"]).encode()), (below + b"2", str(left["id"]).encode())]
        same(t.scan(below, 1000), expected, f"the last keys of region {left['id']}")
        t.region = right["id"]
        same([key for key, _ in t.scan(bound, 2)], [bound, bound + b"\0"], f"the first keys of region {right['id']}")
    last = b"\xff" * 8 + t.folder
    t.write((PUT, last, b"last"))
    same(t.scan(last, 1000), [(last, b"last")], "the last key of all")
    t.region = regions[0]["id"]
    holds(len(t.scan(b"", 1)) <= 1, "a scan from the very beginning")
