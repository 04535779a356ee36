"""KvPrewrite and KvCommit."""

import grpc

from cases import DELETE, LOCK, PUT, TTL_MS, case, holds, same, same_lock

TIKV = "tikvpb.Tikv"


@case("KvPrewrite", "no mutations: no errors")
def prewrite_nothing(t):
    same(t.prewrite(t.ts(), []), [], "errors")


@case("KvPrewrite", "other transaction's lock: locked, one error a key; nothing of the request is written")
def prewrite_locked(t):
    a, b, free = t.keys("a", "b", "free")
    first, second = t.ts(), t.ts()
    t.lock(first, (a, b"1"), (b, b"1"))
    errors = t.prewrite(second, [(free, b"2"), (a, b"2"), (b, b"2")])
    same(len(errors), 2, "number of errors")
    for error, key in zip(sorted(errors, key=lambda e: e.locked.key), (a, b)):
        same_lock(error.locked, key, a, first)
    same(t.get(free), None, "the free key of the refused request")


@case("KvPrewrite", "an older transaction meets a younger one's lock: locked as well")
def prewrite_locked_by_younger(t):
    key, older, younger = t.key("k"), t.ts(), t.ts()
    t.lock(younger, (key, b"v"))
    errors = t.prewrite(older, [(key, b"w")])
    same(len(errors), 1, "number of errors")
    same_lock(errors[0].locked, key, key, younger)


@case("KvPrewrite", "own lock: ok, unchanged (value and ttl)")
def prewrite_again(t):
    key, start = t.key("k"), t.ts()
    t.lock(start, (key, b"first"))
    t.lock(start, (key, b"second"), ttl=5)
    same_lock(t.get(key), key, key, start)
    same(t.commit(start, t.ts(), key), None, "error of the commit")
    same(t.get(key), b"first", "the value")


@case("KvPrewrite", "record with commit_ts >= start_version: conflict {start_ts, conflict_ts, key, primary}")
def prewrite_conflict(t):
    key, free, early = *t.keys("k", "free"), t.ts()
    other, commit = t.write((key, b"v"))
    for start in (early, commit):
        errors = t.prewrite(start, [(free, b"w"), (key, b"w")])
        same(len(errors), 1, f"number of errors at {start}")
        told = errors[0].conflict
        same((told.start_ts, told.key, told.primary), (start, key, free), "conflict (start_ts, key, primary)")
        holds(told.conflict_ts in (other, commit), f"conflict_ts {told.conflict_ts} is neither of {other}, {commit}")
    same((t.get(free), t.get(key)), (None, b"v"), "nothing of the refused request is written")
    t.lock(commit + 1, (key, b"w"))


@case("KvPrewrite", "a conflict with a record of kind Delete or Lock, too")
def prewrite_conflict_kinds(t):
    for op in (DELETE, LOCK):
        key, early = t.key(f"op{op}"), t.ts()
        t.write((op, key, b""))
        same([e.HasField("conflict") for e in t.prewrite(early, [(key, b"v")])], [True], f"conflict with op {op}")


@case("KvPrewrite", "own rollback mark: an error; the prewrite is refused")
def prewrite_rolled_back(t):
    key, start = t.key("k"), t.ts()
    t.lock(start, (key, b"v"))
    same(t.rollback(start, key), None, "error of the rollback")
    same((len(t.prewrite(start, [(key, b"v")])), t.get(key)), (1, None), "errors, and what is seen")


@case("KvPrewrite", "own rollback mark under a later transaction's commit: still refused")
def prewrite_rolled_back_then_written(t):
    key, start = t.key("k"), t.ts()
    t.rollback(start, key)
    t.write((key, b"other"))
    same((len(t.prewrite(start, [(key, b"v")])), t.get(key)), (1, b"other"), "errors, and what is seen")


@case("KvPrewrite", "own commit (a retry that arrives late): ok, and no lock")
def prewrite_after_commit(t):
    key = t.key("k")
    start, _ = t.write((key, b"v"))
    same((t.prewrite(start, [(key, b"w")]), t.get(key)), ([], b"v"), "errors, and what is seen")


@case("KvPrewrite", "same key twice in one request: the later mutation wins")
def prewrite_twice(t):
    put, gone = t.keys("put", "gone")
    t.write((gone, b"old"))
    start = t.ts()
    t.lock(start, (put, b"1"), (put, b"2"), (gone, b"3"), (DELETE, gone, b""))
    commit = t.ts()
    same(t.commit(start, commit, put, gone), None, "error of the commit")
    same((t.get(put), t.get(gone)), (b"2", None), "values")


@case("KvPrewrite", "op Lock (TinyKV's 3): locks the key, changes nothing")
def prewrite_lock_op(t):
    key = t.key("k")
    t.write((key, b"v"))
    start = t.ts()
    t.lock(start, (LOCK, key, b""))
    same(len(t.prewrite(t.ts(), [(key, b"w")])), 1, "errors of another transaction")
    same(t.commit(start, t.ts(), key), None, "error of the commit")
    same(t.get(key), b"v", "the value")


