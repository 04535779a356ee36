//! Every message that crosses a wire of NoKV's, and the services that carry them: to clients of TinyKV and of TiKV,
//! to clients of their placement services, and between NoKV's own nodes. Generated types, and one list of calls.
//!
//! ```text
//!   TinyKV's clients     TiKV's clients        placement's clients and stores        etcd's clients
//!         |                    |                 |           |            |                |
//!    tinykvpb.TinyKv      tikvpb.Tikv     schedulerpb     pdpb.PD     keyspacepb      etcdserverpb     services
//!         |      \        /    |            .Scheduler       |         .Keyspace      .KV .Cluster
//!         |       \      /     |                 \           |            /                |
//!     own messages,  kvrpcpb   |                       pdpb messages                    mvccpb         messages
//!     where they      |  coprocessor               |          |        \
//!     differ          |  deadlock                  |   eraftpb (enum)  replication_modepb
//!                  errorpb                   raft_serverpb -- disk_usage
//!                     |                            |    \
//!                     +--------- metapb -----------+     nokvpb.RaftTransport  (node to node)
//! ```
//!
//! # Where things are
//!
//! | file in `proto/` | what is in it |
//! | --- | --- |
//! | `metapb` | stores, regions, peers, epochs |
//! | `errorpb` | region errors |
//! | `kvrpcpb` | the context of every request |
//! | `kvrpcpb_data` | mutations, pairs, locks, key errors, the versions of a key |
//! | `kvrpcpb_txn`, `kvrpcpb_raw`, `kvrpcpb_region` | requests and answers: transactions, raw keys, regions |
//! | `kvrpcpb_exec` | where the time of a request went |
//! | `tinykvpb` | TinyKV's service, and its messages where they differ from TiKV's |
//! | `tikvpb`, `tikvpb_batch` | TiKV's service; many messages in one frame |
//! | `raft_serverpb` | what stores say to each other, and keep about their regions |
//! | `nokvpb`, `nokvpb_admin` | NoKV's own services: between nodes; for operators, tools and clients |
//! | `pdpb`, `pdpb_region`, `pdpb_heartbeat`, `pdpb_gc` | placement: basics, lookups, heartbeats, safe points |
//! | `pdpb_service` | placement's service |
//! | `schedulerpb`, `keyspacepb` | placement under TinyKV's name; keyspaces |
//! | `etcdserverpb`, `mvccpb` | the part of etcd's protocol that TiKV's clients and the benchmark use |
//! | `coprocessor`, `deadlock`, `disk_usage`, `eraftpb`, `replication_modepb` | small packages that the others name |
//!
//! `src/tiny_kv_calls.rs` lists the calls of TinyKV's service, for code that treats them alike.
//!
//! A package is a module here, however many files it has. `build.rs` compiles them with a compiler that is a crate,
//! so no `protoc` is needed. The feature `grpc` adds clients and servers (`tinykvpb::tiny_kv_server`, …); without it
//! there are only messages, and neither tonic nor tokio is built.
//!
//! # What holds
//!
//! - Field numbers are kvproto's and etcd's, so that their clients understand us. Where TinyKV disagrees with kvproto
//!   on a number or an enum's value, a comment says so at the place, and `tinykvpb` has a message of its own: its
//!   `Op`, `Mutation`, `PrewriteRequest`, `CheckTxnStatusRequest`, `CheckTxnStatusResponse`, `RawScanRequest` and
//!   `RawScanResponse`. All other TinyKV messages are subsets of kvproto's. `tests/` pins the numbers in bytes.
//! - A `bytes` field is a [`bytes::Bytes`]: decoded from a `Bytes`, it shares the frame's memory and copies nothing.
//! - Raft's own messages are opaque. [`raft_serverpb::RaftMessage`] carries one as `bytes`, which on the wire is the
//!   same as an embedded message.
//! - Members that are nearly always absent but wide are behind a `Box`: every single [`errorpb::Error`],
//!   [`kvrpcpb::KeyError`] and [`kvrpcpb::ExecDetailsV2`], and a few in requests. `build.rs` has the list. An answer
//!   to a get takes 72 bytes so, instead of a thousand.
//! - A field that no code here reads is still declared where clients fill it, unless a `reserved` says why not; what
//!   is not declared is skipped when a message is decoded.
//!
//! # Deliberately absent
//!
//! Conversions, validation and defaults: those are for who serves or asks. Columnar and analytical processing,
//! backup, change capture, and the calls that the replicas of placement make to each other. Raft's commands: what is
//! replicated here is a write batch with a format of its own.

mod tiny_kv_calls;

/// Declares the module of one protobuf package. What the generator writes is not held to this workspace's lints.
macro_rules! package {
    ($name:ident, $purpose:literal) => {
        #[doc = $purpose]
        #[allow(missing_docs, clippy::all, clippy::indexing_slicing, clippy::unwrap_used)]
        pub mod $name {
            include!(concat!(env!("OUT_DIR"), "/", stringify!($name), ".rs"));
        }
    };
}

package!(coprocessor, "Pushed-down computation.");
package!(deadlock, "Who waits for whom.");
package!(disk_usage, "How full a store's disk is.");
package!(eraftpb, "The one type of the Raft library's own protocol that other packages name.");
package!(errorpb, "Region errors: this peer, at this moment, cannot serve the request.");
package!(etcdserverpb, "The part of etcd's protocol that TiKV's clients and the benchmark use.");
package!(keyspacepb, "Keyspaces, and the service that knows them.");
package!(kvrpcpb, "Requests and answers of key-value calls, as TiKV has them.");
package!(metapb, "Stores, regions, peers and epochs.");
package!(mvccpb, "A key of etcd's, with its revisions.");
package!(pdpb, "Placement: its messages and its service.");
package!(raft_serverpb, "What stores say to each other about their regions, and what they keep about them.");
package!(replication_modepb, "How far replication reaches over data centres.");
package!(tikvpb, "TiKV's service, and frames of many messages.");
package!(tinykvpb, "TinyKV's service, and its messages where they differ from TiKV's.");
#[cfg(feature = "grpc")]
package!(nokvpb, "NoKV's own services, between nodes and for operators; they need the feature `grpc`.");
#[cfg(feature = "grpc")]
package!(schedulerpb, "Placement under TinyKV's name, with placement's messages; it needs the feature `grpc`.");

/// All packages as an encoded `google.protobuf.FileDescriptorSet`, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
