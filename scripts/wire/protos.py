"""Message types and calls of a service, made at run time from proto files. No code of NoKV's has a part in it."""

import tempfile
from pathlib import Path

import grpc_tools
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

# TinyKV's folder has the first alone.
ROOTS = ("tinykvpb.proto", "tikvpb.proto")
TINY_KV = "tinykvpb.TinyKv"


class Protos:
    """What the proto files of a folder describe."""

    def __init__(self, proto_dir, include_dirs=()):
        self.pool = descriptor_pool.DescriptorPool()
        for file in describe(Path(proto_dir), include_dirs).file:
            self.pool.Add(file)
        self.service = self.pool.FindServiceByName(TINY_KV)

    def call(self, name, service=TINY_KV):
        """(path, request type, response type) of a call."""
        method = self.pool.FindServiceByName(service).methods_by_name[name]
        types = (message_factory.GetMessageClass(kind) for kind in (method.input_type, method.output_type))
        return (f"/{service}/{name}", *types)

    def has(self, service):
        """Whether the files describe this service."""
        try:
            return self.pool.FindServiceByName(service) is not None
        except KeyError:
            return False


def describe(proto_dir, include_dirs):
    """The files and all that they import, each after what it imports."""
    roots = [root for root in ROOTS if (proto_dir / root).is_file()]
    if not roots:
        raise SystemExit(f"{proto_dir} has no {ROOTS[0]}")
    bundled = Path(grpc_tools.__file__).parent / "_proto"
    with tempfile.NamedTemporaryFile() as out:
        folders = [f"-I{folder}" for folder in (proto_dir, *include_dirs, bundled)]
        words = ["protoc", *folders, "--include_imports", f"--descriptor_set_out={out.name}", *roots]
        if protoc.main(words) != 0:
            raise SystemExit(f"the proto files in {proto_dir} do not compile")
        return descriptor_pb2.FileDescriptorSet.FromString(Path(out.name).read_bytes())
