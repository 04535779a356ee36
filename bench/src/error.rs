//! What can keep a benchmark from running.
//! An operation that fails is no such thing: it is counted.

/// Why a run cannot be made; the text says what to change.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A setting does not fit.
    #[error("{0}")]
    Setting(String),
    /// The target does not answer, or not as it should.
    #[error("{target}: {reason}")]
    Target {
        /// Which target.
        target: String,
        /// What happened.
        reason: String,
    },
    /// A file or directory cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: String,
        /// What the system says.
        reason: String,
    },
}

/// The crate's result.
pub type Result<T> = std::result::Result<T, BenchError>;
