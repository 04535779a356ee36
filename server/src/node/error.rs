//! Why a node does not start, or ended by itself. Each text says what to do about it.
//! They are for the person at the terminal: no program matches on them.

use nokv_engine::Error as EngineError;
use nokv_raftstore::StoreError;
use nokv_transport::{BadAddress, StoreId};

use crate::config::ConfigError;

/// Why a node did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The topology file is wrong; correct it.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The topology file has no such store: choose one that it has, or add it.
    #[error("the topology file {file} has no store {store}; it has {}", list(known))]
    UnknownStore {
        /// The file.
        file: String,
        /// The store asked for.
        store: StoreId,
        /// The stores that it has.
        known: Vec<StoreId>,
    },
    /// Flags that do not go together, or not with the directory; correct them.
    #[error("{0}")]
    Flags(String),
    /// The cluster does not take this node; the text says what to do.
    #[error("the cluster does not take this node: {0}")]
    Joining(String),
    /// The workdir cannot be used; name another, or mend it.
    #[error("cannot use the workdir {path}: {reason}")]
    Workdir {
        /// The directory.
        path: String,
        /// Why not.
        reason: String,
    },
    /// The engine does not open the directory, or failed; the text says what to do.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The directory does not fit the store or the topology, or cannot be read; the text says what to do.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An address cannot be bound: free it, or choose another.
    #[error("cannot listen on {address} for {what}: {source}")]
    Listen {
        /// What would listen there.
        what: &'static str,
        /// HOST:PORT as it was given.
        address: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The address of another store is none; correct it.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// The system gives no thread.
    #[error("cannot start threads: {0}")]
    Threads(std::io::Error),
    /// The descriptions of the gRPC services do not decode: a broken build.
    #[error("cannot describe the gRPC services: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// Serving ended by itself.
    #[error("the gRPC server ended: {0}")]
    Ended(String),
}

fn list(stores: &[StoreId]) -> String {
    stores.iter().map(StoreId::to_string).collect::<Vec<_>>().join(", ")
}
