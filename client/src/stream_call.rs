//! The client's requests as commands of a batch, and a batch's replies as their answers. Batches speak kvproto, so the
//! three calls whose TinyKv messages differ are turned into kvproto's here, and their answers back.

use nokv_proto::tikvpb::batch_commands_request::request::Cmd;
use nokv_proto::tikvpb::batch_commands_response::response::Cmd as Reply;
use nokv_proto::{kvrpcpb, tinykvpb};

use crate::key_error;
use crate::rpc::RpcError;

/// A request that can be one of many in a frame.
pub(crate) trait Streamed {
    /// What answers it.
    type Answer;

    /// As a batch carries it.
    fn into_command(self) -> Cmd;

    /// The answer, if `reply` is of its kind.
    ///
    /// # Errors
    /// [`RpcError::Other`] for a reply to another call; what the store did is then unknown.
    fn answer(reply: Reply) -> Result<Self::Answer, RpcError>;
}

fn other_kind<T>() -> Result<T, RpcError> {
    Err(RpcError::Other("the store's reply is one to another call".to_owned()))
}

macro_rules! streamed {
    ($($name:ident: $request:ty => $answer:ty;)*) => {
        $(impl Streamed for $request {
            type Answer = $answer;

            fn into_command(self) -> Cmd {
                Cmd::$name(self)
            }

            fn answer(reply: Reply) -> Result<Self::Answer, RpcError> {
                if let Reply::$name(answer) = reply { Ok(answer) } else { other_kind() }
            }
        })*
    };
}

streamed! {
    Get: kvrpcpb::GetRequest => kvrpcpb::GetResponse;
    Scan: kvrpcpb::ScanRequest => kvrpcpb::ScanResponse;
    Commit: kvrpcpb::CommitRequest => kvrpcpb::CommitResponse;
    Prewrite: kvrpcpb::PrewriteRequest => kvrpcpb::PrewriteResponse;
    CheckTxnStatus: kvrpcpb::CheckTxnStatusRequest => kvrpcpb::CheckTxnStatusResponse;
    CheckSecondaryLocks: kvrpcpb::CheckSecondaryLocksRequest => kvrpcpb::CheckSecondaryLocksResponse;
    BatchRollback: kvrpcpb::BatchRollbackRequest => kvrpcpb::BatchRollbackResponse;
    ResolveLock: kvrpcpb::ResolveLockRequest => kvrpcpb::ResolveLockResponse;
    RawGet: kvrpcpb::RawGetRequest => kvrpcpb::RawGetResponse;
    RawPut: kvrpcpb::RawPutRequest => kvrpcpb::RawPutResponse;
    RawDelete: kvrpcpb::RawDeleteRequest => kvrpcpb::RawDeleteResponse;
}

impl Streamed for tinykvpb::PrewriteRequest {
    type Answer = kvrpcpb::PrewriteResponse;

    fn into_command(self) -> Cmd {
        let mutation = |mutation: tinykvpb::Mutation| kvrpcpb::Mutation {
            op: op_number(mutation.op),
            key: mutation.key,
            value: mutation.value,
            ..Default::default()
        };
        Cmd::Prewrite(kvrpcpb::PrewriteRequest {
            context: self.context,
            mutations: self.mutations.into_iter().map(mutation).collect(),
            primary_lock: self.primary_lock,
            start_version: self.start_version,
            lock_ttl: self.lock_ttl,
            ..Default::default()
        })
    }

    fn answer(reply: Reply) -> Result<Self::Answer, RpcError> {
        if let Reply::Prewrite(answer) = reply { Ok(answer) } else { other_kind() }
    }
}

/// TinyKV's number of an operation as kvproto's. A number that TinyKV does not have becomes one that nobody has.
fn op_number(tiny: i32) -> i32 {
    match tinykvpb::Op::try_from(tiny) {
        Ok(tinykvpb::Op::Put) => kvrpcpb::Op::Put.into(),
        Ok(tinykvpb::Op::Del) => kvrpcpb::Op::Del.into(),
        Ok(tinykvpb::Op::Lock) => kvrpcpb::Op::Lock.into(),
        Ok(tinykvpb::Op::Rollback) => kvrpcpb::Op::Rollback.into(),
        Err(_) => -1,
    }
}

