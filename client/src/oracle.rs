//! The seam to the clock of the cluster: whoever hands out timestamps that never repeat and never go back.
//! `NetworkOracle` speaks to `nokv tso`, and to any other that serves placement's stream; `HttpOracle` to the former.

use futures_util::future::BoxFuture;
use nokv_percolator::Timestamp;

/// Source of timestamps.
pub trait TimestampOracle: Send + Sync + 'static {
    /// Reserves `count` (at least 1) consecutive timestamps and returns the first.
    ///
    /// They are larger than every timestamp that anyone got before this call was made. One try: the client retries
    /// under the deadline of the operation.
    fn timestamps(&self, count: u32) -> BoxFuture<'_, Result<Timestamp, OracleError>>;
}

/// Why there is no timestamp.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OracleError {
    /// It cannot be reached, or did not answer in time. Ask again.
    #[error("timestamp oracle: {0}")]
    Unavailable(String),
    /// It answered what it never may (a timestamp that went back, a wrong count, no JSON). Give up.
    #[error("timestamp oracle: {0}")]
    Protocol(String),
}
