//! The client of a NoKV cluster, and of any other that serves TinyKv: raw keys, snapshot reads, and transactions over
//! all regions by Percolator's two-phase commit. It follows leaders and splits, waits under one deadline, and never
//! calls failed what it does not know to have failed.
//!
//! ```text
//!   Client::{get, batch_get, scan, put, delete, mutate, two_phase_commit, raw_*}    Transaction::{get, put, commit, …}
//!        │ single keys               │ many keys                     │
//!        │                           ▼                               ▼
//!        │                 spread: batches by region ◀── two_phase: prewrite ─▶ commit primary ─▶ secondaries
//!        ▼                           ▼                                 └ on failure: rollback     (background)
//!   attempt: route, send once, learn ──── a lock in the way ──▶ resolve: ask its primary, roll forward or back, wait
//!        │            ▲
//!        ▼            │ region errors teach
//!   router: region cache + store health ──▶ RegionDirectory (asks placement, or the stores)
//!        ▼
//!   Rpc (gRPC, or memory in tests)                   TimestampOracle (placement, or `nokv tso`)
//! ```
//!
//! ```no_run
//! # async fn example() -> nokv_client::Result<()> {
//! use nokv_client::{Client, Options, Topology};
//!
//! let topology = Topology::from_config_json(&std::fs::read_to_string("raft_config.json").unwrap())?;
//! let client = Client::connect(topology, "http://127.0.0.1:20159", Options::default())?;
//! let mut transaction = client.begin().await?;
//! let visits = transaction.get("visits").await?.map_or(0, |value| value.len());
//! transaction.put("visits", vec![b'|'; visits + 1])?;
//! transaction.commit().await?;
//! client.drain().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//! - Surface: `client` (state, making one), `options`, `error`; `get`, `scan`, `raw`, `autocommit`, `two_phase`,
//!   `transaction`, `mutation`, `collect_garbage` (setting the safe point).
//! - Seams: `rpc` with `grpc` (a call for each request; `tiny_forms` for stores that know TinyKv only) and `stream_rpc`
//!   (many on a stream: `stream_link` is what is queued and pending, `stream_drive` keeps it open, `stream_call` words
//!   it); `oracle` with `network_oracle` (a stream: `tso_stream`) and `http_oracle`, whose callers share requests in
//!   `oracle_queue`; `directory` with `topology` (fixed), `asking` (its stores are asked) and `discover` (from
//!   addresses alone).
//! - Placement, where the cluster has it: `placement_link` finds who leads it, `placement_directory` and
//!   `placement_oracle` ask that for regions, stores and timestamps.
//! - Routing: `router` over `region_cache` and `store_health`; `attempt` (one try), `call` (what all requests share),
//!   `spread` (many keys), `budget` (deadline, pauses, what is known of lost tries).
//! - Protocol: `prewrite`, `commit`, `own_timestamp` (one phase, asynchronous commit), `rollback`, `resolve` with
//!   `known_outcomes`, `key_error`, `background`.
//!
//! # Invariants
//! - One deadline for each operation; every retry pauses through [`Options`]-bounded, jittered back-off; nothing
//!   retries for ever.
//! - The commit timestamp is drawn after every prewrite was acknowledged, or chosen by the stores above every snapshot
//!   that they have read. In two phases the primary is committed before any secondary that does not share its request.
//!   Nothing is rolled back once a commit, or the last prewrite that commits, may have been executed, except by asking
//!   the primary and, where it names them, its secondaries.
//! - [`Error::Aborted`] and [`Error::Unavailable`] of a write mean that it has not happened and will not;
//!   [`Error::Undetermined`] is whatever cannot be told. A lost answer is resolved by the next one where possible.
//! - A lock is rolled forward or back only as its primary says.
//! - Time and tasks are tokio's, randomness comes from [`Options::seed`]: the simulator replays a run from its seed.
//!
//! # Absent, on purpose
//! - Pessimistic locks, pushing a writer's commit timestamp, heartbeats: TinyKv's calls have no place for them. Locks
//!   live for a time that grows with the transaction ([`Options::lock_ttl_ms`]).
//! - Reverse scans, TLS.
//! - Logging and metrics: errors say what happened, [`Client::background_failures`] counts what nobody waits for.

mod asking;
mod attempt;
mod autocommit;
mod background;
mod budget;
mod call;
mod client;
mod collect_garbage;
mod commit;
mod directory;
mod discover;
mod error;
mod get;
mod grpc;
mod http_oracle;
mod key_error;
mod known_outcomes;
mod mutation;
mod network_oracle;
mod options;
mod oracle;
mod oracle_queue;
mod own_timestamp;
mod placement_directory;
mod placement_link;
mod placement_oracle;
mod prewrite;
mod raw;
mod region_cache;
mod resolve;
mod rollback;
mod router;
mod rpc;
mod scan;
mod spread;
mod store_health;
mod stream_call;
mod stream_drive;
mod stream_link;
mod stream_rpc;
mod tiny_forms;
mod topology;
mod transaction;
mod tso_stream;
mod two_phase;

pub use asking::AskingDirectory;
pub use client::Client;
pub use collect_garbage::GarbageReport;
pub use directory::{DirectoryError, Located, RegionDirectory, StaticDirectory};
pub use discover::DiscoveringDirectory;
pub use error::{AbortReason, Error, InvalidInput, Result};
pub use grpc::{GrpcOptions, GrpcRpc};
pub use http_oracle::HttpOracle;
pub use mutation::{Mutation, Write};
pub use network_oracle::NetworkOracle;
pub use nokv_percolator::Timestamp;
pub use options::{Options, ReadFrom, Transport};
pub use oracle::{OracleError, TimestampOracle};
pub use placement_directory::PlacementDirectory;
pub use placement_link::{PlacementLeader, PlacementLink};
pub use placement_oracle::PlacementOracle;
pub use rpc::{Reply, Rpc, RpcError};
pub use scan::{Pair, ScanRange};
pub use stream_rpc::{StreamOptions, StreamRpc};
pub use topology::Topology;
pub use transaction::Transaction;

/// The program in the README must compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
