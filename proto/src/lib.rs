//! Wire messages of NoKV.
//! One module for each protobuf package.

/// One module for one protobuf package. What the generator writes is not held to this workspace's lints.
macro_rules! package {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[allow(missing_docs, unreachable_pub, rustdoc::all, clippy::all, clippy::indexing_slicing, clippy::unwrap_used)]
        pub mod $name {
            include!(concat!(env!("OUT_DIR"), "/", stringify!($name), ".rs"));
        }
    };
}

package!(
    /// Pushed-down computation.
    coprocessor
);
package!(
    /// Who waits for whom.
    deadlock
);
package!(
    /// How full a disk is.
    disk_usage
);
package!(
    /// Region errors.
    errorpb
);
package!(
    /// Requests and answers of the key-value calls.
    kvrpcpb
);
package!(
    /// Stores, regions, peers.
    metapb
);
#[cfg(feature = "grpc")]
package!(
    /// What only NoKV's nodes say: services without messages of their own.
    nokvpb
);
package!(
    /// What stores say to each other.
    raft_serverpb
);
package!(
    /// TiKV's service.
    tikvpb
);
package!(
    /// TinyKV's service, and its messages where they differ from TiKV's.
    tinykvpb
);

/// All packages, as an encoded `google.protobuf.FileDescriptorSet`, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
