//! Compiles `proto/*.proto` to Rust and to a descriptor set, with a compiler that is itself a crate: no `protoc` is
//! looked for on the machine. Services are generated only with the feature `grpc`.

use std::error::Error;
use std::path::PathBuf;

use prost::Message as _;

/// Members that are absent in nearly every message but wide where they are present. Inline, they would make a scanned
/// pair or an answer a kilobyte or more, to be moved at every step; behind a pointer they cost eight bytes.
const BOXED: &[&str] = &[
    "region_error",
    "exec_details_v2",
    ".kvrpcpb.KvPair.error",
    ".kvrpcpb.Context.resource_control_context",
    ".kvrpcpb.Context.source_stmt",
    ".raft_serverpb.RaftMessage.merge_target",
    ".raft_serverpb.RaftMessage.extra_msg",
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("proto");
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "proto"));
    // A directory's order differs from machine to machine; the build must not.
    files.sort();

    let mut descriptors = protox::compile(&files, [&folder])?;
    let services = std::env::var_os("CARGO_FEATURE_GRPC").is_some();
    let mut config = tonic_prost_build::Config::new();
    config.bytes(["."]);
    for path in BOXED {
        config.boxed(path);
    }
    tonic_prost_build::configure()
        .build_client(services)
        .build_server(services)
        .compile_fds_with_config(descriptors.clone(), config)?;

    // Reflection has no use for the comments.
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    Ok(())
}
