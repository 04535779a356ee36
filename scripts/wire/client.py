"""A TinyKv client: sends calls to stores, follows region errors as such clients do, and holds every answer to what is
true of all answers: a region error or an answer, never both; a key error says one thing."""

import time

import grpc
from google.protobuf.unknown_fields import UnknownFieldSet

DEADLINE_SECONDS = 20
# A store that was away is dialled again soon.
CHANNEL_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]
# Past these the request may be sent again, to the leader that is then.
PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


class Broken(AssertionError):
    """An answer is not what it must be."""


class Cluster:
    """The stores and regions of a topology, spoken to by gRPC alone."""

    def __init__(self, protos, config, down=()):
        self.protos, self.config = protos, config
        self.stores = {s["store_id"]: s["addr"] for s in config["stores"] if s["store_id"] not in down}
        self.regions = {r["id"]: r for r in config["regions"]}
        self.channels, self.leaders = {}, {}

    def channel(self, store):
        """The one connection to a store."""
        if store not in self.channels:
            self.channels[store] = grpc.insecure_channel(self.stores[store], options=CHANNEL_OPTIONS)
        return self.channels[store]

    def context(self, region, store):
        """The context of a request to a store, right in every respect."""
        meta = self.regions[region]
        epoch = {"conf_ver": meta["epoch"]["conf_version"], "version": meta["epoch"]["version"]}
        peers = {peer["store_id"]: peer["peer_id"] for peer in meta["peers"]}
        return {"region_id": region, "region_epoch": epoch, "peer": {"id": peers[store], "store_id": store}}

    def start(self, store, name, service="tinykvpb.TinyKv", timeout=DEADLINE_SECONDS, **fields):
        """Sends a request as it is; returns the call under way."""
        path, request, response = self.protos.call(name, service)
        unary = self.channel(store).unary_unary(path, request.SerializeToString, response.FromString)
        return unary.future(request(**fields), timeout=timeout, wait_for_ready=False)

    def send(self, store, name, **options):
        """Sends a request as it is; returns the answer."""
        return checked(self.start(store, name, **options).result())

    def call(self, region, name, **fields):
        """Sends a request to the region's leader, whoever that is by the time it is answered."""
        last = None
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            store = self.leaders.get(region) or next(iter(self.stores))
            try:
                answer = self.send(store, name, context=self.context(region, store), **fields)
            except grpc.RpcError as error:
                if error.code() not in PASSING:
                    raise
                last = f"store {store}: {error.code().name} {error.details()}"
                self.look_elsewhere(region, store)
                continue
            if not answer.HasField("region_error"):
                self.leaders[region] = store
                return answer
            last = f"store {store}: {answer.region_error.message}"
            if not self.follow(region, store, answer.region_error):
                return answer
        raise Broken(f"no leader of region {region} within {DEADLINE_SECONDS} s; last answer: {last}")

    def follow(self, region, store, error):
        """Whether the same request may fare better now."""
        if error.HasField("not_leader"):
            named = error.not_leader.leader.store_id
            if named in self.stores and named != store:
                self.leaders[region] = named
            else:
                self.look_elsewhere(region, store)
            return True
        answered = any(error.HasField(name) for name in ("epoch_not_match", "key_not_in_region", "region_not_found"))
        # What TinyKV's files do not name is server_is_busy, or a write that is too large.
        if answered or "too large" in error.message or "larger than" in error.message:
            return False
        time.sleep(0.05)
        return True

    def look_elsewhere(self, region, store):
        """The next store is as good a guess as any."""
        ids = sorted(self.stores)
        self.leaders[region] = ids[(ids.index(store) + 1) % len(ids)]
        time.sleep(0.05)

    def leader(self, region):
        """The store that leads now: it answers a read."""
        self.call(region, "KvGet", key=self.some_key(region), version=1)
        return self.leaders[region]

    def some_key(self, region):
        """A key within the region."""
        start = self.regions[region]["start_key"]
        return start.encode() if start not in ("", "-") else b"0"

    def close(self):
        """Ends every connection."""
        for channel in self.channels.values():
            channel.close()


def checked(answer):
    """Holds an answer to what is true of all; returns it."""
    given = [field.name for field, _ in answer.ListFields()]
    if "region_error" in given:
        if given != ["region_error"]:
            raise Broken(f"a region error together with {given}")
        says_one_thing(answer.region_error, beside=("message",))
        if not answer.region_error.message:
            raise Broken("a region error without a message")
    for error in key_errors(answer):
        says_one_thing(error, beside=("debug_info",))
    return answer


def key_errors(answer):
    """Every key error of an answer; Raw calls have texts instead."""
    for field, value in answer.ListFields():
        if field.name == "error" and not isinstance(value, str):
            yield value
        if field.name == "errors":
            yield from value
        if field.name in ("pairs", "kvs"):
            yield from (pair.error for pair in value if pair.HasField("error"))


def says_one_thing(error, beside):
    """Exactly one field is set, be it one that the proto files at hand do not know."""
    said = [field.name for field, _ in error.ListFields() if field.name not in beside]
    said += [f"field {field.field_number}" for field in UnknownFieldSet(error)]
    if len(said) != 1:
        raise Broken(f"an error that says {said or 'nothing'}")
