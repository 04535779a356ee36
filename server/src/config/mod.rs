//! The topology file: which stores there are, how the keyspace is cut into regions, where timestamps come from.
//!
//! ```text
//!   file ──json_fields──▶ decode ──▶ Topology ──check, tiling──▶ Topology that holds
//!                           │                        │
//!                           └──────── findings ──────┴──▶ ConfigError, all of them at once
//! ```
//!
//! * `topology.rs`: the structs; `finding.rs`: one mistake, and the error that lists them.
//! * `json_fields.rs`, `decode.rs`: the text to structs, with the line of every mistake.
//! * `check.rs`, `tiling.rs`: what fields mean for each other.
//! * `learnt.rs`: a topology that a cluster told.
//! * `region_meta.rs`: a region of the file as the cluster's own metadata, with encoded bounds.

mod check;
mod decode;
mod finding;
mod json_fields;
mod learnt;
mod region_meta;
#[cfg(test)]
mod tests;
mod tiling;
mod topology;

pub use finding::{ConfigError, Finding};
pub use topology::{AddressScope, EpochConfig, PeerConfig, RegionConfig, StoreConfig, Topology, TsoConfig};
