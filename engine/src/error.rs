//! What can go wrong on a disk, by what the caller must do about it.
//! None of these depends on the command being run, so none is ever an answer to a client: the peer or node stops.

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The disk or file system failed (full, I/O error, failed sync). The engine accepts no further writes:
    /// stop the node loudly; on a sound disk it resumes from its last synced state.
    #[error("engine: disk failed: {0}; stop this node, mend the disk or free space, and start it again")]
    Disk(String),
    /// Bytes do not decode: a corrupt or foreign record. Stop; never skip the record.
    #[error("engine: corrupt {what}; delete this store's directory, start it again and refill it from its replicas")]
    Corrupt {
        /// Which record.
        what: &'static str,
    },
    /// A file of the engine fails its checksum or is missing. Stop, as for [`Error::Corrupt`]; the text names the file.
    #[error("engine: corrupt file: {0}; delete this store's directory, start it again and refill it from its replicas")]
    CorruptFile(String),
    /// The directory cannot be opened (in use by another process, not a database, no permission): tell the user.
    #[error("engine: cannot open {path}: {reason}")]
    Open {
        /// The directory.
        path: String,
        /// What the engine says.
        reason: String,
    },
    /// This handle outlived its engine, which was closed (or whose simulated machine crashed): end the task using it.
    #[error("engine: closed")]
    Closed,
}
