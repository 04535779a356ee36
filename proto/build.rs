//! Compiles `proto/*.proto` to Rust and to a descriptor set, with a compiler that is itself a crate: no `protoc` is
//! looked for on the machine. Services are generated only with the feature `grpc`.

use std::error::Error;
use std::path::PathBuf;

use prost::Message as _;
use prost_types::FileDescriptorSet;
use prost_types::field_descriptor_proto::Label;
use tonic_prost_build::Config;

/// Types that nearly every message leaves out but that are wide where they are present: a member of one of these is
/// put behind a pointer. Inline, a scanned pair or an answer would be a kilobyte and more, to be moved at every step.
const BOXED_TYPES: &[&str] = &[
    ".errorpb.Error",
    ".kvrpcpb.ExecDetailsV2",
    ".kvrpcpb.KeyError",
    ".kvrpcpb.ResourceControlContext",
    ".kvrpcpb.SourceStmt",
    ".raft_serverpb.ExtraMessage",
];

/// Single members for the same reason, where their type is inline elsewhere.
const BOXED_MEMBERS: &[&str] = &[".raft_serverpb.RaftMessage.merge_target"];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("proto");
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "proto"));
    // A directory's order differs from machine to machine; the build must not.
    files.sort();
    let mut descriptors = protox::compile(&files, [&folder])?;

    let services = std::env::var_os("CARGO_FEATURE_GRPC").is_some();
    let mut config = Config::new();
    config.bytes(["."]);
    BOXED_MEMBERS.iter().for_each(|path| {
        config.boxed(path);
    });
    box_wide_types(&descriptors, &mut config);
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

/// Finds the members whose type is one of [`BOXED_TYPES`]. A repeated member is a vector, so a pointer already.
fn box_wide_types(descriptors: &FileDescriptorSet, config: &mut Config) {
    for file in &descriptors.file {
        for message in &file.message_type {
            let members = message.field.iter().filter(|field| BOXED_TYPES.contains(&field.type_name()));
            for field in members.filter(|field| field.label() != Label::Repeated) {
                config.boxed(format!(".{}.{}.{}", file.package(), message.name(), field.name()));
            }
        }
    }
}