@case("KvPrewrite", "2,000 keys at once")
def prewrite_many(t):
    keys = [t.key(f"{i:05}") for i in range(2000)]
    t.write(*((key, b"v") for key in keys))
    same([key for key, _ in t.scan(keys[0], 2000)], keys, "keys")


@case("KvCommit", "own lock: committed; again: ok")
def commit_again(t):
    key, start = t.key("k"), t.ts()
    t.lock(start, (key, b"v"))
    commit = t.ts()
    same([t.commit(start, commit, key) for _ in range(2)], [None, None], "errors")
    same((t.get(key, commit - 1), t.get(key, commit)), (None, b"v"), "before and at the commit")


@case("KvCommit", "no lock, own commit record: ok, also under later commits")
def commit_late(t):
    key = t.key("k")
    start, commit = t.write((key, b"v"))
    t.write((key, b"w"))
    same((t.commit(start, commit, key), t.get(key)), (None, b"w"), "error, and what is seen")


@case("KvCommit", "no lock, own rollback mark: error (abort), nothing written")
def commit_rolled_back(t):
    key, start = t.key("k"), t.ts()
    t.lock(start, (key, b"v"))
    t.rollback(start, key)
    error = t.commit(start, t.ts(), key)
    holds(error is not None and error.abort, f"abort instead of {error}")
    same(t.get(key), None, "what is seen")


@case("KvCommit", "no lock, no record: error (retryable), nothing written")
def commit_unknown(t):
    key = t.key("k")
    t.write((key, b"other"))
    error = t.commit(t.ts(), t.ts(), key)
    holds(error is not None and error.retryable, f"retryable instead of {error}")
    same(t.get(key), b"other", "what is seen")


@case("KvCommit", "other transaction's lock: error (retryable); that lock stays")
def commit_others_lock(t):
    key, other = t.key("k"), t.ts()
    t.lock(other, (key, b"v"))
    error = t.commit(t.ts(), t.ts(), key)
    holds(error is not None and error.retryable, f"retryable instead of {error}")
    same_lock(t.get(key), key, key, other)


@case("KvCommit", "one key of several fails: nothing of the request is written")
def commit_in_part(t):
    held, lost, start = *t.keys("held", "lost"), t.ts()
    t.lock(start, (held, b"v"))
    holds(t.commit(start, t.ts(), held, lost) is not None, "an error was due")
    same_lock(t.get(held), held, held, start)


@case("KvCommit", "commit_version <= start_version: error, nothing written")
def commit_before_start(t):
    key, start = t.key("k"), t.ts()
    t.lock(start, (key, b"v"))
    for commit in (start, start - 1, 0):
        holds(t.commit(start, commit, key) is not None, f"commit at {commit} of start {start} went through")
        same_lock(t.get(key), key, key, start)
    same(t.commit(start, start + 1, key), None, "error of the next timestamp")


@case("KvCommit", "below the lock's min_commit_ts: error, nothing written; a pushed min_commit_ts survives a prewrite")
def commit_below_min(t):
    if not t.cluster.protos.has(TIKV):
        return "TinyKV's files have no way to set or push min_commit_ts"
    key, start = t.key("k"), t.ts()
    lock = {"mutations": [{"op": PUT, "key": key, "value": b"v"}], "primary_lock": key, "start_version": start,
            "lock_ttl": TTL_MS, "min_commit_ts": start + 1}
    try:
        same(list(t.call("KvPrewrite", service=TIKV, **lock).errors), [], "errors of a prewrite")
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return f"{TIKV}, which can set and push min_commit_ts, is not served"
        raise
    reader = t.ts()
    status = t.call("KvCheckTxnStatus", service=TIKV, primary_key=key, lock_ts=start, caller_start_ts=reader)
    same((status.lock_ttl > 0, status.action), (True, 3), "alive, and the action MinCommitTSPushed")
    t.lock(start, (key, b"v"))
    holds(t.commit(start, reader, key) is not None, "a commit below a reader's timestamp went through")
    same_lock(t.get(key), key, key, start)
    same(t.get(key, reader), None, "what the reader sees, past which the lock was pushed")
    same((t.commit(start, reader + 1, key), t.get(key, reader), t.get(key)), (None, None, b"v"), "a commit above")
    return None


@case("KvCommit", "same key twice, no keys: ok")
def commit_twice(t):
    key, start = t.key("k"), t.ts()
    t.lock(start, (PUT, key, b"v"))
    commit = t.ts()
    same((t.commit(start, commit, key, key), t.commit(start, commit)), (None, None), "errors")
    same(t.get(key), b"v", "the value")
