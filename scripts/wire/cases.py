"""The list of cases, and what each of them works with: a region, keys of its own, and short words for the calls."""

import time

import grpc

from client import Broken

PUT, DELETE, ROLLBACK, LOCK = 0, 1, 2, 3  # as TinyKV numbers what a mutation does
TTL_MS = 3_600_000
CASES = []  # (call, state, function), in the order in which they are tried


def case(call, state, each_region=True):
    """Declares a case: the call and the state of the wire page's row."""
    def declare(function):
        CASES.append((call, state, function, each_region))
        return function
    return declare


class Case:
    """One case in one region."""

    last_ts = 0

    def __init__(self, cluster, region, folder):
        self.cluster, self.region, self.folder = cluster, region, folder
        self.meta = cluster.regions[region]

    def key(self, name=""):
        """A key of this case alone, within the region."""
        return self.cluster.some_key(self.region) + self.folder + name.encode()

    def keys(self, *names):
        return [self.key(name) for name in names]

    @classmethod
    def ts(cls):
        """A timestamp above all before it, also those of earlier runs."""
        cls.last_ts = max(cls.last_ts + 1, int(time.time() * 1000) << 18)
        return cls.last_ts

    def call(self, name, **fields):
        """Sends to the region's leader."""
        return self.cluster.call(self.region, name, **fields)

    def refused(self, name, store=None, **fields):
        """Sends a request that must end with a gRPC status; returns (name of the code, text)."""
        store = store or self.cluster.leader(self.region)
        try:
            answer = self.cluster.send(store, name, **fields)
        except grpc.RpcError as error:
            return error.code().name, error.details()
        raise Broken(f"{name} was answered: {short(answer)}")

    # The transactional calls, in few words.

    def prewrite(self, start, mutations, primary=None, ttl=TTL_MS):
        """Mutations are (op, key, value), or (key, value) for a put; returns the key errors."""
        full = [m if len(m) == 3 else (PUT, *m) for m in mutations]
        fields = [{"op": op, "key": key, "value": value} for op, key, value in full]
        primary = primary or (full[0][1] if full else b"")
        answer = self.call("KvPrewrite", mutations=fields, primary_lock=primary, start_version=start, lock_ttl=ttl)
        return list(answer.errors)

    def lock(self, start, *mutations, **options):
        """A prewrite that must succeed."""
        same(self.prewrite(start, mutations, **options), [], "errors of a prewrite")

    def commit(self, start, commit, *keys):
        """The key error of a commit, or None."""
        return error_of(self.call("KvCommit", start_version=start, commit_version=commit, keys=keys))

    def write(self, *mutations):
        """A transaction that must succeed; returns (start, commit)."""
        start = self.ts()
        self.lock(start, *mutations)
        commit = self.ts()
        same(self.commit(start, commit, *(m[-2] for m in mutations)), None, "error of a commit")
        return start, commit

    def rollback(self, start, *keys):
        """The key error of a rollback, or None."""
        return error_of(self.call("KvBatchRollback", start_version=start, keys=keys))

    def status(self, primary, lock_ts, current_ts):
        """(lock_ttl, commit_version, action) of a transaction."""
        answer = self.call("KvCheckTxnStatus", primary_key=primary, lock_ts=lock_ts, current_ts=current_ts)
        return answer.lock_ttl, answer.commit_version, answer.action

    def resolve(self, start, commit):
        """The key error of a resolve, or None."""
        return error_of(self.call("KvResolveLock", start_version=start, commit_version=commit))

    def get(self, key, version=None):
        """What is seen of a key: its value, None, or the lock in the way."""
        answer = self.call("KvGet", key=key, version=version or self.ts())
        if answer.HasField("error"):
            return answer.error.locked
        if answer.not_found and answer.value:
            raise Broken("not_found together with a value")
        return None if answer.not_found else answer.value

    def scan(self, start, limit, version=None):
        """(key, value or lock) of each pair."""
        answer = self.call("KvScan", start_key=start, limit=limit, version=version or self.ts())
        return [(p.error.locked.key, p.error.locked) if p.HasField("error") else (p.key, p.value) for p in answer.pairs]


def error_of(answer):
    """The key error of an answer, or None."""
    return answer.error if answer.HasField("error") else None


def same(actual, expected, what):
    """Fails with both sides unless they are equal."""
    if actual != expected:
        raise Broken(f"{what}: {short(actual)} instead of {short(expected)}")


def holds(condition, what):
    """Fails with the text unless the condition holds."""
    if not condition:
        raise Broken(what)


def same_lock(lock, key, primary, start, ttl=TTL_MS):
    """Compares what is told of a lock with what was asked for."""
    if lock is None or isinstance(lock, bytes):
        raise Broken(f"{short(lock)} instead of the lock of {start}")
    told = (lock.key, lock.primary_lock, lock.lock_version, lock.lock_ttl)
    same(told, (key, primary, start, ttl), "the lock (key, primary, version, ttl)")


def short(value):
    """For a line of the report."""
    text = " ".join(str(value).split())
    return text if len(text) <= 300 else text[:300] + "…"
