//! Why a command has no answer. What the state of the keys does not allow *is* an answer, and stands in the reply.
//! So each of these ends a request without a word about the keys, and says what the client does next.

use nokv_percolator::Error as MvccError;
use nokv_raftstore::RegionError;

/// Why a command was not answered.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The region does not serve it; the client does what the error says.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// The answer would be larger than an answer may be. The client asks for less at once.
    #[error("the answer to this scan is larger than {bytes_max} bytes; ask for fewer pairs at once")]
    AnswerTooLarge {
        /// The bound, in bytes.
        bytes_max: usize,
    },
    /// This machine failed, and the node knows. The client finds another leader once this one is gone.
    #[error(transparent)]
    Machine(MvccError),
}
