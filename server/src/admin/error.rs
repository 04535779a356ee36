//! Why something was not done to a region.
//! A region's own error tells a client where to go; a refusal tells a person what is wrong.

use nokv_raftstore::RegionError;

/// Why a region was not changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AdminError {
    /// The region does not serve it, here and now. [`RegionError::StaleCommand`]: it may or may not happen.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// It cannot be done as asked, and nothing was; the text says what helps.
    #[error("{0}")]
    Refused(String),
}
