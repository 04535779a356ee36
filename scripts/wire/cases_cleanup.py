"""KvBatchRollback, KvCheckTxnStatus and KvResolveLock."""

from cases import DELETE, TTL_MS, case, holds, same, same_lock

PHYSICAL = 18  # bits of a timestamp below its milliseconds
NO_ACTION, TTL_EXPIRED, LOCK_NOT_EXIST = 0, 1, 2


@case("KvBatchRollback", "own lock: lock and value removed, rollback mark left; again: ok")
def rollback_own(t):
    small, large, start = *t.keys("small", "large"), t.ts()
    t.lock(start, (small, b"v"), (large, b"v" * 1000))
    same([t.rollback(start, small, large) for _ in range(2)], [None, None], "errors")
    same((t.get(small), t.get(large)), (None, None), "what is seen")
    same(len(t.prewrite(start, [(small, b"v"), (large, b"v")])), 2, "errors of a later prewrite")


@case("KvBatchRollback", "nothing: mark left; again: ok; no keys and the same key twice: ok")
def rollback_nothing(t):
    key, start = t.key("k"), t.ts()
    same([t.rollback(start, *keys) for keys in ((key, key), (key,), ())], [None] * 3, "errors")
    same((len(t.prewrite(start, [(key, b"v")])), t.get(key)), (1, None), "errors of a prewrite, and what is seen")


@case("KvBatchRollback", "committed: error (abort), data stays")
def rollback_committed(t):
    key = t.key("k")
    start, _ = t.write((key, b"v"))
    error = t.rollback(start, key)
    holds(error is not None and error.abort, f"abort instead of {error}")
    same(t.get(key), b"v", "what is seen")


@case("KvBatchRollback", "other transaction's lock: mark left, that lock stays")
def rollback_others(t):
    key, start, other = t.key("k"), t.ts(), t.ts()
    t.lock(other, (key, b"theirs"))
    same(t.rollback(start, key), None, "error")
    same_lock(t.get(key), key, key, other)
    same(t.commit(other, t.ts(), key), None, "error of their commit")
    same((len(t.prewrite(start, [(key, b"v")])), t.get(key)), (1, b"theirs"), "errors of ours, and what is seen")


@case("KvBatchRollback", "a mark at another transaction's commit_ts hides nothing and is kept")
def rollback_at_commit(t):
    key = t.key("k")
    _, commit = t.write((key, b"v"))
    same(t.rollback(commit, key), None, "error")
    same((t.get(key), len(t.prewrite(commit, [(key, b"w")]))), (b"v", 1), "what is seen; errors of a prewrite there")


@case("KvCheckTxnStatus", "own lock, ttl over (physical parts only): rolled back, action TTLExpireRollback 1")
def status_expired(t):
    key, start = t.key("k"), t.ts() | 77
    t.lock(start, (key, b"v"), ttl=100)
    over = (start >> PHYSICAL) + 100 << PHYSICAL  # the logical part is below the lock's: it must not count
    same(t.status(key, start, over), (0, 0, TTL_EXPIRED), "ttl, commit_version, action")
    same((t.get(key), t.status(key, start, over)), (None, (0, 0, NO_ACTION)), "what is seen; the status again")
    holds(t.commit(start, t.ts(), key) is not None, "it was committed after all")


@case("KvCheckTxnStatus", "own lock, alive: lock_ttl, action 0")
def status_alive(t):
    key, start = t.key("k"), t.ts()
    t.lock(start, (key, b"v"), ttl=100)
    last = ((start >> PHYSICAL) + 99 << PHYSICAL) + (1 << PHYSICAL) - 1  # the last moment of its last millisecond
    for now in (last, start, 0):
        same(t.status(key, start, now), (100, 0, NO_ACTION), f"ttl, commit_version, action at {now}")
    same_lock(t.get(key), key, key, start, ttl=100)


@case("KvCheckTxnStatus", "committed: commit_version, action 0")
def status_committed(t):
    key = t.key("k")
    start, commit = t.write((key, b"v"))
    t.write((DELETE, key, b""))
    same(t.status(key, start, t.ts()), (0, commit, NO_ACTION), "ttl, commit_version, action")


