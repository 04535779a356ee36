//! What stops a command without an answer. What *is* an answer (locked, conflict, …) is a
//! [`KeyError`](crate::KeyError) inside the reply.

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure of this machine or its data; no reply to the client follows from it but "internal".
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The engine failed. Do what [`nokv_engine::Error`] says: stop the peer or the node loudly.
    #[error(transparent)]
    Engine(#[from] nokv_engine::Error),
    /// A record does not decode, or a value that a record names is missing. Stop this peer and restore it from its
    /// replicas; never skip the record.
    #[error("mvcc: corrupt {what}; restore this region from its replicas")]
    Corrupt {
        /// Which record, and what is wrong with it.
        what: &'static str,
    },
    /// A record of a format or with a field that this version does not know: written by a newer one. Run that one;
    /// reading on would lose what the field says.
    #[error("mvcc: unknown {what} {tag:#04x}, written by a newer version; run that version or a later one")]
    UnknownFormat {
        /// What kind of tag.
        what: &'static str,
        /// The tag as found.
        tag: u8,
    },
}
