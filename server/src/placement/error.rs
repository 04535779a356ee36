//! Why placement did not answer. What the cluster's state decides stands in the answer's header; the rest is a status.
//! Clients look the leader up again if the text says "not leader".

use nokv_placement::clock::AllocateError;
use nokv_placement::state::Refusal;
use nokv_raftstore::RegionError;
use tonic::Status;

/// See the file's head.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlacementError {
    /// Another node leads placement, or none does. Ask for the members, and ask the leader.
    #[error("not leader of placement")]
    NotLeader,
    /// Placement's region does not take it now. Ask again.
    #[error("placement's region: {0}")]
    Region(#[from] RegionError),
    /// The command was refused; what to do stands there.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No timestamps; what to do stands there.
    #[error(transparent)]
    Timestamps(#[from] AllocateError),
    /// The node is going down. Ask another.
    #[error("the node is stopping")]
    Stopping,
}

impl From<PlacementError> for Status {
    fn from(error: PlacementError) -> Status {
        let text = error.to_string();
        match error {
            PlacementError::NotLeader | PlacementError::Region(RegionError::NotLeader { .. }) => {
                Status::unavailable("not leader of placement")
            }
            PlacementError::Region(_) | PlacementError::Timestamps(_) | PlacementError::Stopping => {
                Status::unavailable(text)
            }
            PlacementError::Refused(Refusal::Wrong(_)) => Status::invalid_argument(text),
            PlacementError::Refused(_) => Status::failed_precondition(text),
        }
    }
}