@case("KvCheckTxnStatus", "rolled back: all zero, action 0")
def status_rolled_back(t):
    key, start = t.key("k"), t.ts()
    t.rollback(start, key)
    same(t.status(key, start, t.ts()), (0, 0, NO_ACTION), "ttl, commit_version, action")


@case("KvCheckTxnStatus", "nothing there: rollback mark left, action LockNotExistRollback 2")
def status_unknown(t):
    key, start = t.key("k"), t.ts()
    same(t.status(key, start, t.ts()), (0, 0, LOCK_NOT_EXIST), "ttl, commit_version, action")
    same(t.status(key, start, t.ts()), (0, 0, NO_ACTION), "the same again")
    same((len(t.prewrite(start, [(key, b"v")])), t.get(key)), (1, None), "errors of a prewrite, and what is seen")


@case("KvCheckTxnStatus", "only another transaction's lock: mark left, action 2, that lock stays")
def status_others(t):
    key, start, other = t.key("k"), t.ts(), t.ts()
    t.lock(other, (key, b"theirs"))
    same(t.status(key, start, t.ts()), (0, 0, LOCK_NOT_EXIST), "ttl, commit_version, action")
    same_lock(t.get(key), key, key, other)
    same((t.commit(other, t.ts(), key), t.get(key)), (None, b"theirs"), "error of their commit, and what is seen")
    same(len(t.prewrite(start, [(key, b"v")])), 1, "errors of our prewrite")


def many_locks(t, start):
    """More locks of a transaction than one batch resolves, and one that another transaction holds."""
    keys = [t.key(f"{i:05}") for i in range(1500)]
    t.lock(start, *((key, key[-5:]) for key in keys))
    other, theirs = t.ts(), t.key("zz-other")
    t.lock(other, (theirs, b"theirs"))
    return keys, theirs, other


@case("KvResolveLock", "commit_version > 0: every lock of start_version in the region committed, in batches")
def resolve_commit(t):
    start = t.ts()
    keys, theirs, other = many_locks(t, start)
    commit = t.ts()
    same([t.resolve(start, commit) for _ in range(2)], [None, None], "errors")
    same(t.scan(keys[0], len(keys), commit), [(key, key[-5:]) for key in keys], "the committed keys")
    same(t.get(keys[0], commit - 1), None, "before the commit")
    same_lock(t.get(theirs), theirs, theirs, other)


@case("KvResolveLock", "commit_version 0: every lock of start_version in the region rolled back")
def resolve_rollback(t):
    start = t.ts()
    keys, theirs, other = many_locks(t, start)
    same([t.resolve(start, 0) for _ in range(2)], [None, None], "errors")
    same([key for key, _ in t.scan(keys[0], 1)], [theirs], "what is left: the other's lock")
    same_lock(t.get(theirs), theirs, theirs, other)
    same([t.status(key, start, t.ts()) for key in (keys[0], keys[-1])], [(0, 0, NO_ACTION)] * 2, "rolled back")


@case("KvResolveLock", "none: ok")
def resolve_none(t):
    same([t.resolve(t.ts(), at) for at in (0, t.ts() + 1000)], [None, None], "errors")


@case("KvResolveLock", "the other region's locks of the same transaction stay", each_region=False)
def resolve_one_region(t):
    start, primary = t.ts(), None
    for region in t.cluster.regions:
        t.region = region
        primary = primary or t.key("p")
        t.lock(start, (t.key("p"), b"v"), primary=primary)
    first, *rest = t.cluster.regions
    t.region = first
    same((t.resolve(start, t.ts()), t.get(t.key("p"))), (None, b"v"), "error, and what the first region shows")
    for region in rest:
        t.region = region
        same_lock(t.get(t.key("p")), t.key("p"), primary, start, TTL_MS)
        same((t.resolve(start, 0), t.get(t.key("p"))), (None, None), "error, and what is seen after a rollback")


@case("KvResolveLock", "commit_version <= start_version: error, nothing written")
def resolve_before_start(t):
    key, start = t.key("k"), t.ts()
    t.lock(start, (key, b"v"))
    holds(t.resolve(start, start) is not None, "an error was due")
    same_lock(t.get(key), key, key, start)
