"""What a node serves besides keys: health, reflection, what it declines, and what is no request at all."""

import grpc
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from cases import case, holds, same
from client import Broken
from protos import TINY_KV

TIMEOUT = 20


def status_of(call):
    """(name of the code, text) of a call that must not be answered."""
    try:
        answer = call()
    except grpc.RpcError as error:
        return error.code().name, error.details()
    raise Broken(f"it was answered: {answer}")


def on_every_store(call, state):
    """Declares a case that is tried on every store, whatever it leads."""
    def declare(function):
        def each(t):
            for store in t.cluster.stores:
                function(t, t.cluster.channel(store))
        case(call, state, each_region=False)(each)
        return function
    return declare


@on_every_store("health", "SERVING for the node and for tinykvpb.TinyKv; NOT_FOUND for a service that there is not")
def health(_, channel):
    stub = health_pb2_grpc.HealthStub(channel)
    for service in ("", TINY_KV):
        request = health_pb2.HealthCheckRequest(service=service)
        same(stub.Check(request, timeout=TIMEOUT).status, health_pb2.HealthCheckResponse.SERVING, f"Check {service!r}")
        watch = stub.Watch(request, timeout=TIMEOUT)
        same(next(iter(watch)).status, health_pb2.HealthCheckResponse.SERVING, f"Watch {service!r}")
        watch.cancel()
    code, _ = status_of(lambda: stub.Check(health_pb2.HealthCheckRequest(service="no.Such"), timeout=TIMEOUT))
    same(code, "NOT_FOUND", "Check of a service that there is not")


@on_every_store("reflection", "lists tinykvpb.TinyKv, and describes every call of the proto files at hand")
def reflection(t, channel):
    database = ProtoReflectionDescriptorDatabase(channel)
    services = set(database.get_services())
    holds({TINY_KV, "grpc.health.v1.Health"} <= services, f"services: {sorted(services)}")
    described = descriptor_pool.DescriptorPool(database).FindServiceByName(TINY_KV)
    ours = {(m.name, m.client_streaming, m.server_streaming) for m in t.cluster.protos.service.methods}
    told = {(m.name, m.client_streaming, m.server_streaming) for m in described.methods}
    same(told, ours, "calls")


@on_every_store("Coprocessor", "Unimplemented with a clear text")
def coprocessor(t, channel):
    path, request, response = t.cluster.protos.call("Coprocessor")
    code, text = status_of(
        lambda: channel.unary_unary(path, request.SerializeToString, response.FromString)(request(), timeout=TIMEOUT))
    holds(code == "UNIMPLEMENTED" and "Coprocessor" in text, f"{code} {text!r}")


@on_every_store("Raft", "an empty stream is answered Done; Snapshot is declined with a clear text")
def streams(t, channel):
    path, request, response = t.cluster.protos.call("Raft")
    call = channel.stream_unary(path, request.SerializeToString, response.FromString)
    same(call(iter(()), timeout=TIMEOUT), response(), "Done")
    path, request, response = t.cluster.protos.call("Snapshot")
    call = channel.stream_unary(path, request.SerializeToString, response.FromString)
    code, text = status_of(lambda: call(iter([request(data=b"x")]), timeout=TIMEOUT))
    holds(code in ("UNIMPLEMENTED", "INVALID_ARGUMENT") and len(text) > 10, f"{code} {text!r}")


@on_every_store("Raft", "messages that are nonsense, or for nobody here, harm nothing")
def nonsense(t, channel):
    path, request, response = t.cluster.protos.call("Raft")
    call = channel.stream_unary(path, request.SerializeToString, response.FromString)
    peer = {"id": 4242, "store_id": 4242}
    messages = [request(), request(region_id=4242, from_peer=peer, to_peer=peer), request(region_id=1)]
    try:
        call(iter(messages), timeout=TIMEOUT)
    except grpc.RpcError as error:
        holds(error.code().name in ("INVALID_ARGUMENT", "PERMISSION_DENIED"), f"{error.code()} {error.details()!r}")
    # Not even a message.
    torn = channel.stream_unary(path, bytes, response.FromString)
    code, _ = status_of(lambda: torn(iter([b"\xff\xff\xff"]), timeout=TIMEOUT))
    holds(code not in ("UNAVAILABLE", "DEADLINE_EXCEEDED"), code)
    same(t.get(t.key("k")), None, "a read after it")


@on_every_store("any", "bytes that are no request, and a call that there is not: a status, and the connection goes on")
def no_request(t, channel):
    path, _, response = t.cluster.protos.call("KvGet")
    torn = channel.unary_unary(path, bytes, response.FromString)
    code, _ = status_of(lambda: torn(b"\xff\xff\xff", timeout=TIMEOUT))
    holds(code not in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "UNKNOWN"), code)
    code, _ = status_of(lambda: channel.unary_unary(f"/{TINY_KV}/KvNothing", bytes, bytes)(b"", timeout=TIMEOUT))
    same(code, "UNIMPLEMENTED", "a call that there is not")
    same(t.get(t.key("k")), None, "a read after it")
