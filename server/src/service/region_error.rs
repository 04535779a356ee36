//! What stopped a command, as the response's region error or as a gRPC status.
//! Keys in it are in the form in which the region's bounds are kept, as TinyKv's clients expect.

use nokv_percolator::Key;
use nokv_proto::errorpb;
use nokv_raftstore::RegionError;
use tonic::Status;

use crate::executor::ExecuteError;

/// In which form a request names its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeySpace {
    /// User keys, encoded here.
    Transactional,
    /// Kept as they are.
    Raw,
}

/// The region error to answer.
///
/// # Errors
/// The status to answer if it is none of the region's.
pub(super) fn to_wire(error: ExecuteError, keys: KeySpace) -> Result<Box<errorpb::Error>, Status> {
    match error {
        ExecuteError::Region(error) => Ok(Box::new(as_asked(error, keys).into())),
        ExecuteError::AnswerTooLarge { .. } => Err(Status::resource_exhausted(error.to_string())),
        ExecuteError::Machine(error) => Err(Status::unavailable(format!("this node cannot serve: {error}"))),
    }
}

/// Names a key as the request did; the bounds stay encoded, as regions are described everywhere.
fn as_asked(mut error: RegionError, keys: KeySpace) -> RegionError {
    if keys == KeySpace::Transactional
        && let RegionError::KeyNotInRegion { key, .. } = &mut error
        && let Ok(user_key) = Key::decode_encoded(key)
    {
        *key = user_key.into();
    }
    error
}
