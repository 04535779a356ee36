//! One node of NoKV, and the binary `nokv` around it.
//!
//! ```text
//!   nokv serve ──▶ node ──▶ service (gRPC) ──▶ executor ──▶ percolator, raftstore
//!   nokv tso ────▶ tso (HTTP, its own directory)
//!   nokv config ─▶ config (the topology file) ◀── everything that starts or connects
//!   nokv get … ──▶ nokv-client
//! ```
//!
//! * `cli/`: the command line: flags, output, exit codes.
//! * `node/`: one store as a process; `service/`: its gRPC side; `executor/`: where the two cores meet.
//! * `auto_split/`: regions that grow too large are split by themselves.
//! * `admin/`: what is done to regions on request; `region_ids.rs`: ids that were never used before.
//! * `collector/`: garbage collection by itself, a turn at a time.
//! * `settler.rs`: up to which timestamps replicas may be read alone.
//! * `config/`: the topology file, read and checked in one go.
//! * `placement/`: the map and the clock, hosted: their region, services and this node's heartbeats.
//! * `tso/`: timestamps that never go back; the allocator in it is pure.
//! * `key_text.rs`, `value_text.rs`: keys and values as people write them, the same in every tool.
//! * `logging.rs`: the log of every long-running command.
//!
//! Invariants: what a user types is refused with a text that says where and why, or it is done; a process's exit code
//! tells an error from an unknown outcome; standard output carries results, standard error the log.
//!
//! Deliberately absent: rules of transactions (`nokv-percolator`) and of replication (`nokv-raftstore`).

pub mod admin;
pub mod auto_split;
pub mod cli;
pub mod collector;
pub mod config;
pub mod executor;
pub mod key_text;
pub mod logging;
pub mod node;
pub mod placement;
pub mod region_ids;
pub mod service;
pub mod settler;
pub mod tso;
pub mod value_text;