impl Streamed for tinykvpb::CheckTxnStatusRequest {
    type Answer = tinykvpb::CheckTxnStatusResponse;

    fn into_command(self) -> Cmd {
        Cmd::CheckTxnStatus(kvrpcpb::CheckTxnStatusRequest {
            context: self.context,
            primary_key: self.primary_key,
            lock_ts: self.lock_ts,
            current_ts: self.current_ts,
            // What TinyKv's call always does.
            rollback_if_not_exist: true,
            ..Default::default()
        })
    }

    fn answer(reply: Reply) -> Result<Self::Answer, RpcError> {
        let Reply::CheckTxnStatus(answer) = reply else { return other_kind() };
        if let Some(error) = answer.error {
            return Err(RpcError::Refused(key_error::words(&error)));
        }
        let kvrpcpb::CheckTxnStatusResponse { region_error, lock_ttl, commit_version, action, .. } = answer;
        Ok(tinykvpb::CheckTxnStatusResponse { region_error, lock_ttl, commit_version, action })
    }
}

impl Streamed for tinykvpb::RawScanRequest {
    type Answer = tinykvpb::RawScanResponse;

    fn into_command(self) -> Cmd {
        let tinykvpb::RawScanRequest { context, start_key, limit, cf } = self;
        Cmd::RawScan(kvrpcpb::RawScanRequest { context, start_key, limit, cf, ..Default::default() })
    }

    fn answer(reply: Reply) -> Result<Self::Answer, RpcError> {
        let Reply::RawScan(mut answer) = reply else { return other_kind() };
        // kvproto has no other place for an error of the whole scan.
        let failed = answer.kvs.iter_mut().find_map(|pair| pair.error.take());
        let error = failed.map(|error| key_error::words(&error));
        let kvs = if error.is_some() { Vec::new() } else { answer.kvs };
        Ok(tinykvpb::RawScanResponse { region_error: answer.region_error, error: error.unwrap_or_default(), kvs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tiny_kv_numbers_differently_is_renumbered() {
        let mutations = [0, 1, 2, 3, 9].map(|op| tinykvpb::Mutation { op, ..Default::default() }).to_vec();
        let Cmd::Prewrite(prewrite) = (tinykvpb::PrewriteRequest { mutations, ..Default::default() }).into_command()
        else {
            panic!("no prewrite")
        };
        let ops: Vec<i32> = prewrite.mutations.iter().map(|mutation| mutation.op).collect();
        assert_eq!(ops, [0, 1, 3, 2, -1]);
        let status = tinykvpb::CheckTxnStatusRequest { lock_ts: 7, current_ts: 9, ..Default::default() };
        let Cmd::CheckTxnStatus(status) = status.into_command() else { panic!("no status") };
        assert_eq!((status.lock_ts, status.caller_start_ts, status.current_ts), (7, 0, 9));
        assert!(status.rollback_if_not_exist);
    }

    #[test]
    fn a_reply_of_another_kind_is_never_an_answer() {
        let reply = || Reply::RawPut(kvrpcpb::RawPutResponse::default());
        assert!(kvrpcpb::RawPutRequest::answer(reply()).is_ok());
        let error = kvrpcpb::RawDeleteRequest::answer(reply()).unwrap_err();
        assert!(error.may_have_run() && !error.is_final(), "{error}");
        for error in [
            tinykvpb::PrewriteRequest::answer(reply()).unwrap_err(),
            tinykvpb::CheckTxnStatusRequest::answer(reply()).unwrap_err(),
            tinykvpb::RawScanRequest::answer(reply()).unwrap_err(),
        ] {
            assert!(matches!(error, RpcError::Other(_)), "{error}");
        }
    }

    #[test]
    fn an_error_of_a_scan_is_found_among_its_pairs() {
        let error = kvrpcpb::KeyError { abort: "no such cf".to_owned(), ..Default::default() };
        let pair = kvrpcpb::KvPair { error: Some(Box::new(error)), ..Default::default() };
        let reply = Reply::RawScan(kvrpcpb::RawScanResponse { kvs: vec![pair], ..Default::default() });
        let answer = tinykvpb::RawScanRequest::answer(reply).unwrap();
        assert_eq!((answer.error.as_str(), answer.kvs.len()), ("no such cf", 0));
    }
}
