//! The services as reflection shows them: their names are paths on the wire, and their streaming is part of the
//! contract as well.

use std::collections::{BTreeMap, BTreeSet};

use nokv_proto::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_types::{FileDescriptorSet, MethodDescriptorProto};

fn descriptors() -> FileDescriptorSet {
    FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("build.rs wrote it")
}

/// Every call by its path: what it takes and returns, with `stream` in front where it is one.
fn calls() -> BTreeMap<String, (String, String)> {
    let side = |streaming, name: &str| if streaming { format!("stream {name}") } else { name.to_owned() };
    let signature = |method: &MethodDescriptorProto| {
        let input = side(method.client_streaming(), method.input_type());
        (input, side(method.server_streaming(), method.output_type()))
    };
    let mut calls = BTreeMap::new();
    for file in descriptors().file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                calls.insert(path, signature(method));
            }
        }
    }
    calls
}

/// The names of a service's calls.
fn names_of(service: &str) -> BTreeSet<String> {
    let prefix = format!("/{service}/");
    calls().keys().filter_map(|path| path.strip_prefix(&prefix)).map(str::to_owned).collect()
}

#[test]
fn tiny_kv_has_exactly_its_fourteen_calls() {
    let expected = [
        "KvGet",
        "KvScan",
        "KvPrewrite",
        "KvCommit",
        "KvCheckTxnStatus",
        "KvBatchRollback",
        "KvResolveLock",
        "RawGet",
        "RawPut",
        "RawDelete",
        "RawScan",
        "Raft",
        "Snapshot",
        "Coprocessor",
    ];
    assert_eq!(names_of("tinykvpb.TinyKv"), expected.map(str::to_owned).into());
    for (path, (input, output)) in calls().iter().filter(|(path, _)| path.starts_with("/tinykvpb.TinyKv/")) {
        let between_nodes = path.ends_with("/Raft") || path.ends_with("/Snapshot");
        assert_eq!(input.starts_with("stream "), between_nodes, "{path}");
        assert!(!output.starts_with("stream "), "{path}");
    }
}

#[test]
fn one_handler_can_serve_both_names_of_placement() {
    let calls = calls();
    let shared = names_of("schedulerpb.Scheduler");
    assert_eq!(shared.len(), 21);
    for name in shared {
        let ours = calls.get(&format!("/schedulerpb.Scheduler/{name}"));
        assert_eq!(ours, calls.get(&format!("/pdpb.PD/{name}")), "{name}");
    }
}

#[test]
fn streams_are_streams() {
    let expected = [
        ("/nokvpb.RaftTransport/Stream", "stream .tikvpb.BatchRaftMessage", ".raft_serverpb.Done"),
        ("/tikvpb.Tikv/BatchRaft", "stream .tikvpb.BatchRaftMessage", ".raft_serverpb.Done"),
        ("/tikvpb.Tikv/BatchCommands", "stream .tikvpb.BatchCommandsRequest", "stream .tikvpb.BatchCommandsResponse"),
        ("/pdpb.PD/Tso", "stream .pdpb.TsoRequest", "stream .pdpb.TsoResponse"),
        ("/pdpb.PD/QueryRegion", "stream .pdpb.QueryRegionRequest", "stream .pdpb.QueryRegionResponse"),
        ("/pdpb.PD/RegionHeartbeat", "stream .pdpb.RegionHeartbeatRequest", "stream .pdpb.RegionHeartbeatResponse"),
        ("/keyspacepb.Keyspace/LoadKeyspace", ".keyspacepb.LoadKeyspaceRequest", ".keyspacepb.LoadKeyspaceResponse"),
        ("/etcdserverpb.KV/Range", ".etcdserverpb.RangeRequest", ".etcdserverpb.RangeResponse"),
        ("/etcdserverpb.KV/Put", ".etcdserverpb.PutRequest", ".etcdserverpb.PutResponse"),
        ("/etcdserverpb.Cluster/MemberList", ".etcdserverpb.MemberListRequest", ".etcdserverpb.MemberListResponse"),
    ];
    let calls = calls();
    for (path, input, output) in expected {
        assert_eq!(calls.get(path), Some(&(input.to_owned(), output.to_owned())), "{path}");
    }
}

#[test]
fn a_batched_command_has_the_number_of_its_answer() {
    let descriptors = descriptors();
    let numbers = |outer: &str, inner: &str| -> BTreeMap<String, i32> {
        let outer = descriptors.file.iter().flat_map(|file| &file.message_type).find(|it| it.name() == outer);
        let inner = outer.and_then(|it| it.nested_type.iter().find(|it| it.name() == inner)).expect("declared");
        inner.field.iter().map(|field| (field.name().to_owned(), field.number())).collect()
    };
    let requests = numbers("BatchCommandsRequest", "Request");
    assert_eq!(requests, numbers("BatchCommandsResponse", "Response"));
    for (name, number) in [("Get", 1), ("Prewrite", 3), ("RawPut", 15), ("CheckTxnStatus", 25), ("Empty", 255)] {
        assert_eq!(requests.get(name), Some(&number), "{name}");
    }
}

#[test]
fn reflection_finds_all_that_it_needs_in_the_set() {
    let files = descriptors().file;
    let names: BTreeSet<&str> = files.iter().map(|file| file.name()).collect();
    for file in &files {
        for import in &file.dependency {
            assert!(names.contains(import.as_str()), "{} imports {import}", file.name());
        }
        assert!(file.source_code_info.is_none(), "{} carries its comments", file.name());
    }
}

#[cfg(feature = "grpc")]
#[test]
fn servers_answer_under_the_names_that_clients_call() {
    use nokv_proto::{etcdserverpb, keyspacepb, nokvpb, pdpb, schedulerpb, tikvpb, tinykvpb};
    let services = [
        tinykvpb::tiny_kv_server::SERVICE_NAME,
        tikvpb::tikv_server::SERVICE_NAME,
        pdpb::pd_server::SERVICE_NAME,
        schedulerpb::scheduler_server::SERVICE_NAME,
        keyspacepb::keyspace_server::SERVICE_NAME,
        etcdserverpb::kv_server::SERVICE_NAME,
        etcdserverpb::cluster_server::SERVICE_NAME,
        nokvpb::admin_server::SERVICE_NAME,
        nokvpb::placement_server::SERVICE_NAME,
        nokvpb::raft_transport_server::SERVICE_NAME,
    ];
    let declared: BTreeSet<String> = calls()
        .keys()
        .filter_map(|path| path.strip_prefix('/')?.rsplit_once('/'))
        .map(|(service, _)| service.to_owned())
        .collect();
    assert_eq!(declared, services.map(str::to_owned).into());
}
