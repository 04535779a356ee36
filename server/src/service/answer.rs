//! What all responses have in common: a place for a region error, and a way to tell what kind of answer they are.
//! A response has a region error or an answer, never both; that is decided here, once for all calls.

use nokv_proto::{errorpb, kvrpcpb, tinykvpb};
use tonic::Status;

use super::region_error::{self, KeySpace};
use crate::executor::ExecuteError;

/// What kind of answer a response is, for the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What was asked for.
    Ok,
    /// The keys' state does not allow it.
    KeyError,
    /// This region, here and now, does not serve it.
    RegionError,
}

/// A response of one of the calls.
pub(super) trait Answer: Default {
    /// The response that is nothing but this region error.
    fn refused(error: Box<errorpb::Error>) -> Self;
    /// What kind of answer it is.
    fn kind(&self) -> Kind;
}

/// Makes the response to a command's result: a region error or an answer, never both.
pub(super) fn answer<T, A: Answer>(
    result: Result<T, ExecuteError>,
    keys: KeySpace,
    on_success: impl FnOnce(T) -> A,
) -> Result<A, Status> {
    match result {
        Ok(reply) => Ok(on_success(reply)),
        Err(error) => region_error::to_wire(error, keys).map(A::refused),
    }
}

macro_rules! answer {
    ($response:ty, $self:ident => $has_error:expr) => {
        impl Answer for $response {
            fn refused(error: Box<errorpb::Error>) -> Self {
                Self { region_error: Some(error), ..Default::default() }
            }

            fn kind(&$self) -> Kind {
                if $self.region_error.is_some() {
                    Kind::RegionError
                } else if $has_error {
                    Kind::KeyError
                } else {
                    Kind::Ok
                }
            }
        }
    };
}

answer!(kvrpcpb::GetResponse, self => self.error.is_some());
answer!(kvrpcpb::ScanResponse, self => self.error.is_some() || self.pairs.iter().any(|pair| pair.error.is_some()));
answer!(kvrpcpb::PrewriteResponse, self => !self.errors.is_empty());
answer!(kvrpcpb::CommitResponse, self => self.error.is_some());
answer!(kvrpcpb::BatchRollbackResponse, self => self.error.is_some());
answer!(kvrpcpb::ResolveLockResponse, self => self.error.is_some());
answer!(kvrpcpb::BatchGetResponse, self => self.error.is_some() || self.pairs.iter().any(|pair| pair.error.is_some()));
answer!(kvrpcpb::CheckTxnStatusResponse, self => self.error.is_some());
answer!(kvrpcpb::CheckSecondaryLocksResponse, self => self.error.is_some());
answer!(kvrpcpb::CleanupResponse, self => self.error.is_some());
answer!(kvrpcpb::ScanLockResponse, self => self.error.is_some());
answer!(kvrpcpb::TxnHeartBeatResponse, self => self.error.is_some());
answer!(kvrpcpb::DeleteRangeResponse, self => !self.error.is_empty());
answer!(kvrpcpb::RawDeleteRangeResponse, self => !self.error.is_empty());
answer!(kvrpcpb::UnsafeDestroyRangeResponse, self => !self.error.is_empty());
answer!(kvrpcpb::GcResponse, self => self.error.is_some());
answer!(tinykvpb::CheckTxnStatusResponse, self => false);
answer!(kvrpcpb::RawGetResponse, self => !self.error.is_empty());
answer!(kvrpcpb::RawPutResponse, self => !self.error.is_empty());
answer!(kvrpcpb::RawDeleteResponse, self => !self.error.is_empty());
answer!(kvrpcpb::RawScanResponse, self => self.kvs.iter().any(|pair| pair.error.is_some()));
answer!(tinykvpb::RawScanResponse, self => !self.error.is_empty());
