//! kvproto's requests as TinyKv's, for a store that knows only these. What TinyKv has no place for is left out, and its
//! answer shows that: neither a bound nor a commit timestamp, so that the transaction is committed in two phases.

use nokv_proto::{kvrpcpb, tinykvpb};

/// Phase one. What a transaction of this client may ask for survives: puts, deletions and locks.
pub(crate) fn prewrite(request: kvrpcpb::PrewriteRequest) -> tinykvpb::PrewriteRequest {
    let mutation = |mutation: kvrpcpb::Mutation| tinykvpb::Mutation {
        op: op_number(mutation.op),
        key: mutation.key,
        value: mutation.value,
    };
    tinykvpb::PrewriteRequest {
        context: request.context,
        mutations: request.mutations.into_iter().map(mutation).collect(),
        primary_lock: request.primary_lock,
        start_version: request.start_version,
        lock_ttl: request.lock_ttl,
    }
}

/// kvproto's number of an operation as TinyKV's. One that TinyKV does not have becomes one that nobody has.
fn op_number(op: i32) -> i32 {
    match kvrpcpb::Op::try_from(op) {
        Ok(kvrpcpb::Op::Put) => tinykvpb::Op::Put.into(),
        Ok(kvrpcpb::Op::Del) => tinykvpb::Op::Del.into(),
        Ok(kvrpcpb::Op::Lock) => tinykvpb::Op::Lock.into(),
        _ => -1,
    }
}

/// The question what became of a transaction; TinyKv's always rolls back what it does not find.
pub(crate) fn status(request: kvrpcpb::CheckTxnStatusRequest) -> tinykvpb::CheckTxnStatusRequest {
    tinykvpb::CheckTxnStatusRequest {
        context: request.context,
        primary_key: request.primary_key,
        lock_ts: request.lock_ts,
        current_ts: request.current_ts,
    }
}

/// Its answer.
pub(crate) fn status_answer(answer: tinykvpb::CheckTxnStatusResponse) -> kvrpcpb::CheckTxnStatusResponse {
    kvrpcpb::CheckTxnStatusResponse {
        region_error: answer.region_error,
        lock_ttl: answer.lock_ttl,
        commit_version: answer.commit_version,
        action: answer.action,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tiny_kv_numbers_differently_is_renumbered() {
        let mutations = [0, 1, 2, 3, 4, 6].map(|op| kvrpcpb::Mutation { op, ..Default::default() }).to_vec();
        let tiny = prewrite(kvrpcpb::PrewriteRequest { mutations, try_one_pc: true, ..Default::default() });
        let ops: Vec<i32> = tiny.mutations.iter().map(|mutation| mutation.op).collect();
        assert_eq!(ops, [0, 1, 3, -1, -1, -1]);
        let asked = kvrpcpb::CheckTxnStatusRequest { lock_ts: 7, current_ts: 9, ..Default::default() };
        assert_eq!((status(asked.clone()).lock_ts, status(asked).current_ts), (7, 9));
        let told = tinykvpb::CheckTxnStatusResponse { lock_ttl: 3, commit_version: 4, ..Default::default() };
        assert_eq!((status_answer(told.clone()).lock_ttl, status_answer(told).commit_version), (3, 4));
    }
}
